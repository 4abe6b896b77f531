// One micro-batch on the device while the next is read: what a process alone does, and every rank.
import type { EpochBatches } from "./epochBatches.ts";
import type { MicroBatch, StepScalars } from "./microBatch.ts";
import type { StepResult } from "./stepResult.ts";
import type { TrainingDevice } from "./trainingDevice.ts";

/** What is taken, and where from. */
export interface Taking {
  readonly device: Pick<TrainingDevice, "microBatch">;
  readonly batches: EpochBatches;
  readonly batch: MicroBatch;
  /** Place of the micro-batch in its logical batch. */
  readonly index: number;
  readonly scalars: StepScalars;
}

/** What comes of it: both are under way and may reject; the result is awaited first. */
export interface Taken {
  readonly result: Promise<StepResult>;
  readonly next: Promise<MicroBatch | undefined>;
}

/** Has the device take a micro-batch, and the next one read; buffers are given back when it is done. */
export function takeMicroBatch({ device, batches, batch, index, scalars }: Taking): Taken {
  const running = device.microBatch(batch, index, scalars, batches.readAhead());
  const result = running.then((done) => {
    for (const buffer of done.inputBuffers) batches.release(buffer);
    return done;
  });
  const next = batches.next();
  // Whoever awaits the result first is told of that, and of this later.
  next.catch(() => undefined);
  return { result, next };
}
