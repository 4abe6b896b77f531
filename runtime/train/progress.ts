// Checkpoints of a run: device state <-> stored tensors, and what else a run needs to go on to the same bits.

import { z } from "zod";
import { evaluatedState, type Manifest, type ParameterEntry } from "../../compiler/bundle/manifest.ts";
import { tasksOf } from "../../compiler/bundle/manifestTasks.ts";
import type { StoredTensor } from "../../compiler/codec/safetensors.ts";
import { MttcError } from "../../compiler/diagnostics.ts";
import { LOSS_SCALE, LOSS_SCALING, SCALED_STEPS } from "../../compiler/step/lossScaling.ts";
import type { Task } from "../../compiler/tasks/task.ts";
import type { HostTensor } from "../ort/ortHost.ts";
import type { LoadedCheckpoint } from "../runs/checkpoints.ts";
import { refuseOtherTensors } from "../runs/checkpointTensors.ts";
import { type Fingerprint, readFingerprint } from "../runs/fingerprint.ts";
import type { EpochState } from "./epochLoop.ts";
import type { EpochReport } from "./events.ts";
import { readHistory } from "./runHistory.ts";
import type { TrainingDevice } from "./trainingDevice.ts";

/** progress.json of a checkpoint; there `history` is what storedHistory makes of it. */
export interface Progress {
  /** The unfinished epoch, if any. */
  readonly epochState: EpochState;
  readonly history: readonly EpochReport[];
  readonly fingerprint: Fingerprint;
  /** Steps of the whole run as planned when it began; absent in those of earlier versions. */
  readonly plannedSteps?: number | undefined;
}

/** What an epoch's sums hold; JSON has no NaN, a loss that was none is null. */
const sum = z
  .number()
  .nullable()
  .transform((value) => value ?? Number.NaN);
/** Names of sums as steps give them; before tasks had kinds, that of the loss was another. */
function withNames({ lossSum, ...sums }: Record<string, number>): Record<string, number> {
  return lossSum === undefined ? sums : { loss_sum: lossSum, ...sums };
}

const progressSchema = z.object({
  epochState: z.object({
    step: z.int().nonnegative(),
    sums: z.record(z.string(), z.record(z.string(), sum).transform(withNames)),
    ...{ seconds: sum, waitedSeconds: sum },
    gradients: z.record(z.string(), z.tuple([z.number(), z.number()])).optional(),
  }),
  plannedSteps: z.int().positive().optional(),
});

/**
 * What the loss scaling of mixed precision starts from. It is state of a run on CUDA alone: the same run is
 * evaluated, exported or gone on with on the CPU without it, and takes it up afresh on CUDA.
 */
export const FRESH_SCALING: ReadonlyMap<string, Float32Array | BigInt64Array> = new Map<
  string,
  Float32Array | BigInt64Array
>([
  [LOSS_SCALE, Float32Array.of(LOSS_SCALING.initial)],
  [SCALED_STEPS, BigInt64Array.of(0n)],
]);

/** Tensors that a checkpoint may lack, or have too many. */
export const OPTIONAL_STATE: ReadonlySet<string> = new Set(FRESH_SCALING.keys());

/** Where the state of a run lies; a training session has it. */
export interface StateOfRun {
  readonly device: Pick<TrainingDevice, "readState">;
}

/** The state on the device as tensors to store, in the manifest's order. */
export async function storedState({ device }: StateOfRun): Promise<StoredTensor[]> {
  return storedTensors(await device.readState());
}

/** State tensors as a checkpoint holds them. */
export function storedTensors(state: ReadonlyMap<string, HostTensor>): StoredTensor[] {
  return [...state].map(([name, { dtype, shape, data }]) => ({
    name,
    dtype,
    shape,
    data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  }));
}

/**
 * Progress of a checkpoint of a run with these tasks, checked: E_CKPT_CORRUPT where the file does not hold
 * that of a trainer.
 */
export function readProgress(
  { progress, path }: Pick<LoadedCheckpoint, "progress" | "path">,
  tasks: readonly Task[],
): Progress {
  const fingerprint = readFingerprint(progress, path);
  const parsed = progressSchema.safeParse(progress);
  if (parsed.success)
    return {
      ...parsed.data,
      history: readHistory(progress.history, tasks, path, monitorOf(fingerprint)),
      fingerprint,
    };
  const [issue] = parsed.error.issues;
  const message = `progress.json does not hold what mttc wrote: ${issue?.path.join(".")}: ${issue?.message}`;
  throw new MttcError({ code: "E_CKPT_CORRUPT", message, at: { file: path } }, { cause: parsed.error });
}

/** What the epochs were compared by; undefined where an earlier version trained. */
function monitorOf({ spec }: Fingerprint): string | undefined {
  return typeof spec === "object" && typeof spec.monitor === "string" ? spec.monitor : undefined;
}

/**
 * All state tensors of a run from a checkpoint, and its progress. E_CKPT_MISMATCH says for each part of
 * the network what lacks, is too many or has another type; E_CKPT_CORRUPT as readProgress.
 */
export function readCheckpointState(
  manifest: Pick<Manifest, "state" | "tasks">,
  checkpoint: LoadedCheckpoint,
): { tensors: Map<string, Uint8Array>; progress: Progress } {
  const { state } = manifest;
  refuseOtherTensors(state, checkpoint, OPTIONAL_STATE);
  const tensors = new Map(
    state.map(({ name }) => {
      const fresh = FRESH_SCALING.get(name);
      const stored = checkpoint.tensors.get(name)?.data;
      return [name, stored ?? new Uint8Array(fresh?.slice().buffer ?? new ArrayBuffer(0))];
    }),
  );
  return { tensors, progress: readProgress(checkpoint, tasksOf(manifest)) };
}

/**
 * All parameters by name, trained ones from the device as evaluations read them (their averages, where the
 * run keeps them), others from `frozenValue`.
 */
export async function parameterValues(
  { device, manifest }: StateOfRun & { readonly manifest: Pick<Manifest, "parameters" | "graphs"> },
  frozenValue: (parameter: ParameterEntry) => Float32Array,
): Promise<Map<string, Float32Array>> {
  const evaluated = evaluatedState(manifest);
  const stateOf = (parameter: string): string => evaluated.get(parameter) ?? parameter;
  const wanted = new Set(manifest.parameters.map(({ name }) => stateOf(name)));
  const state = await device.readState(({ name }) => wanted.has(name));
  return new Map(
    manifest.parameters.map((parameter) => {
      const trained = state.get(stateOf(parameter.name))?.data;
      return [parameter.name, trained instanceof Float32Array ? trained : frozenValue(parameter)];
    }),
  );
}
