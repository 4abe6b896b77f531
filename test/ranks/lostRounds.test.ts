// A rank that is killed at any moment of a step of many runs (micro-batches with batch norms, and the rounds
// of factors that a step learns): real processes. The last finished step is saved, never an older one, and a
// resume ends where an undisturbed run does, to the bit.
import { join } from "node:path";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import type { TrainerOptions } from "../../runtime/train/trainerOptions.ts";
import { makeFolder } from "../images/imageFixtures.ts";
import { patternOptions, writePatternImages } from "../training/patternImages.ts";
import { FailingRun, type FailingStart } from "./failingJob.ts";
import { mpichHere } from "./mpiPrograms.ts";

const mpi = mpichHere();
const EPOCHS = 3;
const STEPS = 6;

describe.skipIf(mpi === undefined)("where setup-mpi has been, a follower killed within a step of", () => {
  let folder = "";
  let base: TrainerOptions;
  const started: FailingRun[] = [];

  function start(options: TrainerOptions, more: Partial<FailingStart> = {}): FailingRun {
    const run = new FailingRun({ mpi: mpi!, size: 2, options, folder, epochs: EPOCHS, delays: [], ...more });
    started.push(run);
    return run;
  }

  beforeAll(async () => {
    folder = await makeFolder();
    const rows = await writePatternImages(join(folder, "images"), 72);
    base = { ...patternOptions(rows, 48), strategy: "mpi", batchnorm: true, accumulate: 2 };
  });

  afterEach(async () => {
    for (const run of started.splice(0)) await run.cleanUp();
  });

  it.each<[string, Partial<TrainerOptions>]>([
    ["micro-batches", {}],
    ["rounds", { combine: "famo", task_weights: null }],
  ])(
    "%s",
    async (name, more) => {
      const optionsOf = (run: string): TrainerOptions => ({
        ...base,
        ...more,
        logdir: join(folder, `${name} ${run}`),
      });
      const undisturbed = start(optionsOf("undisturbed"));
      await undisturbed.hears("ended", { rank: 0 });
      expect(await undisturbed.ends()).toBe(0);
      for (const ms of [0, 3, 7]) {
        const options = optionsOf(`killed after ${ms}`);
        const run = start(options);
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
        const resumed = start(options, { resume: true });
        await resumed.hears("ended", { rank: 0 });
        expect(await resumed.ends()).toBe(0);
        expect(resumed.newestState().equals(undisturbed.newestState())).toBe(true);
      }
    },
    180_000,
  );
});
