// Records into shards one after the other: a new shard is begun where one is full, or holds as much work as
// may be lost. Every shard appears whole or not at all.
import { CRC_BYTES, type RecordKind } from "./packShard.ts";
import { ShardWriter } from "./shardWriter.ts";

export interface ShardSequenceOptions {
  readonly folder: string;
  readonly kind: RecordKind;
  /** Number of the first new shard. */
  readonly firstNumber: number;
  /** A shard ends before it grows over this, unless by its first record. */
  readonly maxBytes: number;
  /** ... and with the first record after this many milliseconds of work; no limit by default. */
  readonly maxMs?: number;
}

export class ShardSequence implements AsyncDisposable {
  readonly #options: ShardSequenceOptions;
  #number: number;
  #writer: ShardWriter | undefined;
  #began = 0;

  constructor(options: ShardSequenceOptions) {
    this.#options = options;
    this.#number = options.firstNumber;
  }

  /** Appends a record of a source (as ShardWriter.write). E_DISK, E_FILE. */
  async write(record: Uint8Array, source: Parameters<ShardWriter["write"]>[1]): Promise<void> {
    const { folder, kind, maxBytes, maxMs = Number.POSITIVE_INFINITY } = this.#options;
    const isFull = (this.#writer?.sizeBytes ?? 0) + record.length + CRC_BYTES > maxBytes;
    if (isFull) await this.finish();
    if (this.#writer === undefined) this.#began = performance.now();
    this.#writer ??= await ShardWriter.open(folder, this.#number++, kind);
    await this.#writer.write(record, source);
    if (performance.now() - this.#began > maxMs) await this.finish();
  }

  /** Ends the shard that is being written, so that it stays. */
  async finish(): Promise<void> {
    await this.#writer?.finish();
    await this[Symbol.asyncDispose]();
  }

  /** Removes a shard that was not finished. */
  async [Symbol.asyncDispose](): Promise<void> {
    const writer = this.#writer;
    this.#writer = undefined;
    await writer?.[Symbol.asyncDispose]();
  }
}
