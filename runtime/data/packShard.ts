// A shard of the packed cache: decoded images of one format as fixed-size records in a file, and beside it a
// JSON file that says which source each record came from. The JSON file is written last, so a shard exists
// whole or not at all.
//   shard-00000.bin   4096 bytes of header, the records, a CRC-32 (uint32, little endian) per record
//   shard-00000.json  recipe, size and SHA-256 of the .bin, and per record [path, bytes, mtimeMs, SHA-256]
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import sharp from "sharp";
import { type Fault, type Location, MttcError } from "../../compiler/diagnostics.ts";
import { fileError, systemCode } from "../checkpoint/fileSystem.ts";
import { type ImageFormat, imageBytes } from "./images.ts";

export const HEADER_BYTES = 4_096;
export const CRC_BYTES = 4;
/** A shard holds at most this, at least one record. */
export const MAX_SHARD_BYTES = 2 ** 30;
const MAGIC = "MTTCPACK";
const VERSION = 1;
const INDEX_FORMAT = "mttc-pack";
const INDEX_NAME = /^shard-(\d{5})\.json$/;

/** Where a record came from: path, bytes, modification time in ms, SHA-256 in hex. */
export type PackSource = readonly [path: string, sizeBytes: number, mtimeMs: number, sha256: string];

/** Content of a shard's JSON file. */
export interface ShardIndex {
  readonly format: typeof INDEX_FORMAT;
  readonly recipe: string;
  /** Of the .bin file. */
  readonly sizeBytes: number;
  readonly sha256: string;
  readonly sources: readonly PackSource[];
}

/** A shard of a folder: its number and its index. */
export interface Shard {
  readonly number: number;
  /** The .bin file. */
  readonly file: string;
  readonly index: ShardIndex;
}

/**
 * SHA-256 in hex of all that decides a record's bytes: format, image library and how it is used. Packs of
 * other recipes are other packs.
 */
export function packRecipe(format: ImageFormat): string {
  const { sharp: library, vips } = sharp.versions;
  const { height, width, channels, greyscale } = format;
  const parts = { version: VERSION, height, width, channels, greyscale, library, vips };
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex");
}

/** The files of shard `number` in a folder. */
export function shardFiles(folder: string, number: number): { data: string; index: string } {
  const name = join(folder, `shard-${String(number).padStart(5, "0")}`);
  return { data: `${name}.bin`, index: `${name}.json` };
}

/** Bytes of a shard's .bin file. */
export function shardBytes(format: ImageFormat, count: number): number {
  return HEADER_BYTES + count * (imageBytes(format) + CRC_BYTES);
}

/** The header of a shard: magic, version, height, width, channels, count, recipe; zeros up to its end. */
export function shardHeader(format: ImageFormat, count: number): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.write(MAGIC, 0, "latin1");
  const numbers = [VERSION, format.height, format.width, format.channels, count];
  for (const [place, number] of numbers.entries()) header.writeUInt32LE(number, 8 + 4 * place);
  header.write(packRecipe(format), 8 + 4 * numbers.length, "hex");
  return header;
}

/** The JSON file of a shard as text. */
export function shardIndexText(format: ImageFormat, sha256: string, sources: readonly PackSource[]): string {
  const sizeBytes = shardBytes(format, sources.length);
  const index: ShardIndex = { format: INDEX_FORMAT, recipe: packRecipe(format), sizeBytes, sha256, sources };
  return `${JSON.stringify(index)}\n`;
}

/** The shards of a folder by number; none where there is no folder. E_SHARD_META, E_FILE. */
export async function readShards(folder: string, format: ImageFormat): Promise<Shard[]> {
  const shards: Shard[] = [];
  for (const name of (await namesIn(folder)).sort()) {
    const digits = INDEX_NAME.exec(name)?.[1];
    if (digits === undefined) continue;
    const number = Number(digits);
    const files = shardFiles(folder, number);
    const index = parseIndex(await readFile(files.index, "utf8"), files.index);
    if (index.recipe !== packRecipe(format) || index.sizeBytes !== shardBytes(format, index.sources.length))
      throw refuse("E_SHARD_META", "the shard is of another recipe or count", { file: files.index });
    shards.push({ number, file: files.data, index });
  }
  return shards;
}

