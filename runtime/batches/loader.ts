// An order of rows -> batches of images, read ahead while the consumer works. Memory is bounded
// by a ring of slots: a batch is read into a free slot (by another thread, mostly: ImageStreams), handed out
// in order, and given back by `release`; with no free slot nothing is asked for. What a batch holds never
// depends on how many images are read at once.
import { InternalError, MttcError } from "../../compiler/diagnostics.ts";
import { listedIn } from "../images/imageFile.ts";
import { type ImageReader, imageBytes } from "../images/images.ts";
import type { ImageRows } from "../tables/imageRows.ts";
import { evaluationOrder, NO_ROW } from "../tables/rowOrder.ts";
import { BatchFiller } from "./batchFiller.ts";
import {
  type BatchShare,
  type EpochWarp,
  type FillRequest,
  type ImageStream,
  type ImageStreams,
  WHOLE_BATCH,
} from "./imageStreams.ts";

const DEFAULT_SLOTS = 3;

/**
 * What a loader reads; `order` holds row numbers, batchSize per batch, and NO_ROW where a batch is padded.
 * With a share it holds those of all ranks, batchSize for each, and the batches are the share's.
 */
export interface LoaderOptions {
  readonly rows: ImageRows;
  readonly order: Int32Array;
  readonly batchSize: number;
  /** What reads the images: a reader does so in this thread. */
  readonly reader: ImageReader | ImageStreams;
  /**
   * Images decoded at the same time; -1 (default) chooses by the machine. Has no influence on the batches.
   */
  readonly parallel?: number;
  /** Batches in memory at the same time, those of the consumer included; at least 2. */
  readonly slots?: number;
  /** First batch to deliver: a resumed epoch starts in the middle at no cost. */
  readonly startBatch?: number;
  /** An image that is read for longer than this is E_DATA_STUCK. */
  readonly stuckMs?: number;
  /** The loader's share of augmentation; `reader` must be streams that know how. */
  readonly warp?: EpochWarp | undefined;
  /** Which part of every batch is read; default: all. */
  readonly share?: BatchShare | undefined;
}

/** One batch; `images` is a view of a slot, valid until its buffer is released. */
export interface Batch {
  /** Number within the epoch. */
  readonly index: number;
  /** Place of its first image in the order. */
  readonly firstPlace: number;
  /** Bytes of [batchSize, H, W, C] numbers of the format, row-major; zeros where `rows` is NO_ROW. */
  readonly images: Uint8Array<ArrayBuffer>;
  /** Row number of each image, NO_ROW where there is none. */
  readonly rows: Int32Array;
  /** Images that are not padding; they come first. */
  readonly filled: number;
}

type Outcome = { readonly batch: Batch } | { readonly error: unknown };

/**
 * Delivers the batches of one epoch in order. The consumer calls `next`, uses the images (it may transfer
 * their buffer to a worker) and returns the buffer with `release`; holding all slots while awaiting `next`
 * would wait for ever.
 */
