// Whether captured steps (CUDA graphs: what a step asks of the device, recorded once and then replayed) do
// what plain ones do. From one state, each step is run three times: plain, plain again, and captured; the run
// goes on from the first. Only what the device itself shows is believed; otherwise the run goes on plain, and
// says why.
import type { Manifest } from "../../compiler/bundle/manifest.ts";
import { InternalError, MttcError } from "../../compiler/diagnostics.ts";
import type { HostTensor } from "../ort/ortHost.ts";
import { EpochBatches, type EpochSources } from "./epochBatches.ts";
import type { MicroBatch, StepScalars } from "./microBatch.ts";
import { distancesOf, judgeStep, type StepOutcome } from "./stepComparison.ts";
import type { TrainingDevice } from "./trainingDevice.ts";

/**
 * Captured steps that must fit. ONNX Runtime captures the first in each of the two directions and replays the
 * others.
 */
const STEPS = 6;
/** Steps that are tried: float16 leaves out the first ones, until its loss scale has come down. */
const MOST_STEPS = 24;
/** Steps of the first epoch that the proof is made on, again and again. */
const DISTINCT_STEPS = 2;

/** What a proof needs of a training device. */
export type CapturingDevice = Pick<
  TrainingDevice,
  "captureFault" | "readState" | "writeState" | "microBatch" | "finishStep" | "giveUpCapture"
> & { captures: boolean; readonly manifest: Pick<Manifest, "state"> };

/** A step's micro-batches, and the numbers beside them. */
export interface ProofStep {
  readonly micros: readonly MicroBatch[];
  readonly scalars: StepScalars;
}

/**
 * proveCapture on the first batches of a run; rejects as its loader does, too. `log` is told what takes long.
 */
export async function proveCaptureOf(
  sources: EpochSources & { readonly device: CapturingDevice },
  log: (message: string) => void,
  signal?: AbortSignal,
): Promise<string> {
  if (sources.device.captureFault) return await proveCapture(sources.device, []);
  log("CUDA graphs: comparing captured steps with plain ones");
  const steps = await firstSteps(sources);
  return await proveCapture(sources.device, steps, signal);
}

async function firstSteps(sources: EpochSources): Promise<ProofStep[]> {
  const { accumulate, lr } = sources.experiment.spec;
  await using batches = new EpochBatches(sources, 1, 0, []);
  const steps: ProofStep[] = [];
  for (let step = 0; step < Math.min(DISTINCT_STEPS, batches.steps); step++) {
    const micros: MicroBatch[] = [];
    while (micros.length < accumulate) {
      const batch = await batches.next();
      if (batch === undefined) throw new InternalError("the first epoch has no first step");
      micros.push(structuredClone(batch));
      batches.release(bufferOf(batch));
    }
    // A rise begins at a rate of 0, with which no step changes anything.
    steps.push({ micros, scalars: { ...batches.scalars(step, batches.steps), learningRate: lr } });
  }
  return steps;
}

function bufferOf(batch: MicroBatch): ArrayBuffer {
  return ("features" in batch ? batch.features.buffer : batch.images.buffer) as ArrayBuffer;
}

/**
 * Leaves the device capturing if that is proved, else plain, and its state as it was. Returns a line for the
 * user. `batches` are read again and again, at least one; `signal` ends the proof. Throws what a plain step
 * throws.
 */
export async function proveCapture(
  device: CapturingDevice,
  batches: readonly ProofStep[],
  signal?: AbortSignal,
): Promise<string> {
  if (device.captureFault) return await giveUp(device, reasonOf(device.captureFault));
  const start = await device.readState();
  const reason = await findFault(device, batches, start, signal);
  await restore(device, start);
  if (reason !== undefined) return await giveUp(device, reason);
  device.captures = true;
  return `CUDA graphs: on; ${STEPS} captured steps gave what plain ones give`;
}

/** Why captured steps are not to be used; undefined if they fit. */
async function findFault(
  device: CapturingDevice,
  batches: readonly ProofStep[],
  start: ReadonlyMap<string, HostTensor>,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  const feed = new Feed(batches);
  let before = start;
  let fitting = 0;
  for (let step = 0; step < MOST_STEPS && fitting < STEPS; step++) {
    if (signal?.aborted) return "interrupted before they were compared with plain steps";
    const from = async (captures: boolean): Promise<StepOutcome> => {
      await restore(device, before);
      device.captures = captures;
      return await runStep(device, feed);
    };
    const plain = await from(false);
    const noise = distancesOf(await from(false), plain);
    let captured: StepOutcome;
    try {
      captured = await from(true);
    } catch (error) {
      if (error instanceof MttcError) return reasonOf(error);
      throw error;
    }
    const { state } = device.manifest;
    const verdict = judgeStep(state, before, plain, noise, distancesOf(captured, plain));
    if (verdict.kind === "differs") return `of a captured step, ${verdict.how}`;
    if (verdict.kind === "fits") fitting++;
    before = plain.state;
  }
  return fitting < STEPS
    ? `too few of ${MOST_STEPS} steps changed anything that could be compared`
    : undefined;
}

async function restore(device: CapturingDevice, state: ReadonlyMap<string, HostTensor>): Promise<void> {
  await device.writeState(new Map([...state].map(([name, { data }]) => [name, data])));
}

async function giveUp(device: CapturingDevice, reason: string): Promise<string> {
  await device.giveUpCapture();
  return `CUDA graphs: off: ${reason}`;
}

/** The next step of the feed; each next micro-batch is given along, as in training. */
async function runStep(device: CapturingDevice, feed: Feed): Promise<StepOutcome> {
  const losses: number[] = [];
  const { micros, scalars } = feed.step;
  for (const index of micros.keys()) {
    const batch = feed.take();
    const { tasks } = await device.microBatch(batch, index, scalars, feed.following);
    losses.push(...[...tasks.values()].map(({ loss_sum: sum = Number.NaN }) => sum));
  }
  await device.finishStep(scalars);
  return { state: await device.readState(), losses };
}

/** Each step's micro-batches three times, then the next step's; copies, since the device takes them away. */
class Feed {
  readonly #batches: readonly ProofStep[];
  #taken = 0;
  #following: MicroBatch;

  constructor(batches: readonly ProofStep[]) {
    this.#batches = batches;
    this.#following = this.#copy();
  }

  /** The step that the next micro-batch belongs to. */
  get step(): ProofStep {
    return this.#place().step;
  }

  /** The micro-batch after the one that was taken last. */
  get following(): MicroBatch {
    return this.#following;
  }

  take(): MicroBatch {
    const batch = this.#following;
    this.#taken++;
    this.#following = this.#copy();
    return batch;
  }

  #copy(): MicroBatch {
    const { step, micro } = this.#place();
    const batch = step.micros[micro];
    if (batch === undefined) throw new InternalError("a step has no micro-batch");
    return structuredClone(batch);
  }

  #place(): { readonly step: ProofStep; readonly micro: number } {
    const micros = this.#batches[0]?.micros.length ?? 1;
    const run = Math.floor(this.#taken / micros);
    const step = this.#batches[Math.floor(run / 3) % this.#batches.length];
    if (step === undefined) throw new InternalError("a proof without a batch");
    return { step, micro: this.#taken % micros };
  }
}

function reasonOf({ faults }: MttcError): string {
  return (faults[0]?.message ?? "").split("\n")[0] ?? "";
}
