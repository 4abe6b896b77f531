// Slots of images filled by an ImageReader: kept images are copied, packed ones read, others decoded, a
// bounded number at a time. What a slot holds never depends on how many are read at once. Used in the
// loader's thread, and directly where a thread would not pay.
import { availableParallelism } from "node:os";
import { InternalError, MttcError } from "../../compiler/diagnostics.ts";
import { systemCode } from "../files/fileSystem.ts";
import { type ImageFormat, type ImageReader, imageBytes } from "../images/images.ts";
import { RankPulse } from "../ranks/rankPulse.ts";
import { NO_ROW } from "../tables/rowOrder.ts";
import type {
  EpochWarp,
  FillRequest,
  ImageStream,
  ImageStreams,
  StreamOptions,
  WarpInPlace,
} from "./imageStreams.ts";

/** More are read at a time than are decoded, so that no core waits for a file. */
const IMAGES_PER_CORE = 4;
/** Decoding the largest image that is read takes seconds; what takes this long hangs (a lost file server). */
const STUCK_MS = 60_000;
/** A read counts as stuck when it is still there after so many looks, so that a suspended process is not. */
const LOOKS = 4;

/** Streams that read with `reader` in this thread, and warp with what `makeWarp` makes. */
export class BatchFiller implements ImageStreams {
  readonly #reader: ImageReader;
  readonly #makeWarp: (draws: EpochWarp) => WarpInPlace;

  constructor(reader: ImageReader, makeWarp: (draws: EpochWarp) => WarpInPlace = refuseWarp) {
    this.#reader = reader;
    this.#makeWarp = makeWarp;
  }

  get format(): ImageFormat {
    return this.#reader.format;
  }

  openStream(options: StreamOptions): FillingStream {
    return new FillingStream(this.#reader, options, options.warp && this.#makeWarp(options.warp));
  }
}

function refuseWarp(): never {
  throw new InternalError("a stream is to warp images, and its reader does not know how");
}

interface Read {
  readonly path: string;
  looks: number;
}

/** A stream of a BatchFiller. */
export class FillingStream implements ImageStream {
  readonly #reader: ImageReader;
  readonly #options: StreamOptions;
  readonly #warp: WarpInPlace | undefined;
  readonly #pulse: RankPulse | undefined;
  readonly #gate: Gate;
  readonly #running = new Set<Promise<unknown>>();
  /** Images that are being read, the oldest first. */
  readonly #reading = new Set<Read>();
  #watch: NodeJS.Timeout | undefined;
  readonly #stuck: Promise<never>;
  #raiseStuck: (error: MttcError) => void = () => undefined;
  #hasStuckRead = false;
  #closed = false;

