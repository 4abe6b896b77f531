// The bytes of a checkpoint of ONNX Runtime Training -> its tensors. The file may be damaged or hostile:
// every offset is checked against the file's end before it is followed, sizes before anything of that size is
// made, and a part that is reached many times counts each time. In: what that runtime, or
// trainingCheckpoint.ts, wrote.
import { MttcError } from "../diagnostics.ts";
import {
  CHECKPOINT_FIELDS,
  CHECKPOINT_FLOAT32,
  CHECKPOINT_IDENTIFIER,
  type CheckpointMoments,
  type CheckpointTensor,
  OPTIMIZER_GROUP,
  type TrainingCheckpoint,
} from "./trainingCheckpoint.ts";

/** What is said of an offset that leads out of the file. */
const BEYOND = "is cut short, or an offset leads out of it";
/** Sizes of a tensor's shape, at most. */
const MOST_DIMS = 32;

/** Whether a file begins as such a checkpoint does. */
export function isTrainingCheckpoint(head: Uint8Array): boolean {
  return new TextDecoder("latin1").decode(head.subarray(4, 8)) === CHECKPOINT_IDENTIFIER;
}

/** `file` is for messages. E_CKPT_CORRUPT for anything that is not a whole checkpoint of float32 tensors. */
export function readTrainingCheckpoint(bytes: Uint8Array, file: string): TrainingCheckpoint {
  if (!isTrainingCheckpoint(bytes))
    throw corrupt("does not begin as a checkpoint of ONNX Runtime Training", file);
  try {
    return new FlatReader(bytes).checkpoint();
  } catch (error) {
    if (error instanceof RangeError) throw corrupt(BEYOND, file, error);
    if (error instanceof UnreadableError) throw corrupt(error.message, file, error);
    throw error;
  }
}

function corrupt(message: string, file: string, cause?: unknown): MttcError {
  return new MttcError({ code: "E_CKPT_CORRUPT", message, at: { file } }, { cause });
}

/** What is wrong with a file, as a clause. */
class UnreadableError extends Error {
  override readonly name = "UnreadableError";
}

/** Follows the offsets of a flatbuffer; a DataView throws RangeError beyond the end. */
class FlatReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  /** Bytes that may still be handed out: a file that reaches one part many times ends here. */
  #budget: number;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#budget = bytes.length;
  }

  checkpoint(): TrainingCheckpoint {
    const { checkpoint, module, properties, property } = CHECKPOINT_FIELDS;
    const root = this.#view.getUint32(0, true);
    const modules = this.#needTable(root, checkpoint.module, "module state");
    if (this.#flag(modules, module.isNominal))
      throw new UnreadableError("is a nominal checkpoint: it holds names alone, no weights");
    if (this.#flag(modules, module.hasExternalData))
      throw new UnreadableError("has its weights in a file of their own, which is not read");
    const tensors = (slot: number) => this.#tables(modules, slot).map((table) => this.#tensor(table));
    const group = this.#tables(root, checkpoint.optimizerGroups).find(
      (table) => this.#text(table, CHECKPOINT_FIELDS.group.name) === OPTIMIZER_GROUP,
    );
    const bag = this.#table(root, checkpoint.properties);
    const texts = bag === undefined ? [] : this.#tables(bag, properties.strings);
    return {
      version: this.#int32(root, checkpoint.version),
      ...{ trained: tensors(module.trained), frozen: tensors(module.frozen) },
      optimizer: group === undefined ? undefined : this.#optimizer(group),
      properties: new Map(
        texts.map((table) => [this.#text(table, property.name), this.#text(table, property.value)]),
      ),
    };
  }

  #optimizer(table: number): NonNullable<TrainingCheckpoint["optimizer"]> {
    const { group, state } = CHECKPOINT_FIELDS;
    const at = this.#field(table, group.step);
    const step = at === undefined ? 0 : Number(this.#view.getBigInt64(at, true));
    if (!Number.isSafeInteger(step) || step < 0) throw new UnreadableError(`counts ${step} steps`);
    const states = this.#tables(table, group.states).map((each): CheckpointMoments => {
      const moments = this.#tables(each, state.moments).map((tensor) => this.#tensor(tensor));
      return { parameter: this.#text(each, state.parameter), moments };
    });
    return { step, states };
  }

  #tensor(table: number): CheckpointTensor {
    const { tensor } = CHECKPOINT_FIELDS;
    const name = this.#text(table, tensor.name);
    const quoted = JSON.stringify(name);
    if (this.#int32(table, tensor.dataType) !== CHECKPOINT_FLOAT32)
      throw new UnreadableError(`the tensor ${quoted} is not of float32`);
    const dims = this.#vector(table, tensor.dims, 8);
    if (dims.length > MOST_DIMS) throw new UnreadableError(`the tensor ${quoted} has ${dims.length} axes`);
    const shape = Array.from({ length: dims.length }, (_, i) =>
      Number(this.#view.getBigInt64(dims.start + 8 * i, true)),
    );
    const { start, length } = this.#vector(table, tensor.rawData, 1);
    if (shape.some((size) => size < 0) || 4 * shape.reduce((product, size) => product * size, 1) !== length)
      throw new UnreadableError(`the tensor ${quoted} [${shape}] has ${length} bytes`);
    const data = new Float32Array(length / 4);
    for (let i = 0; i < data.length; i++) data[i] = this.#view.getFloat32(start + 4 * i, true);
    return { name, shape, data };
  }

  /** Where a field lies, by the table's own list of them; undefined where it has its default. */
  #field(table: number, slot: number): number | undefined {
    const list = table - this.#view.getInt32(table, true);
    const entry = 4 + 2 * slot;
    const offset = entry < this.#view.getUint16(list, true) ? this.#view.getUint16(list + entry, true) : 0;
    return offset === 0 ? undefined : table + offset;
  }

  #table(table: number, slot: number): number | undefined {
    const at = this.#field(table, slot);
    return at === undefined ? undefined : at + this.#view.getUint32(at, true);
  }

  #needTable(table: number, slot: number, what: string): number {
    const found = this.#table(table, slot);
    if (found === undefined) throw new UnreadableError(`has no ${what}`);
    return found;
  }

  #int32(table: number, slot: number): number {
    const at = this.#field(table, slot);
    return at === undefined ? 0 : this.#view.getInt32(at, true);
  }

  #flag(table: number, slot: number): boolean {
    const at = this.#field(table, slot);
    return at !== undefined && this.#view.getUint8(at) !== 0;
  }

  /** Elements of a vector, which lie within the file; none where it is absent. */
  #vector(table: number, slot: number, elementBytes: number): { start: number; length: number } {
    const place = this.#table(table, slot);
    if (place === undefined) return { start: 0, length: 0 };
    const length = this.#view.getUint32(place, true);
    const start = place + 4;
    if (start + length * elementBytes > this.#bytes.length) throw new UnreadableError(BEYOND);
    this.#budget -= length * elementBytes;
    if (this.#budget < 0) throw new UnreadableError("holds one part many times");
    return { start, length };
  }

  #tables(table: number, slot: number): number[] {
    const { start, length } = this.#vector(table, slot, 4);
    return Array.from({ length }, (_, i) => start + 4 * i + this.#view.getUint32(start + 4 * i, true));
  }

  #text(table: number, slot: number): string {
    const { start, length } = this.#vector(table, slot, 1);
    return new TextDecoder().decode(this.#bytes.subarray(start, start + length));
  }
}
