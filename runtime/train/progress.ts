// Checkpoints of a run: device state <-> stored tensors, and what else a run needs to go on to the same bits.

import type { ParameterEntry } from "../../compiler/bundle.ts";
import { MttcError } from "../../compiler/diagnostics.ts";
import type { StoredTensor } from "../../compiler/safetensors.ts";
import { LOSS_SCALE, LOSS_SCALING, SCALED_STEPS } from "../../compiler/step/lossScaling.ts";
import type { LoadedCheckpoint } from "../checkpoint/checkpoints.ts";
import type { EpochState } from "./epochLoop.ts";
import type { EpochReport } from "./events.ts";
import type { Fingerprint, TrainingSession } from "./trainingSession.ts";

/** progress.json of a checkpoint. */
export interface Progress {
  /** The unfinished epoch, if any. */
  readonly epochState: EpochState;
  readonly history: readonly EpochReport[];
  readonly fingerprint: Fingerprint;
}

/**
 * What the loss scaling of mixed precision starts from. It is state of a run on CUDA alone: the same run is
 * evaluated, exported or gone on with on the CPU without it, and takes it up afresh on CUDA.
 */
const FRESH_SCALING: ReadonlyMap<string, Float32Array | BigInt64Array> = new Map<
  string,
  Float32Array | BigInt64Array
>([
  [LOSS_SCALE, Float32Array.of(LOSS_SCALING.initial)],
  [SCALED_STEPS, BigInt64Array.of(0n)],
]);

/** The state on the device as tensors to store, in the manifest's order. */
export async function storedState(session: TrainingSession): Promise<StoredTensor[]> {
  const state = await session.device.readState();
  return [...state].map(([name, { dtype, shape, data }]) => ({
    name,
    dtype,
    shape,
    data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  }));
}

/**
 * Checks a checkpoint against the session and returns all state tensors of the session. E_CKPT_MISMATCH lists
 * every tensor that lacks, is too many or has another type, and says when spec or labels are not those of the
 * checkpoint.
 */
export function readCheckpointState(
  session: Pick<TrainingSession, "manifest" | "fingerprint">,
  checkpoint: LoadedCheckpoint,
): { tensors: Map<string, Uint8Array>; progress: Progress } {
  const faults: string[] = [];
  const progress = checkpoint.progress as unknown as Progress;
  if (!progress.fingerprint || !progress.epochState || !Array.isArray(progress.history))
    faults.push("progress.json does not hold the progress of a trainer");
  else {
    if (progress.fingerprint.spec !== session.fingerprint.spec)
      faults.push("the spec is not the one that the checkpoint was trained with");
    if (progress.fingerprint.data !== session.fingerprint.data)
      faults.push("the training labels are not those that the checkpoint was trained with");
  }
  const tensors = new Map([...checkpoint.tensors].map(([name, { data }]) => [name, data]));
  for (const { name, dtype, shape } of session.manifest.state) {
    const stored = checkpoint.tensors.get(name);
    const fresh = FRESH_SCALING.get(name);
    if (!stored && fresh) tensors.set(name, new Uint8Array(fresh.slice().buffer));
    else if (!stored) faults.push(`${name} is missing`);
    else if (stored.dtype !== dtype || String(stored.shape) !== String(shape))
      faults.push(`${name}: expected ${dtype}[${shape}], found ${stored.dtype}[${stored.shape}]`);
  }
  const known = new Set(session.manifest.state.map(({ name }) => name));
  for (const name of checkpoint.tensors.keys()) {
    if (known.has(name)) continue;
    if (FRESH_SCALING.has(name)) tensors.delete(name);
    else faults.push(`${name} is not of this model`);
  }
  if (faults.length > 0)
    throw new MttcError(
      faults.map((message) => ({ code: "E_CKPT_MISMATCH" as const, message, at: { file: checkpoint.path } })),
    );
  return { tensors, progress };
}

/** All parameters by name: from the device where they are trained, else from `frozenValue`. */
export async function parameterValues(
  session: TrainingSession,
  frozenValue: (parameter: ParameterEntry) => Float32Array,
): Promise<Map<string, Float32Array>> {
  const state = await session.device.readState(
    (entry) => entry.group !== "slot" && entry.group !== "counter",
  );
  return new Map(
    session.manifest.parameters.map((parameter) => {
      const trained = state.get(parameter.name)?.data;
      return [parameter.name, trained instanceof Float32Array ? trained : frozenValue(parameter)];
    }),
  );
}
