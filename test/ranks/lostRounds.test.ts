// A rank that is killed at any moment of a step of many runs (micro-batches with batch norms, and the rounds
// of factors that a step learns): real processes. The last finished step is saved, never an older one, and a
// resume ends where an undisturbed run does, to the bit.
import { afterEach, describe, expect, it } from "vitest";
import type { TrainerOptions } from "../../runtime/train/trainerOptions.ts";
import { FailingRuns } from "./failingRuns.ts";
import { mpichHere } from "./mpiPrograms.ts";

const mpi = mpichHere();
const EPOCHS = 3;
const STEPS = 6;

describe.skipIf(mpi === undefined)("where setup-mpi has been, a follower killed within a step of", () => {
  let runs: FailingRuns | undefined;

  afterEach(() => runs?.cleanUp());

  it.each<[string, Partial<TrainerOptions>]>([
    ["micro-batches", {}],
    ["rounds", { combine: "famo", task_weights: null }],
  ])(
    "%s",
    async (_, more) => {
      const parts = { batchnorm: true, accumulate: 2, ...more };
      runs = await FailingRuns.open(mpi!, { epochs: EPOCHS, delays: [] }, parts);
      for (const ms of [0, 3, 7]) {
        const options = runs.optionsOf(`killed after ${ms}`);
        const run = runs.start(options);
        await run.hears("step", { epoch: 2, step: 2 });
        await new Promise((resolve) => setTimeout(resolve, ms));
        await run.kill(1, "SIGKILL");
        const { code, message } = await run.hears("fault", { rank: 0 });
        expect(code).toBe("E_RANK_LOST");
        const [, epoch = "", step = "0"] = /saved as it was at epoch (\d), step (\d)/.exec(message) ?? [];
        // Steps that were told of are none that is lost.
        const told = run.news.filter((each) => each.kind === "step").at(-1);
        expect([Number(epoch), Number(step)], message).toEqual([told?.epoch, told?.step]);
        expect((Number(epoch) - 1) * STEPS + Number(step)).toBeGreaterThanOrEqual(STEPS + 2);
        await run.gone([0, 1], 10_000);
        await runs.expectResumed(options);
      }
    },
    180_000,
  );
});
