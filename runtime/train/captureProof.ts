// Whether captured steps (CUDA graphs: what a step asks of the device, recorded once and then replayed) do
// what plain ones do: the same steps from the same state, twice plain and once captured, on the first batches
// of the run. Only what the device itself shows is believed; otherwise the run goes on plain, and says why.
import type { StateEntry } from "../../compiler/bundle.ts";
import { InternalError, MttcError } from "../../compiler/diagnostics.ts";
import type { HostTensor } from "../ort/ortHost.ts";
import { EpochBatches } from "./epochBatches.ts";
import type { MicroBatch, StepScalars } from "./microBatch.ts";
import type { StepResult } from "./trainingDevice.ts";
import type { TrainingSession } from "./trainingSession.ts";

/**
 * Steps of a course. ONNX Runtime runs each of the two directions plainly once, captures it, and replays it
 * from then on; and float16 may leave out the first ones, until its loss scale has come down.
 */
const STEPS = 8;
/**
 * Captured steps may differ from plain ones so many times more than plain ones among themselves: CUDA adds
 * atomically here and there, in whatever order. A replay that read stale memory would be off by far more.
 */
const NOISE_FACTOR = 10;

/** What a proof needs of a training device. */
export interface CapturingDevice {
  captures: boolean;
  readonly captureFault: MttcError | undefined;
  readState(wanted?: (entry: StateEntry) => boolean): Promise<Map<string, HostTensor>>;
  writeState(tensors: ReadonlyMap<string, ArrayBufferView>): Promise<void>;
  microBatch(
    batch: MicroBatch,
    index: number,
    scalars: StepScalars,
    following?: MicroBatch,
  ): Promise<StepResult>;
  finishStep(scalars: StepScalars): Promise<number>;
  /** Opens the steps' graphs anew, such that nothing can be captured. */
  giveUpCapture(): Promise<void>;
}

/** A step's micro-batches, and the numbers beside them. */
export interface ProofStep {
  readonly micros: readonly MicroBatch[];
  readonly scalars: StepScalars;
}

/** Steps of the first epoch that the proof is made on, again and again. */
const DISTINCT_STEPS = 2;

/** proveCapture on the first batches of a run; rejects as its loader does, too. */
export async function proveCaptureOf(session: TrainingSession): Promise<string> {
  const { accumulate } = session.experiment.spec;
  await using batches = new EpochBatches(session, 1, 0);
  const steps: ProofStep[] = [];
  for (let step = 0; step < Math.min(DISTINCT_STEPS, batches.steps); step++) {
    const micros: MicroBatch[] = [];
    while (micros.length < accumulate) {
      const batch = await batches.next();
      if (batch === undefined) throw new InternalError("the first epoch has no first step");
      micros.push(structuredClone(batch));
      batches.release(bufferOf(batch));
    }
    steps.push({ micros, scalars: batches.scalars(step) });
  }
  return await proveCapture(session.device, steps);
}

function bufferOf(batch: MicroBatch): ArrayBuffer {
  return ("features" in batch ? batch.features.buffer : batch.images.buffer) as ArrayBuffer;
}

type Numbers = ReadonlyMap<string, ArrayLike<number | bigint>>;

/**
 * Leaves the device capturing if that is proved, else plain, and its state as it was. Returns a line for the
 * user. `batches` are read again and again, at least one. Throws what a plain step throws.
 */
export async function proveCapture(device: CapturingDevice, batches: readonly ProofStep[]): Promise<string> {
  const fault = device.captureFault;
  if (fault) return await giveUp(device, reasonOf(fault));
  const start = await device.readState();
  const numbers = (state: ReadonlyMap<string, HostTensor>): Numbers =>
    new Map([...state].map(([name, { data }]) => [name, data]));
  const course = async (captures: boolean): Promise<Numbers> => {
    device.captures = captures;
    await device.writeState(new Map([...start].map(([name, { data }]) => [name, data])));
    const losses = await runSteps(device, batches);
    return new Map([...numbers(await device.readState()), ["losses", losses]]);
  };
  let reason: string | undefined;
  let line = "";
  const plain = await course(false);
  const noise = largestDistance(await course(false), plain);
  const moved = largestDistance(plain, numbers(start));
  try {
    const found = largestDistance(await course(true), plain);
    line =
      found === 0
        ? `CUDA graphs: on; ${STEPS} captured steps gave the numbers of plain ones, to the bit`
        : `CUDA graphs: on; ${STEPS} captured steps came within ${found.toExponential(1)} of plain ones, ` +
          `which differ by ${noise.toExponential(1)} among themselves`;
    if (!(found <= noise * NOISE_FACTOR))
      reason = `captured steps differ from plain ones by ${found.toExponential(1)} of a tensor's norm`;
    else if (moved === 0)
      reason = `none of ${STEPS} steps changed anything, so that nothing could be compared`;
  } catch (error) {
    if (!(error instanceof MttcError)) throw error;
    reason = reasonOf(error);
  }
  if (reason !== undefined) line = await giveUp(device, reason);
  await device.writeState(new Map([...start].map(([name, { data }]) => [name, data])));
  return line;
}

async function giveUp(device: CapturingDevice, reason: string): Promise<string> {
  device.captures = false;
  await device.giveUpCapture();
  return `CUDA graphs: off: ${reason}`;
}

/** Sums of losses, step after step; each next micro-batch is given along, as in training. */
async function runSteps(device: CapturingDevice, batches: readonly ProofStep[]): Promise<number[]> {
  const steps = Array.from({ length: STEPS }, (_, i) => batches[i % batches.length]).filter((step) => !!step);
  // What a step is given is transferred away: each time a copy of its own.
  const queue = steps.flatMap(({ micros, scalars }) =>
    micros.map((micro, index) => ({
      ...{ batch: structuredClone(micro), scalars, index },
      isLast: index === micros.length - 1,
    })),
  );
  const losses: number[] = [];
  for (const [place, { batch, index, scalars, isLast }] of queue.entries()) {
    const { tasks } = await device.microBatch(batch, index, scalars, queue[place + 1]?.batch);
    losses.push(...[...tasks.values()].map(({ lossSum }) => lossSum));
    if (isLast) await device.finishStep(scalars);
  }
  return losses;
}

/** The largest |a - b| / |b| of a tensor in the Euclidean norm; 0 only where all is equal. */
function largestDistance(a: Numbers, b: Numbers): number {
  let largest = 0;
  for (const [name, expected] of b) {
    const found = a.get(name);
    let [gap, norm] = [0, 0];
    for (let i = 0; i < expected.length; i++) {
      const value = Number(expected[i]);
      const difference = Number(found?.[i]) - value;
      // Two that are both infinite or no number differ in nothing.
      if (!Object.is(Number(found?.[i]), value)) gap += difference * difference;
      if (Number.isFinite(value)) norm += value * value;
    }
    const distance = gap === 0 ? 0 : Math.sqrt(gap / (norm || 1));
    if (!(distance <= largest)) largest = Number.isNaN(distance) ? Number.POSITIVE_INFINITY : distance;
  }
  return largest;
}

function reasonOf({ faults }: MttcError): string {
  return (faults[0]?.message ?? "").split("\n")[0] ?? "";
}
