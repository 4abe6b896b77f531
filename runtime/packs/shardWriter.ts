// Writes one shard: records as they come, then checksums and header, then the name, then the index. Under a
// temporary name until it is whole, so that whatever kills the process leaves the folder as it was.
import { createHash, type Hash } from "node:crypto";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { crc32 } from "node:zlib";
import { InternalError } from "../../compiler/diagnostics.ts";
import { writeFileAtomically } from "../files/atomicDirectory.ts";
import { fileError } from "../files/fileSystem.ts";
import { siblingName } from "../files/leftovers.ts";
import {
  CRC_BYTES,
  HEADER_BYTES,
  type PackSource,
  type RecordKind,
  shardFiles,
  shardHeader,
  shardIndexText,
} from "./packShard.ts";

/** One shard in the making; `finish` makes it visible, disposing without it removes what was written. */
export class ShardWriter implements AsyncDisposable {
  readonly #files: { readonly data: string; readonly index: string };
  readonly #kind: RecordKind;
  readonly #temporary: string;
  readonly #handle: FileHandle;
  readonly #hash: Hash = createHash("sha256");
  readonly #sources: PackSource[] = [];
  readonly #lengths: number[] = [];
  readonly #sums: number[] = [];
  #at = HEADER_BYTES;

  private constructor(
    files: ReturnType<typeof shardFiles>,
    kind: RecordKind,
    temporary: string,
    handle: FileHandle,
  ) {
    this.#files = files;
    this.#kind = kind;
    this.#temporary = temporary;
    this.#handle = handle;
  }

  /** A new shard `number` of a folder that exists. E_DISK, E_FILE. */
  static async open(folder: string, number: number, kind: RecordKind): Promise<ShardWriter> {
    const files = shardFiles(folder, number);
    const temporary = siblingName(files.data, "tmp");
    try {
      return new ShardWriter(files, kind, temporary, await open(temporary, "wx"));
    } catch (error) {
      throw fileError(error, files.data, "write");
    }
  }

  /** Bytes of the .bin file so far. */
  get sizeBytes(): number {
    return this.#at + CRC_BYTES * this.#sums.length;
  }

  /** Appends a record; one call at a time. E_DISK, E_FILE. */
  async write(record: Uint8Array, source: PackSource): Promise<void> {
    const { recordBytes = record.length } = this.#kind;
    if (record.length !== recordBytes || record.length === 0)
      throw new InternalError(`a record of ${record.length} bytes, expected ${recordBytes}`);
    this.#sources.push(source);
    this.#lengths.push(record.length);
    this.#sums.push(crc32(record));
    this.#hash.update(record);
    await this.#put(record, this.#at);
    this.#at += record.length;
  }

  /** Completes the shard on the disk. */
  async finish(): Promise<void> {
    const footer = Buffer.alloc(this.#sums.length * CRC_BYTES);
    for (const [record, sum] of this.#sums.entries()) footer.writeUInt32LE(sum, record * CRC_BYTES);
    const sha256 = this.#hash.update(footer).digest("hex");
    const { sizeBytes } = this;
    const sources = this.#sources;
    const lengths = this.#lengths;
    const kind = this.#kind;
    const files = this.#files;
    await this.#put(footer, this.#at);
    await this.#put(shardHeader(kind, sources.length), 0);
    try {
      await this.#handle.sync();
      await rename(this.#temporary, files.data);
    } catch (error) {
      throw fileError(error, files.data, "write");
    }
    const own = kind.recordBytes === undefined ? { lengths } : {};
    const index = { recipe: kind.recipe, sizeBytes, sha256, sources, ...own };
    await writeFileAtomically(files.index, shardIndexText(index));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close();
    await rm(this.#temporary, { force: true });
  }

  async #put(bytes: Uint8Array, position: number): Promise<void> {
    try {
      for (let done = 0; done < bytes.length; ) {
        const { bytesWritten } = await this.#handle.write(bytes, done, bytes.length - done, position + done);
        done += bytesWritten;
      }
    } catch (error) {
      throw fileError(error, this.#files.data, "write");
    }
  }
}
