// constants.bin: large constants, once, shared by all graphs of a bundle as ONNX external data.

/** Where a constant lies, in ONNX's words. */
export interface ConstantPlace {
  readonly location: string;
  readonly offset: number;
  readonly length: number;
}

/** Constants smaller than this stay inside the graphs. */
const THRESHOLD_BYTES = 4096;
/** Offsets are multiples of this, so that tensors can be mapped into memory as they lie. */
const ALIGNMENT = 64;

export class ConstantsFile {
  readonly #location: string;
  readonly #placed = new Map<string, { readonly bytes: Uint8Array; readonly place: ConstantPlace }[]>();
  #size = 0;

  constructor(location: string) {
    this.#location = location;
  }

  /** The place of these bytes, the same for equal ones; undefined if they are too few to bother. */
  place(bytes: Uint8Array): ConstantPlace | undefined {
    if (bytes.length < THRESHOLD_BYTES) return undefined;
    const key = `${bytes.length}:${fingerprint(bytes)}`;
    const alike = this.#placed.get(key) ?? [];
    const known = alike.find((entry) => sameBytes(entry.bytes, bytes));
    if (known) return known.place;
    const place = { location: this.#location, offset: this.#size, length: bytes.length };
    this.#placed.set(key, [...alike, { bytes, place }]);
    this.#size = Math.ceil((this.#size + bytes.length) / ALIGNMENT) * ALIGNMENT;
    return place;
  }

  /** The file's content; empty when nothing was large enough. */
  bytes(): Uint8Array {
    const file = new Uint8Array(this.#size);
    for (const { bytes, place } of [...this.#placed.values()].flat()) file.set(bytes, place.offset);
    return file;
  }
}

/**
 * FNV-1a over the 32-bit words at a stride that keeps it cheap for large tensors; equality is checked in
 * full.
 */
function fingerprint(bytes: Uint8Array): number {
  const stride = Math.max(1, Math.floor(bytes.length / 4096));
  let hash = 0x811c9dc5;
  for (let i = 0; i < bytes.length; i += stride) hash = Math.imul(hash ^ (bytes[i] ?? 0), 0x01000193);
  return hash >>> 0;
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  if (a.buffer === b.buffer && a.byteOffset === b.byteOffset) return true;
  const [x, y] = [inWords(a), inWords(b)];
  const isWhole = x.length === y.length;
  const [from, to] = isWhole ? [x, y] : [a, b];
  for (let i = 0; i < from.length; i++) if (from[i] !== to[i]) return false;
  return true;
}

/** The bytes as 32-bit words where they lie so; else as they are. */
function inWords(bytes: Uint8Array): Uint8Array | Int32Array {
  const isAligned = bytes.byteOffset % 4 === 0 && bytes.length % 4 === 0;
  return isAligned ? new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4) : bytes;
}
