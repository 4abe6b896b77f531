// What counts as waiting for data: the time in which the device has nothing to do, not the time that reading
// takes behind its back. A device and a reader of known speed stand in for the real ones.
import { setTimeout as sleep } from "node:timers/promises";
import { expect, it } from "vitest";
import { FRESH_EPOCH, trainEpoch } from "../../runtime/train/epochLoop.ts";
import type { TrainingSession } from "../../runtime/train/trainingSession.ts";

const STEPS = 6;

/** The share of an epoch that is spent waiting, by what a step and reading one batch take. */
async function waitShare(stepMs: number, readMs: number): Promise<number> {
  const spec = { tasks: ["a"], batch_size: 1, accumulate: 1, seed: 1, lr: 1, num_parallel_calls: 1 };
  let reading: Promise<unknown> = Promise.resolve();
  const fill = (_: unknown, slot: ArrayBuffer): Promise<ArrayBuffer> => {
    const filled = reading.then(async () => await sleep(readMs, slot));
    reading = filled;
    return filled;
  };
  const session = {
    experiment: { spec },
    manifest: { spec: { ...spec, augment: false }, tasks: [{ name: "a", weight: 1 }], masks: [] },
    labels: {
      train: {
        tasks: ["a"],
        paths: Array(STEPS).fill("x"),
        labels: new Int32Array(STEPS),
        locate: () => ({}),
      },
      classWeights: new Map(),
    },
    reader: {
      format: { height: 1, width: 1, channels: 1, greyscale: true },
      openStream: () => ({ fill, close: () => Promise.resolve() }),
    },
    device: {
      microBatch: async ({ images }: { images: Uint8Array }) => {
        await sleep(stepMs);
        return { tasks: new Map([["a", { lossSum: 1, count: 1, correct: 1 }]]), inputBuffer: images.buffer };
      },
      finishStep: () => Promise.resolve(),
    },
  } as unknown as TrainingSession;
  const options = { epoch: 1, start: FRESH_EPOCH, onStep: () => undefined };
  const { step, seconds, waitedSeconds } = await trainEpoch(session, options);
  expect(step).toBe(STEPS);
  return waitedSeconds / seconds;
}

it("an epoch waits only while the device has nothing to do, though reading takes most of each step", async () => {
  // One batch is waited for at the beginning, 50 ms of 650.
  expect(await waitShare(100, 50)).toBeLessThan(0.25);
});

it("an epoch whose reading takes twice as long as its steps waits for about half of the time", async () => {
  const share = await waitShare(50, 100);
  expect(share).toBeGreaterThan(0.4);
  expect(share).toBeLessThan(0.75);
});
