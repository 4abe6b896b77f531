// Who is noticed to be lost, by whom, how soon, and who is not: real processes that are killed, stopped, kept
// busy, or hang.
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { afterEach, expect, it } from "vitest";
import type { ChannelOptions } from "../../runtime/ranks/channelProtocol.ts";
import { PROJECT_ROOT } from "../projectRoot.ts";
import type { ChildNews, ChildOrder } from "./channelChild.ts";

const TIMES = { pulseMs: 50, limitMs: 700, endMs: 900, acceptMs: 20_000 };

/** A rank as a process, and all that it told. */
class Rank {
  readonly child: ChildProcess;
  readonly news: ChildNews[] = [];
  readonly #stderr: string[] = [];

  constructor() {
    const file = join(PROJECT_ROOT, "dist", "test", "ranks", "channelChild.js");
    this.child = fork(file, { stdio: ["ignore", "ignore", "pipe", "ipc"] });
    this.child.on("message", (news: ChildNews) => this.news.push(news));
    this.child.stderr?.on("data", (text: Buffer) => this.#stderr.push(text.toString()));
  }

  get stderr(): string {
    return this.#stderr.join("");
  }

  order(order: ChildOrder): void {
    this.child.send(order);
  }

  /** The first news of a kind, once it is there. */
  async hears<K extends ChildNews["kind"]>(kind: K, ms = 10_000): Promise<Extract<ChildNews, { kind: K }>> {
    await expect
      .poll(() => this.news.map((each) => each.kind), { timeout: ms, interval: 10 })
      .toContain(kind);
    return this.news.find((each) => each.kind === kind) as Extract<ChildNews, { kind: K }>;
  }

  async exit(): Promise<number | string> {
    const { exitCode, signalCode } = this.child;
    if (exitCode !== null || signalCode !== null) return signalCode ?? exitCode ?? "";
    const [code, signal] = await once(this.child, "exit");
    return signal ?? code;
  }
}

const started: Rank[] = [];
afterEach(async () => {
  for (const { child } of started) child.kill("SIGKILL");
  for (const rank of started.splice(0)) await rank.exit();
});

/** Ranks that are connected, rank 0 first. */
async function job(size: number, options: Partial<ChannelOptions> = TIMES): Promise<Rank[]> {
  const ranks = Array.from({ length: size }, () => new Rank());
  started.push(...ranks);
  ranks[0]!.order({ kind: "open", size, options });
  const { address } = await ranks[0]!.hears("address");
  for (const [rank, each] of ranks.entries())
    if (rank > 0) each.order({ kind: "connect", address, rank, size, options });
  for (const rank of ranks) await rank.hears("ready");
  return ranks;
}

it("computing without a break is not taken for being dead, and what was asked meanwhile is answered", async () => {
  const ranks = await job(2);
  for (const rank of ranks) rank.order({ kind: "compute", ms: 4 * TIMES.limitMs });
  ranks[0]!.order({ kind: "request" });
  for (const rank of ranks) await rank.hears("computed");
  expect((await ranks[0]!.hears("replies")).replies).toEqual([1]);
  expect(ranks.flatMap(({ news }) => news.map(({ kind }) => kind))).not.toContain("failed");
  ranks[0]!.order({ kind: "close" });
  expect(await ranks[1]!.hears("ended")).toEqual({ kind: "ended", how: "done" });
  ranks[1]!.order({ kind: "close" });
  for (const rank of ranks) expect(await rank.exit()).toBe(0);
});

it("a killed follower is named at once on rank 0, and others' collectives are freed", async () => {
  const [hub, killed, other] = await job(3);
  killed!.child.kill("SIGKILL");
  const { message, isRaised } = await hub!.hears("failed");
  expect(message).toMatch(/rank 1 on \S+ has ended \[E_RANK_LOST\]/);
  expect(isRaised).toBe(true);
  await other!.hears("failed");
});

it("a stopped follower is named after the limit, though the others compute", async () => {
  const [hub, stopped, other] = await job(3);
  const began = performance.now();
  other!.order({ kind: "compute", ms: 2 * TIMES.limitMs });
  stopped!.child.kill("SIGSTOP");
  const { message } = await hub!.hears("failed");
  expect(message).toMatch(/rank 1 on \S+ does not answer since 0.7 s \[E_RANK_LOST\]/);
  expect(performance.now() - began).toBeGreaterThan(TIMES.limitMs / 2);
  await other!.hears("failed");
  // Once it goes on it sees that it was given up.
  stopped!.child.kill("SIGCONT");
  await stopped!.hears("failed");
});

it("a killed and a stopped rank 0 are noticed by all followers", async () => {
  for (const signal of ["SIGKILL", "SIGSTOP"] as const) {
    const [hub, ...followers] = await job(3);
    hub!.child.kill(signal);
    for (const follower of followers) {
      await follower.hears("failed");
      const told = (): string => follower.news.map((each) => JSON.stringify(each)).join("\n");
      const how = signal === "SIGKILL" ? "has ended" : "does not answer since 0.7 s";
      await expect.poll(told).toMatch(new RegExp(`rank 0 on \\S+ ${how}`));
    }
  }
});

it("processes that are all stopped and go on are not taken for dead", async () => {
  const ranks = await job(3);
  for (const { child } of ranks) child.kill("SIGSTOP");
  await new Promise((resolve) => setTimeout(resolve, 3 * TIMES.limitMs));
  for (const { child } of ranks) child.kill("SIGCONT");
  await new Promise((resolve) => setTimeout(resolve, 2 * TIMES.limitMs));
  ranks[0]!.order({ kind: "request" });
  expect((await ranks[0]!.hears("replies")).replies).toEqual([1, 2]);
  expect(ranks.flatMap(({ news }) => news.map(({ kind }) => kind))).not.toContain("failed");
});

it("a process whose main thread does not end is ended, with a line that says why", async () => {
  const [hub, killed, other] = await job(3);
  hub!.order({ kind: "hang" });
  other!.order({ kind: "hang" });
  await new Promise((resolve) => setTimeout(resolve, 100));
  killed!.child.kill("SIGKILL");
  expect(await hub!.exit()).toBe(2);
  expect(hub!.stderr).toMatch(
    /^error: rank 1 on \S+ has ended, and this process does not come to its end: .* \[E_RANK_LOST\]\n$/,
  );
  // Rank 0 is gone now: the other one's own pulse ends it.
  expect(await other!.exit()).toBe(2);
  expect(other!.stderr).toMatch(/^error: rank 0 on \S+ has ended, and/);
});
