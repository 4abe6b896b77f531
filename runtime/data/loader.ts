// An order of rows -> batches of uint8 images and labels, decoded ahead while the consumer works. Memory is
// bounded by a ring of slots: a batch is decoded into a free slot, handed out in order, and given back by
// `release`; with no free slot nothing is started. What a batch holds never depends on how many images are
// decoded at once.
import { availableParallelism } from "node:os";
import { performance } from "node:perf_hooks";
import { InternalError, MttcError } from "../../compiler/diagnostics.ts";
import { systemCode } from "../checkpoint/fileSystem.ts";
import type { LabelledRows } from "./classes.ts";
import { listedIn } from "./imageFile.ts";
import { type ImageReader, imageBytes } from "./images.ts";
import { evaluationOrder } from "./sampler.ts";

const DEFAULT_SLOTS = 3;
/** More are read at a time than are decoded, so that no core waits for a file. */
const IMAGES_PER_CORE = 4;
/** Decoding the largest image that is read takes seconds; what takes this long hangs (a lost file server). */
const STUCK_MS = 60_000;

/** What a loader reads; `order` holds row numbers, batchSize per batch, -1 = padding (see sampler.ts). */
export interface LoaderOptions {
  readonly rows: LabelledRows;
  readonly order: Int32Array;
  readonly batchSize: number;
  readonly reader: ImageReader;
  /**
   * Images decoded at the same time; -1 (default) chooses by the machine. Has no influence on the batches.
   */
  readonly parallel?: number;
  /** Batches in memory at the same time, those of the consumer included; at least 2. */
  readonly slots?: number;
  /** First batch to deliver: a resumed epoch starts in the middle at no cost. */
  readonly startBatch?: number;
  /** An image that is read for longer than this while the consumer waits is E_DATA_STUCK. */
  readonly stuckMs?: number;
  /** Clock in milliseconds, for `waitedMs`. */
  readonly now?: () => number;
}

/** One batch; `images` is a view of a slot, valid until its buffer is released. */
export interface Batch {
  /** Number within the epoch. */
  readonly index: number;
  /** [batchSize, H, W, C] uint8, row-major; zeros where `rows` is -1. */
  readonly images: Uint8Array<ArrayBuffer>;
  /** Class numbers [batchSize, tasks], row-major; -1 = missing or padding. */
  readonly labels: Int32Array;
  /** Row number of each image, -1 = padding. */
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
  private readonly options: LoaderOptions;
  /** Bytes of the buffer behind each batch. */
  readonly slotBytes: number;
  private readonly slotCount: number;
  private readonly gate: Gate;
  private readonly free: ArrayBuffer[];
  private readonly started: Promise<Outcome>[] = [];
  private readonly running = new Set<Promise<Outcome>>();
  private readonly waiting: (() => void)[] = [];
  /** Rows whose images are being read and since when, the oldest first. */
  private readonly reading = new Map<symbol, { readonly row: number; readonly since: number }>();
  private nextToStart: number;
  private failure: { readonly error: unknown } | undefined;
  private closed = false;
  private isStuck = false;
  private waited = 0;

  constructor(options: LoaderOptions) {
    const { order, batchSize, reader, slots = DEFAULT_SLOTS, parallel = -1, startBatch = 0 } = options;
    if (order.length % batchSize !== 0) throw new InternalError("the order is not made of full batches");
    if (slots < 2) throw new InternalError("a loader needs two slots or more");
    this.options = options;
    this.batchCount = order.length / batchSize;
    this.slotBytes = batchSize * imageBytes(reader.format);
    this.slotCount = slots;
    this.free = Array.from({ length: slots }, () => new ArrayBuffer(this.slotBytes));
    this.gate = new Gate(parallel === -1 ? IMAGES_PER_CORE * availableParallelism() : parallel);
    this.nextToStart = startBatch;
    this.startBatches();
  }

  /** Milliseconds that the consumer has waited in `next` so far: the time that data cost. */
  get waitedMs(): number {
    return this.waited;
  }

  /**
   * The next batch, undefined after the last one or once closed. Rejects with the typed error of the first
   * image of the batch (in row order) that cannot be read, and from then on with the same error;
   * E_DATA_STUCK where reading one does not end.
   */
  async next(): Promise<Batch | undefined> {
    const now = this.options.now ?? (() => performance.now());
    const from = now();
    try {
      return await this.takeNext();
    } finally {
      this.waited += now() - from;
    }
  }

  /**
   * Gives a batch's buffer back; a buffer that went through a worker comes back as a new object, which is
   * fine.
   */
  release(buffer: ArrayBuffer): void {
    if (buffer.byteLength !== this.slotBytes) throw new InternalError("released a buffer that is no slot");
    if (this.free.length + this.started.length >= this.slotCount || this.free.includes(buffer)) {
      throw new InternalError("released a slot twice");
    }
    this.free.push(buffer);
    this.startBatches();
    this.wake();
  }

