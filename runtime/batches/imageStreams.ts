// Where the pixels of batches come from: the contract between BatchLoader, which decides what is read when,
// and BatchFiller, which reads it, in this thread or in another.
import type { ImageSize } from "../../compiler/augment/operation.ts";
import type { AugmentSettings } from "../../compiler/spec/augmentKeys.ts";
import type { ImageFormat } from "../images/images.ts";
import type { PathList } from "../tables/stringTable.ts";

/** The loader's share of an epoch's augmentation: what its parameters are drawn from. */
export interface EpochWarp {
  /** The loader's operations alone. */
  readonly settings: AugmentSettings;
  readonly size: ImageSize;
  readonly seed: number;
  readonly epoch: number;
}

/** The part of every batch that one of several processes reads: equal parts, in the order of the ranks. */
export interface BatchShare {
  readonly rank: number;
  readonly size: number;
}

/** All of it: of one process alone. */
export const WHOLE_BATCH: BatchShare = { rank: 0, size: 1 };

/** Warps one image in place; `sample` is its place in the epoch's order. */
export type WarpInPlace = (image: Uint8Array, sample: number) => void;

/** What the batches of a stream have in common. */
export interface StreamOptions {
  /** Image of each row. */
  readonly paths: PathList;
  /** Images read at the same time; -1 (default) chooses by the machine. Has no influence on the pixels. */
  readonly parallel?: number | undefined;
  /** An image that is read for longer than this is E_DATA_STUCK. */
  readonly stuckMs?: number | undefined;
  /** How images are warped once they are read; kept and packed ones stay as they are. */
  readonly warp?: EpochWarp | undefined;
  /** Of a rank: shows with every image that it goes on (freshPulse). */
  readonly pulse?: SharedArrayBuffer | undefined;
}

/** What one slot is to hold. */
export interface FillRequest {
  /** Row number of each image; zeros where it is NO_ROW. */
  readonly rows: Int32Array;
  /** Place of the first image in the epoch's order: what its warp is drawn by. */
  readonly firstSample: number;
  /** What each image's file looked like when it was checked, where that is known (sourceStamp.ts). */
  readonly stamps?: Uint32Array | undefined;
}

/** Fills slots with the images of one table, several at a time. */
export interface ImageStream {
  /**
   * The slot, perhaps as another object, its bytes the images of the rows one after the other. While it is
   * being filled the caller's buffer may be detached. Rejects with the typed error of the first image (in the
   * order of `rows`) that cannot be read, without the place where it is listed; with E_DATA_STUCK where
   * reading one does not end; with E_DATA_WORKER where the thread is lost.
   */
  fill(request: FillRequest, slot: ArrayBuffer): Promise<ArrayBuffer>;
  /**
   * Begins no further image, and waits until none is being read, unless one is stuck. Slots in work end with
   * whatever they hold.
   */
  close(): Promise<void>;
}

/** Opens streams of images of one format. */
export interface ImageStreams {
  readonly format: ImageFormat;
  openStream(options: StreamOptions): ImageStream;
}
