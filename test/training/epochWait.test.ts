// What counts as waiting for data: the time in which the device has nothing to do, not the time that reading
// takes behind its back; and which batches a device with memory of its own is given ahead. A device and a
// reader of known speed stand in for the real ones, and a clock of ours for the machine's.
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { compile } from "../../compiler/compile.ts";
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import { type EpochRun, FRESH_EPOCH, trainEpoch } from "../../runtime/train/epochLoop.ts";
import type { MicroBatch } from "../../runtime/train/microBatch.ts";
import { classLabels } from "../labels/classLabels.ts";
import { numberedClasses } from "./tracedGraphs.ts";

const STEPS = 6;
/** Milliseconds that the clock moves at once: all times here are multiples of it. */
const TICK_MS = 10;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
});
afterEach(() => {
  vi.useRealTimers();
});

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Images of a call of the device, by the number that the reader put into them. */
interface Step {
  readonly batch: number;
  readonly following: number | undefined;
}

interface Course {
  /** Milliseconds of the epoch, and those of them that were spent waiting. */
  readonly tookMs: number;
  readonly waitedMs: number;
  readonly steps: readonly Step[];
}

/** An epoch, by what a step and reading one batch take; the device may take the next batch, too. */
async function course(stepMs: number, readMs: number, stagesInputs = false): Promise<Course> {
  const spec = resolveSpec({
    ...{ tasks: ["a"], fcn: { layers: [1] }, task_layers: [], imshape: 1, num_channels: 1 },
    ...{ batch_size: 1, seed: 1, lr: 1, num_parallel_calls: 1 },
  });
  let reading: Promise<unknown> = Promise.resolve();
  let count = 0;
  const seen: Step[] = [];
  const fill = (_: unknown, slot: ArrayBuffer): Promise<ArrayBuffer> => {
    const filled = reading.then(async () => {
      await sleep(readMs);
      new Uint8Array(slot)[0] = count++;
      return slot;
    });
    reading = filled;
    return filled;
  };
  const sources: EpochRun = {
    experiment: { spec },
    manifest: compile(spec, numberedClasses({ a: 2 })).manifest,
    labels: {
      train: {
        tasks: ["a"],
        paths: Array(STEPS).fill("x"),
        labels: classLabels(new Int32Array(STEPS), 1),
        locate: () => ({}),
      },
      classWeights: new Map(),
    },
    reader: {
      format: { height: 1, width: 1, channels: 1, greyscale: true },
      openStream: () => ({ fill, close: () => Promise.resolve() }),
    },
    device: {
      stagesInputs,
      microBatch: async (batch, _index, _scalars, ahead) => {
        const [images, following] = [imagesOf(batch), ahead && imagesOf(ahead)];
        const isStaged = seen.at(-1)?.following !== undefined;
        const number = seen.at(-1)?.following ?? numberOf(images);
        seen.push({ batch: number, following: following && numberOf(following) });
        await sleep(stepMs);
        const tasks = new Map([["a", { loss_sum: 1, count: 1, correct: 1 }]]);
        const given = [...(isStaged ? [] : [images]), ...(following ? [following] : [])];
        return { tasks, inputBuffers: given.map(({ buffer }) => buffer as ArrayBuffer), runMs: stepMs };
      },
      finishStep: () => Promise.resolve({}),
      readState: () => Promise.resolve(new Map()),
    },
  };
  const options = { epoch: 1, start: FRESH_EPOCH, plannedSteps: STEPS, history: [], onStep: () => undefined };
  let isDone = false;
  const training = trainEpoch(sources, options).finally(() => {
    isDone = true;
  });
  while (!isDone) await vi.advanceTimersByTimeAsync(TICK_MS);
  const { step, seconds, waitedSeconds } = await training;
  expect(step).toBe(STEPS);
  return { tookMs: Math.round(1000 * seconds), waitedMs: Math.round(1000 * waitedSeconds), steps: seen };
}

function imagesOf(batch: MicroBatch): Uint8Array {
  if (!("images" in batch)) throw new Error("expected images");
  return batch.images;
}

function numberOf(images: Uint8Array): number {
  return images[0] ?? Number.NaN;
}

it("an epoch waits only while the device has nothing to do, though reading takes most of each step", async () => {
  // One batch is waited for at the beginning.
  const { tookMs, waitedMs } = await course(100, 50);
  expect([tookMs, waitedMs]).toEqual([50 + STEPS * 100, 50]);
});

it("an epoch whose reading takes twice as long as its steps waits for about half of the time", async () => {
  const { tookMs, waitedMs, steps } = await course(50, 100);
  // Every batch is waited for: the first whole, the others but for the step before.
  expect([tookMs, waitedMs]).toEqual([STEPS * 100 + 50, 100 + (STEPS - 1) * 50]);
  expect(steps.map(({ following }) => following)).toEqual(Array(STEPS).fill(undefined));
});

it("a device with memory of its own gets each next batch during a step, once reading is ahead", async () => {
  const { steps, tookMs, waitedMs } = await course(60, 10, true);
  expect(steps.map(({ batch }) => batch)).toEqual([0, 1, 2, 3, 4, 5]);
  // The second is being read while the first step begins; the last step has none after it.
  expect(steps.map(({ following }) => following)).toEqual([undefined, 2, 3, 4, 5, undefined]);
  expect([tookMs, waitedMs]).toEqual([10 + STEPS * 60, 10]);
});

it("a device whose reader is slow is not kept waiting for a batch that is not there yet", async () => {
  const { steps, tookMs, waitedMs } = await course(20, 60, true);
  expect(steps.map(({ batch }) => batch)).toEqual([0, 1, 2, 3, 4, 5]);
  expect([tookMs, waitedMs]).toEqual([STEPS * 60 + 20, STEPS * 60 - (STEPS - 1) * 20]);
});
