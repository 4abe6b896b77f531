// A checkpoint of ONNX Runtime Training as bytes: one flatbuffer with the identifier ODTC. Tables and the
// order of their fields: onnxruntime/core/flatbuffers/schema/ort_training_checkpoint.fbs and ort.fbs of ONNX
// Runtime 1.17 to 1.19. readTrainingCheckpoint.ts reads it back. The same content gives the same bytes.
import { Builder } from "flatbuffers";
import { InternalError } from "../diagnostics.ts";

export const CHECKPOINT_IDENTIFIER = "ODTC";
/** Name of the one group of parameters that the runtime knows. */
export const OPTIMIZER_GROUP = "group0";

/** Slots of the fields of each table. */
export const CHECKPOINT_FIELDS = {
  checkpoint: { version: 0, module: 1, optimizerGroups: 2, properties: 3 },
  module: { trained: 0, frozen: 1, isNominal: 2, hasExternalData: 3 },
  tensor: { name: 0, doc: 1, dims: 2, dataType: 3, rawData: 4, strings: 5, externalOffset: 6 },
  group: { name: 0, step: 1, learningRate: 2, states: 3 },
  state: { parameter: 0, moments: 1 },
  properties: { ints: 0, floats: 1, strings: 2 },
  property: { name: 0, value: 1 },
} as const;

/** ONNX's number of float32, the one type that optimizers on a CPU take. */
export const CHECKPOINT_FLOAT32 = 1;

/** A float32 tensor, row-major. */
export interface CheckpointTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** What the optimizer remembers of a parameter: momentum0, momentum1, ... */
export interface CheckpointMoments {
  readonly parameter: string;
  readonly moments: readonly CheckpointTensor[];
}

/** What a checkpoint holds. */
export interface TrainingCheckpoint {
  /** 1: of ONNX Runtime 1.17; 2: of 1.18 and 1.19. Each takes its own alone. */
  readonly version: number;
  /** Parameters with gradients. */
  readonly trained: readonly CheckpointTensor[];
  /** Parameters without. */
  readonly frozen: readonly CheckpointTensor[];
  /** Absent before the first step of the optimizer. */
  readonly optimizer?: { readonly step: number; readonly states: readonly CheckpointMoments[] } | undefined;
  /** Texts that whoever runs it may read and change. */
  readonly properties: ReadonlyMap<string, string>;
}

/** The bytes of a checkpoint. */
export function encodeTrainingCheckpoint(checkpoint: TrainingCheckpoint): Uint8Array {
  const b = new Builder(1 << 16);
  const { module, checkpoint: root } = CHECKPOINT_FIELDS;
  const trained = vectorOf(
    b,
    checkpoint.trained.map((tensor) => tensorOf(b, tensor)),
  );
  const frozen = vectorOf(
    b,
    checkpoint.frozen.map((tensor) => tensorOf(b, tensor)),
  );
  const modules = tableOf(b, module, () => {
    b.addFieldOffset(module.trained, trained, 0);
    b.addFieldOffset(module.frozen, frozen, 0);
    b.addFieldInt8(module.isNominal, 0, 0);
    b.addFieldInt8(module.hasExternalData, 0, 0);
  });
  const groups = vectorOf(b, checkpoint.optimizer ? [groupOf(b, checkpoint.optimizer)] : []);
  const properties = propertiesOf(b, checkpoint.properties);
  const whole = tableOf(b, root, () => {
    b.addFieldInt32(root.version, checkpoint.version, 0);
    b.addFieldOffset(root.module, modules, 0);
    b.addFieldOffset(root.optimizerGroups, groups, 0);
    b.addFieldOffset(root.properties, properties, 0);
  });
  b.finish(whole, CHECKPOINT_IDENTIFIER);
  return b.asUint8Array();
}

/** A table; `fill` adds its fields, whose values are there already: the library builds from the inside out. */
function tableOf(b: Builder, fields: Readonly<Record<string, number>>, fill: () => void): number {
  b.startObject(Object.keys(fields).length);
  fill();
  return b.endObject();
}

/** A vector of tables or texts, in order. */
function vectorOf(b: Builder, offsets: readonly number[]): number {
  b.startVector(4, offsets.length, 4);
  for (const offset of offsets.toReversed()) b.addOffset(offset);
  return b.endVector();
}

function tensorOf(b: Builder, { name, shape, data }: CheckpointTensor): number {
  const { tensor } = CHECKPOINT_FIELDS;
  if (shape.reduce((product, size) => product * size, 1) !== data.length)
    throw new InternalError(`${name} [${shape}] has ${data.length} numbers`);
  const text = b.createString(name);
  b.startVector(8, shape.length, 8);
  for (const size of shape.toReversed()) b.addInt64(BigInt(size));
  const dims = b.endVector();
  const bytes = b.createByteVector(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  return tableOf(b, tensor, () => {
    b.addFieldOffset(tensor.name, text, 0);
    b.addFieldOffset(tensor.dims, dims, 0);
    b.addFieldInt32(tensor.dataType, CHECKPOINT_FLOAT32, 0);
    b.addFieldOffset(tensor.rawData, bytes, 0);
  });
}

function groupOf(b: Builder, { step, states }: NonNullable<TrainingCheckpoint["optimizer"]>): number {
  const { group, state } = CHECKPOINT_FIELDS;
  const tables = states.map(({ parameter, moments }) => {
    const name = b.createString(parameter);
    const tensors = vectorOf(
      b,
      moments.map((tensor) => tensorOf(b, tensor)),
    );
    return tableOf(b, state, () => {
      b.addFieldOffset(state.parameter, name, 0);
      b.addFieldOffset(state.moments, tensors, 0);
    });
  });
  const name = b.createString(OPTIMIZER_GROUP);
  const list = vectorOf(b, tables);
  return tableOf(b, group, () => {
    b.addFieldOffset(group.name, name, 0);
    b.addFieldInt64(group.step, BigInt(step), 0n);
    b.addFieldOffset(group.states, list, 0);
  });
}

function propertiesOf(b: Builder, texts: ReadonlyMap<string, string>): number {
  const { properties, property } = CHECKPOINT_FIELDS;
  const tables = [...texts].map(([key, text]) => {
    const [name, value] = [b.createString(key), b.createString(text)];
    return tableOf(b, property, () => {
      b.addFieldOffset(property.name, name, 0);
      b.addFieldOffset(property.value, value, 0);
    });
  });
  const [ints, floats, strings] = [vectorOf(b, []), vectorOf(b, []), vectorOf(b, tables)];
  return tableOf(b, properties, () => {
    b.addFieldOffset(properties.ints, ints, 0);
    b.addFieldOffset(properties.floats, floats, 0);
    b.addFieldOffset(properties.strings, strings, 0);
  });
}
