// Sources -> shards of the packed cache. Images are decoded once, as the loader would, in bounded memory,
// and every shard appears whole or not at all; all faults of all images are reported together.
import { createHash, type Hash } from "node:crypto";
import { type FileHandle, lstat, open, rename, rm } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { crc32 } from "node:zlib";
import { type Location, MttcError } from "../../compiler/diagnostics.ts";
import { siblingName, writeFileAtomically } from "../checkpoint/atomicDirectory.ts";
import { fileError } from "../checkpoint/fileSystem.ts";
import { FaultList } from "./faultList.ts";
import { readImageFile } from "./imageFile.ts";
import { decodeImage, type ImageFormat, imageBytes } from "./images.ts";
import {
  CRC_BYTES,
  HEADER_BYTES,
  MAX_SHARD_BYTES,
  type PackSource,
  shardFiles,
  shardHeader,
  shardIndexText,
} from "./packShard.ts";

/** An image to pack and where it is listed. */
export interface PackItem {
  readonly path: string;
  readonly place: Location;
}

export interface PackWriterOptions {
  readonly folder: string;
  readonly format: ImageFormat;
  /** Number of the first new shard. */
  readonly firstNumber: number;
  readonly onProgress?: ((done: number) => void) | undefined;
}

/**
 * Packs `items` into new shards. Throws the faults of all unreadable images (what readImageFile and
 * decodeImage throw), E_DISK, E_FILE; shards that were complete before stay and are used the next time.
 */
export async function writeShards(items: readonly PackItem[], options: PackWriterOptions): Promise<void> {
  const { folder, format, firstNumber, onProgress } = options;
  const recordBytes = imageBytes(format) + CRC_BYTES;
  const perShard = Math.max(1, Math.floor((MAX_SHARD_BYTES - HEADER_BYTES) / recordBytes));
  const faults = new FaultList();
  for (let from = 0; from < items.length; from += perShard) {
    const own = items.slice(from, from + perShard);
    const files = shardFiles(folder, firstNumber + from / perShard);
    await using writer = await ShardWriter.open(files.data, format, own.length);
    const sources = await fill(writer, own, format, faults, (done) => onProgress?.(from + done));
    if (sources === undefined) continue;
    const sha256 = await writer.finish();
    await writeFileAtomically(files.index, shardIndexText(format, sha256, sources));
  }
  faults.throwIfAny();
}

/** Decodes a piece of the shard while the piece before is written; undefined where an image is not usable. */
async function fill(
  writer: ShardWriter,
  items: readonly PackItem[],
  format: ImageFormat,
  faults: FaultList,
  onProgress: (done: number) => void,
): Promise<PackSource[] | undefined> {
  const piece = 8 * availableParallelism();
  const sources: PackSource[] = [];
  let writing = Promise.resolve();
  let isUsable = true;
  try {
    for (let from = 0; from < items.length; from += piece) {
      const decoded = await Promise.allSettled(
        items.slice(from, from + piece).map((item) => decodeItem(item, format)),
      );
      await writing;
      const records: Uint8Array[] = [];
      for (const result of decoded) {
        if (result.status === "fulfilled") {
          records.push(result.value.pixels);
          sources.push(result.value.source);
          continue;
        }
        isUsable = false;
        if (!(result.reason instanceof MttcError)) throw result.reason;
        for (const fault of result.reason.faults) faults.add(fault);
      }
      if (isUsable) writing = writer.write(records);
      // Awaited above or below; an error in between is not to end the process.
      writing.catch(() => undefined);
      onProgress(from + decoded.length);
    }
  } finally {
    await writing;
  }
  return isUsable ? sources : undefined;
}

async function decodeItem(
  { path, place }: PackItem,
  format: ImageFormat,
): Promise<{ pixels: Uint8Array; source: PackSource }> {
  const bytes = await readImageFile(path, place);
  const { mtimeMs } = await lstat(path);
  const pixels = await decodeImage(bytes, format, path, place);
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  return { pixels, source: [path, bytes.length, mtimeMs, sha256] };
}

/** One .bin file under a temporary name until `finish`. */
class ShardWriter implements AsyncDisposable {
  private readonly path: string;
  private readonly temporary: string;
  private readonly handle: FileHandle;
  private readonly hash: Hash = createHash("sha256");
  private readonly sums: number[] = [];

  private constructor(path: string, temporary: string, handle: FileHandle) {
    this.path = path;
    this.temporary = temporary;
    this.handle = handle;
  }

  static async open(path: string, format: ImageFormat, count: number): Promise<ShardWriter> {
    const temporary = siblingName(path, "tmp");
    try {
      const writer = new ShardWriter(path, temporary, await open(temporary, "wx"));
      await writer.append(shardHeader(format, count));
      return writer;
    } catch (error) {
      throw fileError(error, path, "write");
    }
  }

  /** Appends records, each of the format's size. */
  async write(records: readonly Uint8Array[]): Promise<void> {
    for (const record of records) {
      this.sums.push(crc32(record));
      await this.append(record);
    }
  }

  /** Writes the checksums and gives the file its name; returns its SHA-256. */
  async finish(): Promise<string> {
    const footer = Buffer.alloc(this.sums.length * CRC_BYTES);
    for (const [record, sum] of this.sums.entries()) footer.writeUInt32LE(sum, record * CRC_BYTES);
    await this.append(footer);
    try {
      await this.handle.sync();
      await rename(this.temporary, this.path);
    } catch (error) {
      throw fileError(error, this.path, "write");
    }
    return this.hash.digest("hex");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.handle.close();
    await rm(this.temporary, { force: true });
  }

  private async append(bytes: Uint8Array): Promise<void> {
    this.hash.update(bytes);
    try {
      for (let at = 0; at < bytes.length; )
        at += (await this.handle.write(bytes, at, bytes.length - at)).bytesWritten;
    } catch (error) {
      throw fileError(error, this.path, "write");
    }
  }
}
