// Features computed once, as records of a packed cache: a folder of shards -> the features of an image by its
// path. Small sets are held in memory, others are read record by record. A record holds one or more forms of
// an image (its augmented draws) one after the other, float32, little endian.
import { close, open, read } from "node:fs";
import { promisify } from "node:util";
import { MttcError, need } from "../../compiler/diagnostics.ts";
import { fileError } from "../files/fileSystem.ts";
import { HEADER_BYTES, type RecordKind, type Shard } from "../packs/packShard.ts";
import type { PackEntry } from "../packs/packSources.ts";

const openFile = promisify(open);
const closeFile = promisify(close);
const FLOAT_BYTES = 4;

export interface FeatureStoreOptions {
  readonly kind: RecordKind;
  /** Forms of an image in a record; at least 1. */
  readonly forms: number;
  /** Shards are held in memory where they take at most this together. */
  readonly memoryBytes: number;
}

/** An open shard: its records in memory, or its file. */
interface OpenShard {
  readonly memory: Float32Array<ArrayBuffer> | undefined;
  readonly file: number | undefined;
}

/** Reads features by path; close it in the end. */
export class FeatureStore implements AsyncDisposable {
  /** Float32 numbers of one form of an image. */
  readonly width: number;
  readonly isInMemory: boolean;
  /** Bytes on the disk of the shards that are read. */
  readonly sizeBytes: number;
  readonly #options: FeatureStoreOptions;
  readonly #records: ReadonlyMap<string, PackEntry>;
  readonly #opened = new Map<Shard, OpenShard>();

  private constructor(records: ReadonlyMap<string, PackEntry>, options: FeatureStoreOptions) {
    this.#options = options;
    this.#records = records;
    this.width = recordBytes(options.kind) / FLOAT_BYTES / options.forms;
    const shards = new Set([...records.values()].map(({ shard }) => shard));
    this.sizeBytes = [...shards].reduce((sum, { index }) => sum + index.sizeBytes, 0);
    this.isInMemory = this.sizeBytes <= options.memoryBytes;
  }

  /** Opens the shards of `records`, which were verified before. E_FILE, E_SHARD_META. */
  static async open(
    records: ReadonlyMap<string, PackEntry>,
    options: FeatureStoreOptions,
  ): Promise<FeatureStore> {
    const store = new FeatureStore(records, options);
    try {
      for (const { shard } of records.values())
        if (!store.#opened.has(shard)) store.#opened.set(shard, await store.#openShard(shard));
      return store;
    } catch (error) {
      await store[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Copies form `form` of an image to the start of `target`; a promise where it is read from the disk. */
  read(path: string, form: number, target: Float32Array<ArrayBuffer>): Promise<void> | undefined {
    const { shard, record } = need(this.#records.get(path), path);
    const { memory, file } = need(this.#opened.get(shard), path);
    const from = (record * this.#options.forms + form) * this.width;
    if (memory) {
      target.set(memory.subarray(from, from + this.width));
      return undefined;
    }
    const bytes = new Uint8Array(target.buffer, target.byteOffset, this.width * FLOAT_BYTES);
    return readAt(need(file, path), bytes, HEADER_BYTES + from * FLOAT_BYTES, shard.file);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { file } of this.#opened.values()) if (file !== undefined) await closeFile(file);
    this.#opened.clear();
  }

  async #openShard({ file: path, index }: Shard): Promise<OpenShard> {
    const file = await openFile(path, "r").catch((error: unknown) => {
      throw fileError(error, path, "read the features");
    });
    if (!this.isInMemory) return { memory: undefined, file };
    try {
      const bytes = new Uint8Array(index.sources.length * recordBytes(this.#options.kind));
      const most = 2 ** 30;
      for (let at = 0; at < bytes.length; at += most)
        await readAt(file, bytes.subarray(at, at + most), HEADER_BYTES + at, path);
      return { memory: new Float32Array(bytes.buffer), file: undefined };
    } finally {
      await closeFile(file);
    }
  }
}

function recordBytes(kind: RecordKind): number {
  return need(kind.recordBytes, "a record's length");
}

function readAt(file: number, target: Uint8Array, position: number, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    read(file, target, 0, target.length, position, (error, count) => {
      if (error) reject(fileError(error, path, "read the features"));
      else if (count === target.length) resolve();
      else reject(cutShort(path));
    });
  });
}

function cutShort(path: string): MttcError {
  const message = "the shard is cut short: it changed while it was read";
  return new MttcError({ code: "E_SHARD_META", message, at: { file: path } });
}
