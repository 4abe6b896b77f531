// A shard of a packed cache: records of one kind in a file, and beside it a JSON file that says which source
// each record came from. The JSON file is written last, so a shard exists whole or not at all. What records
// hold is the business of who packs (packKind.ts: images).
//   shard-00000.bin   4096 bytes of header, the records, a CRC-32 (uint32, little endian) per record
//   shard-00000.json  recipe, size, SHA-256 of what follows the header, per record [path, bytes, mtimeMs,
//                     SHA-256], and the records' lengths where they differ
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { type Fault, type Location, MttcError } from "../../compiler/diagnostics.ts";
import { fileError, systemCode } from "../files/fileSystem.ts";

export const HEADER_BYTES = 4_096;
export const CRC_BYTES = 4;
/** Of the layout of these files; part of every recipe. */
export const SHARD_VERSION = 2;
const MAGIC = "MTTCPACK";
const INDEX_FORMAT = "mttc-pack";
const SHARD_NAME = /^shard-(\d{5})\.(json|bin)$/;

/** What the records of a pack are. */
export interface RecordKind {
  /** SHA-256 in hex of all that decides a record's bytes: packs of other recipes are other packs. */
  readonly recipe: string;
  /** Bytes of every record; undefined where each has a length of its own. */
  readonly recordBytes: number | undefined;
  /** For people who look into the file: what a record holds, and its shape. */
  readonly encoding: "uint8" | "uint16" | "float32" | "jpeg";
  readonly shape: readonly number[];
}

/** Where a record came from: path, bytes, modification time in ms, SHA-256 in hex. */
export type PackSource = readonly [path: string, sizeBytes: number, mtimeMs: number, sha256: string];

/** Content of a shard's JSON file. */
export interface ShardIndex {
  readonly format: typeof INDEX_FORMAT;
  readonly recipe: string;
  /** Of the .bin file. */
  readonly sizeBytes: number;
  /** Of the .bin file from the end of its header. */
  readonly sha256: string;
  readonly sources: readonly PackSource[];
  /** Bytes of each record; only where they differ. */
  readonly lengths?: readonly number[];
}

/** A shard of a folder: its number and its index. */
export interface Shard {
  readonly number: number;
  /** The .bin file. */
  readonly file: string;
  readonly index: ShardIndex;
}

/** The files of shard `number` in a folder. */
export function shardFiles(folder: string, number: number): { data: string; index: string } {
  const name = join(folder, `shard-${String(number).padStart(5, "0")}`);
  return { data: `${name}.bin`, index: `${name}.json` };
}

/** The header of a shard: magic, version, count, bytes of a record (0: their own), what they are, recipe. */
export function shardHeader({ recipe, recordBytes, encoding, shape }: RecordKind, count: number): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  const text = JSON.stringify({ encoding, shape, recipe });
  header.write(MAGIC, 0, "latin1");
  for (const [place, number] of [SHARD_VERSION, count, recordBytes ?? 0, text.length].entries())
    header.writeUInt32LE(number, MAGIC.length + 4 * place);
  header.write(text, MAGIC.length + 16, "latin1");
  return header;
}

/** The JSON file of a shard as text. */
export function shardIndexText(index: Omit<ShardIndex, "format">): string {
  return `${JSON.stringify({ format: INDEX_FORMAT, ...index })}\n`;
}

/** Where the records of a shard begin in its .bin file, and, last, where they end. */
export function recordOffsets(
  { recordBytes = 0 }: RecordKind,
  { sources, lengths }: ShardIndex,
): Float64Array {
  const offsets = new Float64Array(sources.length + 1).fill(HEADER_BYTES);
  for (let record = 0; record < sources.length; record++)
    offsets[record + 1] = (offsets[record] ?? 0) + (lengths?.[record] ?? recordBytes);
  return offsets;
}

/** Numbers of the shards of a folder, by their JSON (whole shards) or .bin files; none without a folder. */
export async function shardNumbers(folder: string, kind: "json" | "bin"): Promise<number[]> {
  const found = (await namesIn(folder)).map((name) => SHARD_NAME.exec(name));
  return found.flatMap((match) => (match?.[2] === kind ? [Number(match[1])] : [])).sort((a, b) => a - b);
}

/** The shards of a folder by number; none where there is no folder. E_SHARD_META, E_FILE. */
export async function readShards(folder: string, kind: RecordKind): Promise<Shard[]> {
  const shards: Shard[] = [];
  for (const number of await shardNumbers(folder, "json")) {
    const { data: file, index: indexFile } = shardFiles(folder, number);
    const index = parseIndex(await readText(indexFile), indexFile);
    const dataEnd = recordOffsets(kind, index).at(-1) ?? HEADER_BYTES;
    const hasLengths = index.lengths?.length === (kind.recordBytes ? undefined : index.sources.length);
    const isExpected = index.sizeBytes === dataEnd + CRC_BYTES * index.sources.length && hasLengths;
    if (index.recipe !== kind.recipe || !isExpected)
      throw refuse("E_SHARD_META", "the shard is of another recipe or count", { file: indexFile });
    shards.push({ number, file, index });
  }
  return shards;
}

