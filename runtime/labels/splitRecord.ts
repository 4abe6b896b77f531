// Which image of a label table lies in which part of a split: eight bytes an image, so that a run finds the
// very rows again when the table has grown or lies in another order. In: keys of images and their parts.
// Out: the part of an image, or that the split did not know it.
import { dirname, sep } from "node:path";
import type { LabelTable } from "../tables/labelTable.ts";
import { digestOf } from "./splitUnits.ts";

/** Parts of the rows of a run. */
export const SPLITS = ["train", "val", "test"] as const;
export type Split = (typeof SPLITS)[number];

/** Bits of an entry that say the part; the others are of the image's key. */
const PART_BITS = 2n;
const PART_MASK = 3n;

/**
 * A number for each row's image that tells it from others: of its path from `folder` on where it lies below
 * it, so that a project may be moved, else of its whole path.
 */
export function imageKeys({ paths }: Pick<LabelTable, "paths">, folder: string): BigUint64Array {
  const keys = new BigUint64Array(paths.length);
  const start = folder.endsWith(sep) ? folder : `${folder}${sep}`;
  let row = 0;
  for (const path of paths) {
    const own = path.startsWith(start) ? path.slice(start.length) : path;
    keys[row++] = digestOf(`image ${own.split(sep).join("/")}`);
  }
  return keys;
}

/** The folder that paths of a table are known from: its own; of rows in memory `base`. */
export function keyFolder(file: string | undefined, isFolder: boolean, base: string): string {
  if (file === undefined) return base;
  return isFolder ? file : dirname(file);
}

export class SplitRecord {
  /** Sorted: an image's key, its last two bits replaced by its part. */
  readonly #entries: BigUint64Array;

  /** `entries` as `bytes` gave them. */
  constructor(entries: BigUint64Array) {
    this.#entries = entries;
  }

  /** Of rows: their images' keys, and for each a place in SPLITS. */
  static of(keys: BigUint64Array, parts: Int32Array): SplitRecord {
    const entries = keys.map((key, row) => ((key >> PART_BITS) << PART_BITS) | BigInt(parts[row] ?? 0));
    return new SplitRecord(entries.sort());
  }

  /** How many rows there were. */
  get rows(): number {
    return this.#entries.length;
  }

  /** Rows of a part. */
  rowsOf(split: Split): number {
    const part = BigInt(SPLITS.indexOf(split));
    let rows = 0;
    for (const entry of this.#entries) if ((entry & PART_MASK) === part) rows++;
    return rows;
  }

  /** The place in SPLITS of an image's part; undefined where the split did not know it. */
  partOf(key: bigint): number | undefined {
    const wanted = key >> PART_BITS;
    let [low, high] = [0, this.#entries.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#entries[middle] ?? 0n) >> PART_BITS < wanted) low = middle + 1;
      else high = middle;
    }
    const entry = this.#entries[low];
    return entry !== undefined && entry >> PART_BITS === wanted ? Number(entry & PART_MASK) : undefined;
  }

  /** The entries, little endian, eight bytes each. */
  bytes(): Buffer {
    const bytes = Buffer.alloc(8 * this.#entries.length);
    for (const [i, entry] of this.#entries.entries()) bytes.writeBigUInt64LE(entry, 8 * i);
    return bytes;
  }

  /** What `bytes` gave; undefined for bytes that it cannot have given. */
  static from(bytes: Buffer): SplitRecord | undefined {
    if (bytes.length === 0 || bytes.length % 8 !== 0) return undefined;
    const entries = new BigUint64Array(bytes.length / 8);
    for (let i = 0; i < entries.length; i++) {
      const entry = bytes.readBigUInt64LE(8 * i);
      if (i > 0 && entry < (entries[i - 1] ?? 0n)) return undefined;
      if ((entry & PART_MASK) >= BigInt(SPLITS.length)) return undefined;
      entries[i] = entry;
    }
    return new SplitRecord(entries);
  }
}
