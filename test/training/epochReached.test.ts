// Where training stands after each step, as whoever loses another process asks for it later: in the middle of
// the next step, of which nothing may be in it.
import { expect, it } from "vitest";
import { compile } from "../../compiler/compile.ts";
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import { type EpochRun, type EpochState, FRESH_EPOCH, trainEpoch } from "../../runtime/train/epochLoop.ts";
import { classLabels } from "../labels/classLabels.ts";
import { numberedClasses } from "./tracedGraphs.ts";

const [STEPS, ACCUMULATE] = [4, 2];

/** The micro-batch, counted from 0, or the end of a step that fails; and what is known then. */
async function stateWhenLost(lost: { readonly micro?: number; readonly step?: number }) {
  const spec = resolveSpec({
    ...{ tasks: ["a"], fcn: { layers: [1] }, task_layers: [], imshape: 1, num_channels: 1 },
    ...{ batch_size: ACCUMULATE, accumulate: ACCUMULATE, seed: 1, lr: 1 },
  });
  let [micro, step] = [0, 0];
  const sources: EpochRun = {
    experiment: { spec },
    manifest: compile(spec, numberedClasses({ a: 2 })).manifest,
    labels: {
      train: {
        tasks: ["a"],
        paths: Array(STEPS * ACCUMULATE).fill("x"),
        labels: classLabels(new Int32Array(STEPS * ACCUMULATE), 1),
        locate: () => ({}),
      },
      classWeights: new Map(),
    },
    reader: {
      format: { height: 1, width: 1, channels: 1, greyscale: true },
      openStream: () => ({ fill: async (_, slot) => slot, close: () => Promise.resolve() }),
    },
    device: {
      stagesInputs: false,
      microBatch: async (batch) => {
        if (micro++ === lost.micro) throw new Error("lost");
        const tasks = new Map([["a", { loss_sum: 1, count: 1, correct: 1 }]]);
        const inputBuffers = "images" in batch ? [batch.images.buffer as ArrayBuffer] : [];
        return { tasks, inputBuffers, runMs: 1 };
      },
      finishStep: async () => {
        if (step++ === lost.step) throw new Error("lost");
        return { gram: [4], weights: new Map([["a", 1]]) };
      },
      readState: () => Promise.resolve(new Map()),
    },
    leader: { beginEpoch: () => undefined },
  };
  let reached: (() => EpochState) | undefined;
  const atStepEnd: EpochState[] = [];
  const training = trainEpoch(sources, {
    ...{ epoch: 1, start: FRESH_EPOCH, plannedSteps: STEPS, history: [] },
    onReached: (now) => {
      reached = now;
    },
    onStep: () => {
      if (reached) atStepEnd.push(reached());
    },
  });
  await expect(training).rejects.toThrow("lost");
  return { reached: reached?.(), atStepEnd };
}

it.each([
  ["a step's first micro-batch", { micro: 4 }],
  ["a step's second micro-batch", { micro: 5 }],
  ["the end of a step", { step: 2 }],
])("what is asked for after %s was lost is of the step before", async (_, lost) => {
  const { reached, atStepEnd } = await stateWhenLost(lost);
  expect(reached).toEqual(atStepEnd.at(-1));
  expect(reached).toMatchObject({
    ...{ step: 2, sums: { a: { loss_sum: 4, count: 4, correct: 4 } } },
    gradients: { "gradient_norm/a": [4, 2], "combine_weight/a": [2, 2] },
  });
});

it("nothing is known where the first step is lost", async () => {
  expect(await stateWhenLost({ micro: 1 })).toEqual({ reached: undefined, atStepEnd: [] });
});