/**
 * Reads a shard once. E_SHARD_META where its length or header is wrong, E_SHARD_CRC where its SHA-256 is,
 * with the sources of the damaged records.
 */
export async function verifyShard({ file, index }: Shard, format: ImageFormat): Promise<void> {
  const { sources, sizeBytes, sha256 } = index;
  const hash = createHash("sha256");
  const records = new RecordChecksums(format, sources.length);
  let length = 0;
  try {
    for await (const piece of createReadStream(file, { highWaterMark: 2 ** 20 }) as AsyncIterable<Buffer>) {
      hash.update(piece);
      records.add(piece);
      length += piece.length;
    }
  } catch (error) {
    throw fileError(error, file, "read the packed images");
  }
  if (length !== sizeBytes || !records.header.equals(shardHeader(format, sources.length)))
    throw refuse("E_SHARD_META", `the header or the length (${length}) of the shard is wrong`, { file });
  if (hash.digest("hex") === sha256) return;
  const damaged = records.damaged().map((record) => sources[record]?.[0] ?? "");
  const named = damaged.slice(0, 5).join(", ");
  const where = damaged.length > 0 ? `the records of ${damaged.length} images (${named})` : "its checksums";
  throw refuse("E_SHARD_CRC", `the shard is damaged: ${where}`, { file });
}

/** CRC-32 of each record of a shard that passes by in pieces. */
class RecordChecksums {
  readonly header = Buffer.alloc(HEADER_BYTES);
  private readonly sums: Uint32Array;
  private readonly footer: Buffer;
  private readonly recordBytes: number;
  private at = 0;

  constructor(format: ImageFormat, count: number) {
    this.recordBytes = imageBytes(format);
    this.sums = new Uint32Array(count);
    this.footer = Buffer.alloc(count * CRC_BYTES);
  }

  add(piece: Buffer): void {
    const dataEnd = HEADER_BYTES + this.sums.length * this.recordBytes;
    for (let from = 0; from < piece.length; ) {
      const offset = this.at - HEADER_BYTES;
      const record = Math.floor(offset / this.recordBytes);
      const inData = offset >= 0 && this.at < dataEnd;
      const end =
        offset < 0 ? HEADER_BYTES : inData ? HEADER_BYTES + (record + 1) * this.recordBytes : Infinity;
      const part = piece.subarray(from, from + Math.min(piece.length - from, end - this.at));
      if (inData) this.sums[record] = crc32(part, this.sums[record]);
      else if (offset < 0) part.copy(this.header, this.at);
      else part.copy(this.footer, this.at - dataEnd);
      this.at += part.length;
      from += part.length;
    }
  }

  damaged(): number[] {
    return [...this.sums.keys()].filter(
      (record) => this.footer.readUInt32LE(record * CRC_BYTES) !== this.sums[record],
    );
  }
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (systemCode(error) === "ENOENT") return [];
    throw fileError(error, folder, "read the packed images");
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
      index.sources.every(isSource);
    if (isWhole) return index as ShardIndex;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw refuse("E_SHARD_META", "does not describe a shard of packed images", { file });
}

function isSource(source: unknown): boolean {
  if (!Array.isArray(source) || source.length !== 4) return false;
  const [path, size, time, sha256] = source as readonly unknown[];
  return [path, sha256].every((part) => typeof part === "string") && [size, time].every(Number.isFinite);
}

function refuse(code: Fault["code"], message: string, at: Location): MttcError {
  const hint = "remove this folder of packed images: it is written again from the sources";
  return new MttcError({ code, message, at, hint });
}