  constructor(reader: ImageReader, options: StreamOptions, warp: WarpInPlace | undefined) {
    const { parallel = -1 } = options;
    this.#reader = reader;
    this.#options = options;
    this.#warp = warp;
    this.#pulse = options.pulse && new RankPulse(options.pulse);
    this.#gate = new Gate(parallel === -1 ? IMAGES_PER_CORE * availableParallelism() : parallel);
    this.#stuck = new Promise((_, reject) => {
      this.#raiseStuck = reject;
    });
    // Raised by every `fill`; there may be none.
    this.#stuck.catch(() => undefined);
  }

  /** Whether an image is being read that will never be. */
  get isStuck(): boolean {
    return this.#hasStuckRead;
  }

  async fill(request: FillRequest, slot: ArrayBuffer): Promise<ArrayBuffer> {
    const filling = this.#readAll(request, new Uint8Array(slot));
    this.#running.add(filling);
    try {
      const results = await Promise.race([filling, this.#stuck]);
      const failed = results.find((result) => result.status === "rejected");
      if (failed !== undefined) throw failed.reason;
      return slot;
    } finally {
      this.#running.delete(filling);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (!this.isStuck) await Promise.race([Promise.all(this.#running), this.#stuck]).catch(ignoreStuck);
    clearInterval(this.#watch);
  }

  /** All are awaited before a failure is raised, so that a closed stream has nothing in flight. */
  #readAll(request: FillRequest, images: Uint8Array): Promise<PromiseSettledResult<void>[]> {
    const { rows, stamps, firstSample } = request;
    const sizeBytes = imageBytes(this.#reader.format);
    const reads: Promise<void>[] = [];
    // Of the slot alone: the images that are kept stay unwarped.
    const warp = (target: Uint8Array, place: number): void => {
      this.#warp?.(target, firstSample + place);
      this.#pulse?.move();
    };
    const readOne = (path: string, target: Uint8Array, place: number): Promise<void> =>
      this.#readOne(path, target, stamps?.[place]).then(() => warp(target, place));
    const plain = new PlainReads(warp, readOne);
    for (let place = 0; place < rows.length; place++) {
      const row = rows[place] ?? NO_ROW;
      const target = images.subarray(place * sizeBytes, (place + 1) * sizeBytes);
      if (row === NO_ROW) {
        target.fill(0);
        continue;
      }
      const path = this.#options.paths.at(row);
      if (path === undefined) throw new InternalError(`row ${row} is not in the table`);
      if (this.#reader.copyKept(path, target)) warp(target, place);
      else if (!this.#readPlain(path, target, place, plain)) reads.push(readOne(path, target, place));
    }
    return Promise.allSettled([...reads, plain.end()]);
  }

  /** Starts a plain read under the watch; false where the image has to be read otherwise. */
  #readPlain(path: string, target: Uint8Array, place: number, plain: PlainReads): boolean {
    const entry: Read = { path, looks: 0 };
    const hasStarted = this.#reader.readPlain(path, target, (error) => {
      this.#reading.delete(entry);
      plain.ended(path, target, place, error);
    });
    if (!hasStarted) return false;
    plain.begin();
    this.#enter(entry);
    return true;
  }

  #enter(entry: Read): void {
    this.#reading.add(entry);
    // What is read keeps the process alive, not the watch.
    this.#watch ??= setInterval(() => this.#look(), (this.#options.stuckMs ?? STUCK_MS) / LOOKS).unref();
  }

  async #readOne(path: string, target: Uint8Array, stamp: number | undefined): Promise<void> {
    // Packed images need no memory but their slot: as many are read at a time as there are places.
    const isPacked = this.#reader.isPacked(path);
    if (!isPacked) await this.#gate.enter();
    const entry: Read = { path, looks: 0 };
    try {
      if (this.#closed) return;
      this.#enter(entry);
      const read = (): Promise<void> => this.#reader.read(path, target, undefined, stamp);
      await read().catch((error: unknown) => {
        // A file server may fail once.
        if (!isIoError(error)) throw error;
        return read();
      });
    } finally {
      this.#reading.delete(entry);
      if (!isPacked) this.#gate.leave();
    }
  }

  #look(): void {
    const [oldest] = this.#reading;
    for (const entry of this.#reading) entry.looks++;
    if (oldest === undefined || oldest.looks <= LOOKS) return;
    this.#hasStuckRead = true;
    clearInterval(this.#watch);
    const seconds = (this.#options.stuckMs ?? STUCK_MS) / 1000;
    const message = `reading the image has not ended after ${seconds} s`;
    this.#raiseStuck(new MttcError({ code: "E_DATA_STUCK", message, at: { file: oldest.path } }));
  }
}

function ignoreStuck(error: unknown): void {
  if (!(error instanceof MttcError) || error.code !== "E_DATA_STUCK") throw error;
}

function isIoError(error: unknown): boolean {
  return error instanceof MttcError && systemCode(error.cause) === "EIO";
}

type WarpAt = (target: Uint8Array, place: number) => void;
type RetryAt = (path: string, target: Uint8Array, place: number) => Promise<void>;

/** The plain reads of a batch, counted rather than promised one by one. */
class PlainReads {
  readonly #warp: WarpAt;
  readonly #retry: RetryAt;
  #open = 1;
  /** Place in the batch and error of each read that failed. */
  readonly #failures: { readonly place: number; readonly error: unknown }[] = [];
  #settle: () => void = () => undefined;
  readonly #all = new Promise<void>((resolve, reject) => {
    this.#settle = () => {
      const [first] = this.#failures.sort((a, b) => a.place - b.place);
      if (first === undefined) resolve();
      else reject(first.error);
    };
  });

  /** `warp` is done to an image that was read; `retry` reads one anew and warps it. */
  constructor(warp: WarpAt, retry: RetryAt) {
    this.#warp = warp;
    this.#retry = retry;
  }

  /** A read was started, for which `ended` will be called. */
  begin(): void {
    this.#open++;
  }

  /** A read has ended; what a file server refuses is tried once more. */
  ended(path: string, target: Uint8Array, place: number, error: unknown): void {
    const fail = (failure: unknown): void => {
      this.#failures.push({ place, error: failure });
      this.#leave();
    };
    if (isIoError(error)) {
      void this.#retry(path, target, place).then(() => this.#leave(), fail);
      return;
    }
    try {
      if (error !== undefined) throw error;
      this.#warp(target, place);
    } catch (failure) {
      fail(failure);
      return;
    }
    this.#leave();
  }

  /** Resolves when all have ended; rejects with the failure of the first place. */
  end(): Promise<void> {
    this.#leave();
    return this.#all;
  }

  #leave(): void {
    if (--this.#open === 0) this.#settle();
  }
}

/** Lets a bounded number of jobs in, first come first served. */
class Gate {
  #places: number;
  readonly #queue: (() => void)[] = [];

  constructor(places: number) {
    this.#places = places;
  }

  async enter(): Promise<void> {
    if (this.#places > 0) this.#places--;
    else await new Promise<void>((resume) => this.#queue.push(resume));
  }

  leave(): void {
    const next = this.#queue.shift();
    if (next === undefined) this.#places++;
    else next();
  }
}