export class BatchLoader implements AsyncDisposable {
  readonly batchCount: number;
  readonly #options: LoaderOptions;
  readonly #share: BatchShare;
  /** Bytes of the buffer behind each batch. */
  readonly slotBytes: number;
  readonly #slotCount: number;
  readonly #stream: ImageStream;
  readonly #free: ArrayBuffer[];
  readonly #started: Promise<Outcome>[] = [];
  readonly #waiting: (() => void)[] = [];
  #nextToStart: number;
  #failure: { readonly error: unknown } | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: LoaderOptions) {
    const { rows, order, batchSize, reader, slots = DEFAULT_SLOTS, startBatch = 0 } = options;
    const { share = WHOLE_BATCH } = options;
    const batchRows = batchSize * share.size;
    if (order.length % batchRows !== 0) throw new InternalError("the order is not made of full batches");
    if (slots < 2) throw new InternalError("a loader needs two slots or more");
    this.#options = options;
    this.#share = share;
    this.batchCount = order.length / batchRows;
    this.slotBytes = batchSize * imageBytes(reader.format);
    this.#slotCount = slots;
    this.#free = Array.from({ length: slots }, () => new ArrayBuffer(this.slotBytes));
    const streams = "openStream" in reader ? reader : new BatchFiller(reader);
    const { parallel, stuckMs, warp } = options;
    this.#stream = streams.openStream({ paths: rows.paths, parallel, stuckMs, warp });
    this.#nextToStart = startBatch;
    this.#startBatches();
  }

  /**
   * The next batch, undefined after the last one or once closed. Rejects with the typed error of the first
   * image of the batch (in row order) that cannot be read, and from then on with the same error;
   * E_DATA_STUCK where reading one does not end, E_DATA_WORKER where the thread that reads is lost.
   */
  async next(): Promise<Batch | undefined> {
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure.error;
      if (this.#closing) return undefined;
      const first = this.#started.shift();
      if (first !== undefined) return this.#open(await first);
      if (this.#nextToStart >= this.batchCount) return undefined;
      await new Promise<void>((resume) => this.#waiting.push(resume));
    }
  }

  /**
   * Gives a batch's buffer back; a buffer that went through a worker comes back as a new object, which is
   * fine.
   */
  release(buffer: ArrayBuffer): void {
    if (buffer.byteLength !== this.slotBytes) throw new InternalError("released a buffer that is no slot");
    if (this.#free.length + this.#started.length >= this.#slotCount || this.#free.includes(buffer)) {
      throw new InternalError("released a slot twice");
    }
    this.#free.push(buffer);
    this.#startBatches();
    this.#wake();
  }

  /**
   * Starts nothing more and waits until no image is being read, unless one is stuck. A pending `next` yields
   * undefined.
   */
  close(): Promise<void> {
    this.#closing ??= this.#stream.close();
    this.#wake();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #open(outcome: Outcome): Batch | undefined {
    // A batch that was cut off by `close` is incomplete.
    if (this.#closing) return undefined;
    if ("batch" in outcome) return outcome.batch;
    this.#failure ??= outcome;
    throw this.#failure.error;
  }

  #wake(): void {
    for (const resume of this.#waiting.splice(0)) resume();
  }

  #startBatches(): void {
    while (!this.#closing && this.#failure === undefined && this.#nextToStart < this.batchCount) {
      const slot = this.#free.pop();
      if (slot === undefined) return;
      const index = this.#nextToStart++;
      // An outcome, not a rejection: a batch may fail long before anyone asks for it.
      const outcome = this.#fill(index, slot).then(
        (batch): Outcome => ({ batch }),
        (error: unknown): Outcome => ({ error }),
      );
      this.#started.push(outcome);
    }
  }

  async #fill(index: number, slot: ArrayBuffer): Promise<Batch> {
    const { batchSize, order, rows: table } = this.#options;
    const firstPlace = (index * this.#share.size + this.#share.rank) * batchSize;
    const rows = order.slice(firstPlace, firstPlace + batchSize);
    const filled = rows.filter((row) => row !== NO_ROW).length;
    try {
      const images = new Uint8Array(await this.#stream.fill(this.#request(firstPlace, rows), slot));
      return { index, firstPlace, images, rows, filled };
    } catch (error) {
      throw error instanceof MttcError ? listed(error, rows, table) : error;
    }
  }

  #request(firstSample: number, rows: Int32Array): FillRequest {
    const { stamps } = this.#options.rows;
    return { rows, firstSample, stamps: stamps && Uint32Array.from(rows, (row) => stamps[row] ?? 0) };
  }
}

/** The error of a batch with, for each fault of an image, the place of the table that lists it. */
function listed(error: MttcError, rows: Int32Array, { paths, locate }: ImageRows): MttcError {
  const faults = error.faults.map((fault) => {
    const row = rows.find((number) => number !== NO_ROW && paths.at(number) === fault.at?.file);
    if (row === undefined) return fault;
    const { hint } = listedIn(locate(row));
    const hints = [hint, fault.hint].filter((text) => text !== undefined);
    return hints.length === 0 ? fault : { ...fault, hint: hints.join("; ") };
  });
  return new MttcError(faults, { cause: error });
}

/**
 * A loader over all rows in order; the last batch is padded with zero images. With a share the ranks take
 * whole batches in turn, and the last ones of some may hold no row.
 */
export function evaluationBatches(options: Omit<LoaderOptions, "order">): BatchLoader {
  const { rows, batchSize, share = WHOLE_BATCH } = options;
  const order = evaluationOrder(rows.paths.length, batchSize, share.size);
  return new BatchLoader({ ...options, order });
}
