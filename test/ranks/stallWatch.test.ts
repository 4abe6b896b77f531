// Which rank keeps the others waiting: who is told of, when, and who never is however slow it may be.
import { describe, expect, test } from "vitest";
import { RankPulse } from "../../runtime/ranks/rankPulse.ts";
import { type RankDoing, type StallNote, StallWatch } from "../../runtime/ranks/stallWatch.ts";

const TICK_MS = 1000;
const TIMES = { lateMs: 30_000, giveUpMs: 600_000 };

/** Ranks that a test moves, and all that is told of them. */
class Ranks {
  readonly told: (StallNote & { readonly at: number })[] = [];
  readonly #watch: StallWatch;
  readonly #moves: number[];
  #ticks = 0;

  constructor(size: number, times = TIMES) {
    this.#watch = new StallWatch(times);
    this.#moves = Array.from({ length: size }, () => 0);
  }

  /** Some ticks in which each rank is at the same; `moving` go on all the time. */
  pass(ticks: number, doing: readonly RankDoing[], moving: readonly number[] = []): this {
    for (let i = 0; i < ticks; i++) {
      this.#ticks++;
      for (const rank of moving) this.move(rank);
      const states = doing.map(
        (each, rank) => [rank, { moves: this.#moves[rank] ?? 0, doing: each }] as const,
      );
      const notes = this.#watch.look(TICK_MS, new Map(states));
      this.told.push(...notes.map((note) => ({ ...note, at: this.#ticks })));
    }
    return this;
  }

  move(rank: number): this {
    this.#moves[rank] = (this.#moves[rank] ?? 0) + 1;
    return this;
  }

  get kinds(): string[] {
    return this.told.map(({ rank, kind, ms }) => `${kind} ${rank} ${ms / 1000}`);
  }
}

describe("a rank that does not go on while another waits", () => {
  test.each([
    ["in a collective", ["waiting", "busy", "waiting"], 1],
    ["in a collective, and the others have yet to begin", ["waiting", "idle", "busy"], 2],
    ["rank 0, and the others wait in a collective", ["busy", "waiting", "waiting"], 0],
    ["rank 0, of which the others hear nothing", ["busy", "idle", "idle"], 0],
  ] as const)("is told of once, and then given up: %s", (_what, doing, rank) => {
    const ranks = new Ranks(3).pass(600, doing);
    expect(ranks.kinds).toEqual([`late ${rank} 30`, `lost ${rank} 600`]);
  });

  test("goes on, and that is told with how long it took", () => {
    const ranks = new Ranks(2).pass(45, ["waiting", "busy"]).pass(5, ["waiting", "busy"], [1]);
    expect(ranks.kinds).toEqual(["late 1 30", "over 1 45"]);
  });

  test("goes on by waiting itself, or by having done it all", () => {
    for (const then of ["waiting", "idle"] as const)
      expect(new Ranks(2).pass(31, ["waiting", "busy"]).pass(1, ["waiting", then]).kinds).toEqual([
        "late 1 30",
        "over 1 31",
      ]);
  });

  test("with a limit that is short is told of at half of it", () => {
    expect(new Ranks(2, { lateMs: 30_000, giveUpMs: 8000 }).pass(8, ["waiting", "busy"]).kinds).toEqual([
      "late 1 4",
      "lost 1 8",
    ]);
  });

  test("is told of beside another one, each by itself", () => {
    expect(new Ranks(3).pass(31, ["waiting", "busy", "busy"]).kinds).toEqual(["late 1 30", "late 2 30"]);
  });
});

describe("nobody is told of", () => {
  test.each([
    ["steps that are long for all", ["busy", "busy", "busy"]],
    ["a rank beside which rank 0 works, and others have done their part", ["busy", "busy", "idle"]],
    ["all that wait for each other: the network is slow", ["waiting", "waiting", "waiting"]],
    ["between steps, where rank 0 probes or saves", ["idle", "idle", "idle"]],
    ["a main thread that stands still, which is judged elsewhere", ["waiting", "away", "waiting"]],
  ] as const)("%s", (_what, doing) => {
    expect(new Ranks(3).pass(2000, doing).kinds).toEqual([]);
  });

  test("a rank that is slow and goes on, however long the others wait in all", () => {
    const ranks = new Ranks(2);
    for (let step = 0; step < 100; step++) ranks.pass(25, ["waiting", "busy"]).move(1);
    expect(ranks.kinds).toEqual([]);
  });

  test("a rank again that is always as slow as it was, but for one much longer wait", () => {
    const ranks = new Ranks(2);
    for (let step = 0; step < 50; step++) ranks.pass(40, ["waiting", "busy"]).move(1);
    expect(ranks.kinds).toEqual(["late 1 30", "over 1 40"]);
    ranks.pass(85, ["waiting", "busy"]).move(1).pass(1, ["waiting", "busy"]);
    expect(ranks.kinds.slice(2)).toEqual(["late 1 80", "over 1 84"]);
  });

  test("time in which its main thread stood still, or nobody waited, does not count", () => {
    const ranks = new Ranks(2).pass(20, ["waiting", "busy"]).pass(50, ["waiting", "away"]);
    ranks.pass(50, ["busy", "busy"]);
    expect(ranks.kinds).toEqual([]);
    expect(ranks.pass(10, ["waiting", "busy"]).kinds).toEqual(["late 1 30"]);
  });
});

test("a pulse shows who waits, in whichever thread, and every change", async () => {
  const pulse = new RankPulse();
  const seen = (): unknown[] => [pulse.isWaiting, pulse.hasTasks];
  const before = pulse.moves;
  expect(pulse.meeting(() => seen())).toEqual([true, false]);
  expect(seen()).toEqual([false, false]);
  let reply: (value: number) => void = () => undefined;
  const asked = pulse.asking(
    new Promise<number>((resolve) => {
      reply = resolve;
    }),
  );
  const task = pulse.task(() => Promise.reject(new Error("it fails")));
  expect(seen()).toEqual([true, true]);
  reply(3);
  expect(await asked).toBe(3);
  await expect(task).rejects.toThrow("it fails");
  expect(seen()).toEqual([false, false]);
  expect(() =>
    pulse.meeting(() => {
      throw new Error("lost");
    }),
  ).toThrow("lost");
  expect(seen()).toEqual([false, false]);
  expect(pulse.moves - before).toBe(8);
});