  /**
   * Starts nothing more and waits until no image is being read, unless one is stuck. A pending `next` yields
   * undefined.
   */
  async close(): Promise<void> {
    this.closed = true;
    this.wake();
    if (this.isStuck) return;
    await Promise.all(this.running);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  private async takeNext(): Promise<Batch | undefined> {
    for (;;) {
      if (this.failure !== undefined) throw this.failure.error;
      if (this.closed) return undefined;
      const first = this.started.shift();
      if (first !== undefined) return this.open(await this.watched(first));
      if (this.nextToStart >= this.batchCount) return undefined;
      await new Promise<void>((resume) => this.waiting.push(resume));
    }
  }

  /** The outcome, or E_DATA_STUCK once the oldest image in work has been read for too long. */
  private async watched(outcome: Promise<Outcome>): Promise<Outcome> {
    const { stuckMs = STUCK_MS } = this.options;
    let timer: NodeJS.Timeout | undefined;
    const stuck = new Promise<Outcome>((resolve) => {
      timer = setInterval(() => {
        const [oldest] = this.reading.values();
        if (oldest === undefined || performance.now() - oldest.since < stuckMs) return;
        this.isStuck = true;
        resolve({ error: this.stuckError(oldest.row, stuckMs) });
      }, stuckMs / 4);
    });
    try {
      return await Promise.race([outcome, stuck]);
    } finally {
      clearInterval(timer);
    }
  }

  private stuckError(row: number, stuckMs: number): MttcError {
    const { paths, locate } = this.options.rows;
    const message = `reading the image has not ended after ${stuckMs / 1000} s`;
    const at = { file: paths.at(row) ?? "" };
    return new MttcError({ code: "E_DATA_STUCK", message, at, ...listedIn(locate(row)) });
  }

  private open(outcome: Outcome): Batch | undefined {
    // A batch that was cut off by `close` is incomplete.
    if (this.closed) return undefined;
    if ("batch" in outcome) return outcome.batch;
    this.failure ??= outcome;
    throw this.failure.error;
  }

  private wake(): void {
    for (const resume of this.waiting.splice(0)) resume();
  }

  private startBatches(): void {
    while (!this.closed && this.failure === undefined && this.nextToStart < this.batchCount) {
      const slot = this.free.pop();
      if (slot === undefined) return;
      const index = this.nextToStart++;
      // An outcome, not a rejection: a batch may fail long before anyone asks for it.
      const outcome = this.fill(index, slot).then(
        (batch): Outcome => ({ batch }),
        (error: unknown): Outcome => ({ error }),
      );
      this.started.push(outcome);
      this.running.add(outcome);
      void outcome.then(() => this.running.delete(outcome));
    }
  }

  private async fill(index: number, slot: ArrayBuffer): Promise<Batch> {
    const { batchSize, order, rows: table, reader } = this.options;
    const taskCount = table.tasks.length;
    const sizeBytes = imageBytes(reader.format);
    const images = new Uint8Array(slot);
    const rows = order.slice(index * batchSize, (index + 1) * batchSize);
    const labels = new Int32Array(batchSize * taskCount).fill(-1);
    const reads: Promise<void>[] = [];
    for (const [place, row] of rows.entries()) {
      const target = images.subarray(place * sizeBytes, (place + 1) * sizeBytes);
      if (row === -1) {
        target.fill(0);
        continue;
      }
      labels.set(table.labels.subarray(row * taskCount, (row + 1) * taskCount), place * taskCount);
      const path = table.paths.at(row);
      if (path === undefined) throw new InternalError(`row ${row} is not in the table`);
      if (reader.copyKept(path, target)) continue;
      reads.push(this.readOne(path, target, row));
    }
    // All are awaited before the first failure is raised, so that a closed loader has nothing in flight.
    const results = await Promise.allSettled(reads);
    const failed = results.find((result) => result.status === "rejected");
    if (failed !== undefined) throw failed.reason;
    return { index, images, labels, rows, filled: rows.filter((row) => row !== -1).length };
  }

  private async readOne(path: string, target: Uint8Array, row: number): Promise<void> {
    // Packed images need no memory but their slot: as many are read at a time as there are places.
    const isPacked = this.options.reader.isPacked(path);
    if (!isPacked) await this.gate.enter();
    const key = Symbol();
    try {
      if (this.closed) return;
      this.reading.set(key, { row, since: performance.now() });
      const place = this.options.rows.locate(row);
      await this.options.reader.read(path, target, place).catch((error: unknown) => {
        // A file server may fail once.
        if (!isIoError(error)) throw error;
        return this.options.reader.read(path, target, place);
      });
    } finally {
      this.reading.delete(key);
      if (!isPacked) this.gate.leave();
    }
  }
}

function isIoError(error: unknown): boolean {
  return error instanceof MttcError && systemCode(error.cause) === "EIO";
}

/** A loader over all rows in order; the last batch is padded with zero images and labels -1. */
export function evaluationBatches(options: Omit<LoaderOptions, "order">): BatchLoader {
  const order = evaluationOrder(options.rows.paths.length, options.batchSize);
  return new BatchLoader({ ...options, order });
}

/** Lets a bounded number of jobs in, first come first served. */
class Gate {
  private places: number;
  private readonly queue: (() => void)[] = [];

  constructor(places: number) {
    this.places = places;
  }

  async enter(): Promise<void> {
    if (this.places > 0) this.places--;
    else await new Promise<void>((resume) => this.queue.push(resume));
  }

  leave(): void {
    const next = this.queue.shift();
    if (next === undefined) this.places++;
    else next();
  }
}
