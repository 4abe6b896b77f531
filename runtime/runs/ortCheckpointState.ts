// A checkpoint of ONNX Runtime Training, as artifacts of `mttc compile --target ort-training` are trained to
// one, as the state that mttc itself keeps: the same tensors under the same names.
import { isTrainingCheckpoint, readTrainingCheckpoint } from "../../compiler/codec/readTrainingCheckpoint.ts";
import type { StoredTensor } from "../../compiler/codec/safetensors.ts";
import { tensorBytes } from "../../compiler/codec/tensorBytes.ts";
import type { CheckpointTensor, TrainingCheckpoint } from "../../compiler/codec/trainingCheckpoint.ts";
import { MttcError } from "../../compiler/diagnostics.ts";
import { OPTIMIZERS } from "../../compiler/step/optimizers.ts";
import { STEP_COUNTER, slotName } from "../../compiler/step/update.ts";

/** Name of what the runtime's AdamW remembers, before its number. */
const MOMENT = "momentum";
/** Who trained it, where a program does not say it in the property `driver`. */
const DRIVER = "ONNX Runtime Training";

/** A state and what its file says of it, as in a safetensors file of a driver. */
export interface OrtState {
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly metadata: Readonly<Record<string, string>>;
}

/**
 * The state in `bytes`; undefined where they are of another format. E_CKPT_CORRUPT for a damaged file,
 * E_CKPT_MISMATCH for one that was saved without what the optimizer remembers.
 */
export function readOrtState(bytes: Uint8Array, file: string): OrtState | undefined {
  if (!isTrainingCheckpoint(bytes)) return undefined;
  const { trained, frozen, optimizer, properties } = readTrainingCheckpoint(bytes, file);
  if (!optimizer || optimizer.states.length < trained.length) throw withoutOptimizer(file);
  const list = [
    ...[...trained, ...frozen].map((tensor) => stored(tensor.name, tensor)),
    ...optimizer.states.flatMap(slotsOf),
    counter(optimizer.step),
  ];
  const told = { driver: DRIVER, ...Object.fromEntries(properties), steps: String(optimizer.step) };
  // Of artifacts without a label table nobody knows how long an epoch is: then the user says how far it came.
  const metadata = properties.has("steps_per_epoch") ? told : {};
  return { tensors: new Map(list.map((tensor) => [tensor.name, tensor])), metadata };
}

function slotsOf({ parameter, moments }: NonNullable<TrainingCheckpoint["optimizer"]>["states"][number]) {
  const { slots } = OPTIMIZERS.adam;
  return moments.map((tensor) => {
    const slot = slots[Number(tensor.name.slice(MOMENT.length))] ?? tensor.name;
    return stored(slotName(parameter, slot), tensor);
  });
}

function stored(name: string, { shape, data }: CheckpointTensor): StoredTensor {
  return { name, dtype: "float32", shape, data: tensorBytes({ dtype: "float32", shape, data }) };
}

function counter(steps: number): StoredTensor {
  const data = tensorBytes({ dtype: "int64", shape: [], data: Float64Array.of(steps) });
  return { name: STEP_COUNTER, dtype: "int64", shape: [], data };
}

function withoutOptimizer(file: string): MttcError {
  return new MttcError({
    code: "E_CKPT_MISMATCH",
    message: "was saved without what the optimizer remembers, so that training cannot go on from it",
    at: { file },
    hint: "save it with the optimizer's state: include_optimizer_state=True in Python, true in the C API",
  });
}