/**
 * Reads a shard once. E_SHARD_META where its length or header is wrong, E_SHARD_CRC where its SHA-256 is,
 * with the sources of the damaged records.
 */
export async function verifyShard({ file, index }: Shard, kind: RecordKind): Promise<void> {
  const { sources, sizeBytes, sha256 } = index;
  const records = new RecordChecksums(recordOffsets(kind, index));
  let length = 0;
  try {
    for await (const piece of createReadStream(file, { highWaterMark: 2 ** 20 }) as AsyncIterable<Buffer>) {
      records.add(piece);
      length += piece.length;
    }
  } catch (error) {
    throw fileError(error, file, "read the packed records");
  }
  if (length !== sizeBytes || !records.header.equals(shardHeader(kind, sources.length)))
    throw refuse("E_SHARD_META", `the header or the length (${length}) of the shard is wrong`, { file });
  if (records.hash.digest("hex") === sha256) return;
  const damaged = records.damaged().map((record) => sources[record]?.[0] ?? "");
  const named = damaged.slice(0, 5).join(", ");
  const where = damaged.length > 0 ? `the records of ${damaged.length} images (${named})` : "its checksums";
  throw refuse("E_SHARD_CRC", `the shard is damaged: ${where}`, { file });
}

/** SHA-256 of a shard and CRC-32 of each of its records, as it passes by in pieces. */
class RecordChecksums {
  readonly header = Buffer.alloc(HEADER_BYTES);
  /** Of what follows the header. */
  readonly hash = createHash("sha256");
  readonly #offsets: Float64Array;
  readonly #sums: Uint32Array;
  readonly #footer: Buffer;
  #record = 0;
  #at = 0;

  constructor(offsets: Float64Array) {
    this.#offsets = offsets;
    this.#sums = new Uint32Array(offsets.length - 1);
    this.#footer = Buffer.alloc(this.#sums.length * CRC_BYTES);
  }

  add(piece: Buffer): void {
    const inHeader = Math.min(piece.length, Math.max(0, HEADER_BYTES - this.#at));
    piece.copy(this.header, this.#at, 0, inHeader);
    this.hash.update(piece.subarray(inHeader));
    this.#at += inHeader;
    for (let from = inHeader; from < piece.length; ) {
      const isRecord = this.#record < this.#sums.length;
      const end = isRecord ? (this.#offsets[this.#record + 1] ?? 0) : Number.POSITIVE_INFINITY;
      const part = piece.subarray(from, from + Math.min(piece.length - from, end - this.#at));
      if (isRecord) this.#sums[this.#record] = crc32(part, this.#sums[this.#record]);
      else part.copy(this.#footer, this.#at - (this.#offsets.at(-1) ?? 0));
      this.#at += part.length;
      from += part.length;
      if (isRecord && this.#at === end) this.#record++;
    }
  }

  damaged(): number[] {
    return [...this.#sums.keys()].filter(
      (record) => this.#footer.readUInt32LE(record * CRC_BYTES) !== this.#sums[record],
    );
  }
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (systemCode(error) === "ENOENT") return [];
    throw fileError(error, folder, "read the packed records");
  }
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    throw fileError(error, file, "read the packed records");
  }
}

function parseIndex(text: string, file: string): ShardIndex {
  try {
    const index = JSON.parse(text) as Partial<ShardIndex> | null;
    const isWhole =
      index?.format === INDEX_FORMAT &&
      typeof index.recipe === "string" &&
      typeof index.sha256 === "string" &&
      Array.isArray(index.sources) &&
      index.sources.every(isSource) &&
      (index.lengths === undefined || isLengths(index.lengths));
    if (isWhole) return index as ShardIndex;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw refuse("E_SHARD_META", "does not describe a shard of packed records", { file });
}

function isLengths(lengths: unknown): boolean {
  return Array.isArray(lengths) && lengths.every((length) => Number.isSafeInteger(length) && length > 0);
}

function isSource(source: unknown): boolean {
  if (!Array.isArray(source) || source.length !== 4) return false;
  const [path, size, time, sha256] = source as readonly unknown[];
  return [path, sha256].every((part) => typeof part === "string") && [size, time].every(Number.isFinite);
}

function refuse(code: Fault["code"], message: string, at: Location): MttcError {
  const hint = "remove this folder of packed records: it is written again from the sources";
  return new MttcError({ code, message, at, hint });
}
