// A rank whose main thread lives while its ONNX Runtime or its images do not answer, with two real processes:
// it is named, the run ends in time, what can be saved is, and a resume ends where an undisturbed run does.
// One that goes on is told of, and changes nothing.
import { execFileSync } from "node:child_process";
import { closeSync, constants, openSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import type { TrainerOptions } from "../../runtime/train/trainerOptions.ts";
import { type FailingRun, HASTY } from "./failingJob.ts";
import type { Stall } from "./failingRank.ts";
import { FailingRuns } from "./failingRuns.ts";
import { mpichHere } from "./mpiPrograms.ts";

const mpi = mpichHere();
const EPOCHS = 6;
const LIMIT_S = 2;
const END_MS = 30_000;
/** Steps of an epoch. */
const STEPS = 6;

describe.skipIf(mpi === undefined)("where setup-mpi has been", () => {
  let runs: FailingRuns;
  let pipes = 0;

  function freshPipe(): string {
    const pipe = join(runs.folder, `pipe-${pipes++}.onnx`);
    execFileSync("mkfifo", [pipe]);
    return pipe;
  }

  /** A run whose rank stands still and is given up; all of it has ended, by exit code 2. */
  async function stalledRun(options: TrainerOptions, stall: Stall): Promise<FailingRun> {
    const environment = { MTTC_RANKS_STALL: String(LIMIT_S) };
    const run = runs.start(options, { stall, environment });
    await run.hears("stalls", { rank: stall.rank });
    const began = performance.now();
    await run.gone([0, 1], END_MS);
    expect(performance.now() - began).toBeGreaterThan(LIMIT_S * 900);
    for (const rank of [0, 1]) expect(await run.exitOf(rank), run.said).toBe(2);
    return run;
  }

  function lines(run: FailingRun): string[] {
    return run.news.flatMap((news) =>
      news.kind === "log" && /rank \d+ on/.test(news.text) ? [news.text] : [],
    );
  }

  beforeAll(async () => {
    runs = await FailingRuns.open(mpi!, { epochs: EPOCHS, delays: [] });
  }, 60_000);

  afterEach(() => runs.cleanUp());

  it("a follower whose ONNX Runtime stands still in a step: named, the last step saved", async () => {
    const options = runs.optionsOf("runtime-1");
    const call = STEPS + 3;
    const stall = { rank: 1, what: "runtime", pipe: freshPipe(), graph: "grad", call } as const;
    const run = await stalledRun(options, stall);
    expect(await run.hears("fault", { rank: 0 })).toMatchObject({ code: "E_RANK_LOST" });
    const { message } = await run.hears("fault", { rank: 0 });
    expect(message).toMatch(
      /rank 1 on \S+ did not go on for 2(\.\d)? s within a step, and the others waited/,
    );
    expect(message).toMatch(/may not answer; saved as it was at epoch 2, step 2, in .*epoch-0001\.1/);
    expect(message).toContain("MTTC_RANKS_STALL");
    expect(lines(run)).toEqual([
      expect.stringMatching(
        /^rank 1 on \S+ has kept the others waiting for 1(\.\d)? s, in epoch 2, step 3: .*after 2 s of it$/,
      ),
    ]);
    expect(run.said).toMatch(/error: rank 1 on \S+ did not go on for .* it is ended \[E_RANK_LOST\]/);
    await runs.expectResumed(options);
  }, 90_000);

  it("a follower whose ONNX Runtime stands still in an evaluation: the same", async () => {
    const options = runs.optionsOf("evaluated-1");
    const stall = { rank: 1, what: "runtime", pipe: freshPipe(), graph: "evaluate", call: 2 } as const;
    const run = await stalledRun(options, stall);
    const { code, message } = await run.hears("fault", { rank: 0 });
    expect(code).toBe("E_RANK_LOST");
    expect(message).toMatch(/rank 1 on \S+ did not go on for .* within an evaluation/);
    expect(message).toMatch(/saved as it was at epoch \d, step 6/);
    expect(lines(run)).toEqual([expect.stringMatching(/after the steps of epoch \d: /)]);
    await runs.expectResumed(options);
  }, 90_000);

  it("a follower whose ONNX Runtime stands still when its state is compared: the same", async () => {
    const options = runs.optionsOf("compared-1");
    const stall = { rank: 1, what: "runtime", pipe: freshPipe(), graph: "read", call: 1 } as const;
    const run = await stalledRun(options, stall);
    const { message } = await run.hears("fault", { rank: 0 });
    expect(message).toMatch(
      /rank 1 on \S+ did not go on for .* between steps, .*; saved as it was at epoch 1/,
    );
    expect(lines(run)).toEqual([expect.stringMatching(/after the steps of epoch 1: /)]);
    await runs.expectResumed(options);
  }, 90_000);

  // For rank 0's next word the others wait.
  it.each([1, 0])(
    "rank %i whose images do not come: the same",
    async (rank) => {
      const options = runs.optionsOf(`images-${rank}`);
      const run = await stalledRun(options, { rank, what: "images", call: STEPS + 8 });
      const { code, message } = await run.hears("fault", { rank: 0 });
      expect(code).toBe("E_RANK_LOST");
      const stalled = `rank ${rank} on \\S+ did not go on for .* within a step`;
      expect(message).toMatch(new RegExp(`${stalled}.*; saved as it was at epoch 2`, "s"));
      await runs.expectResumed(options);
    },
    90_000,
  );

  it("rank 0 whose ONNX Runtime stands still in a step: named, and the run ends without its last steps", async () => {
    const options = runs.optionsOf("runtime-0");
    const call = STEPS + 3;
    const stall = { rank: 0, what: "runtime", pipe: freshPipe(), graph: "grad", call } as const;
    const run = await stalledRun(options, stall);
    const { code, message } = await run.hears("fault", { rank: 0 });
    expect(code).toBe("E_RANK_LOST");
    expect(message).toMatch(/rank 0 on \S+ did not go on for .* within a step.*; saved is .*epoch-0001/s);
    expect(run.checkpoints()).toEqual(["epoch-0001"]);
    expect(lines(run)).toEqual([expect.stringMatching(/^rank 0 on \S+ has kept the others waiting/)]);
    expect(await run.hears("ended", { rank: 1 })).toMatchObject({ how: "failed" });
    await runs.expectResumed(options);
  }, 90_000);

  it("a rank that stands still for a while and goes on: two lines, and the same numbers", async () => {
    for (const rank of [1, 0]) {
      const pipe = freshPipe();
      const stall = { rank, what: "runtime", pipe, graph: "grad", call: STEPS + 3 } as const;
      const options = runs.optionsOf(`late-${rank}`);
      const run = runs.start(options, { stall, channel: { ...HASTY, lateMs: 600, giveUpMs: 60_000 } });
      await run.hears("stalls", { rank });
      await new Promise((resolve) => setTimeout(resolve, 1500));
      closeSync(openSync(pipe, constants.O_WRONLY));
      await run.hears("ended", { rank: 0 });
      expect(await run.ends()).toBe(0);
      runs.expectUndisturbed(run);
      expect(lines(run)).toEqual([
        expect.stringMatching(
          new RegExp(`^rank ${rank} on \\S+ has kept the others waiting for 0\\.\\d s, in epoch 2, step 3`),
        ),
        expect.stringMatching(new RegExp(`^rank ${rank} on \\S+ goes on, after [12](\\.\\d)? s$`)),
      ]);
    }
  }, 90_000);

  it("a rank slower by more than the limit in all, and a limit that every step keeps: nobody is named", async () => {
    const run = runs.start(runs.optionsOf("slow"), {
      delays: [0, 120],
      environment: { MTTC_RANKS_STALL: "2" },
    });
    await run.hears("ended", { rank: 0 });
    expect(await run.ends()).toBe(0);
    runs.expectUndisturbed(run);
    expect(lines(run)).toEqual([]);
  }, 90_000);
});
