// What the main thread and the loader thread say to each other.
import type { ImageFormat } from "../images/images.ts";
import type { PackHandle } from "../packs/packedImages.ts";
import type { SharedPaths } from "../tables/stringTable.ts";
import type { FillRequest, StreamOptions } from "./imageStreams.ts";

/** What the thread is started with. */
export interface LoaderSetup {
  readonly format: ImageFormat;
  /** Bytes of decoded images that it keeps; the default is DEFAULT_CACHE_BYTES. */
  readonly cacheBytes?: number | undefined;
}

/** StreamOptions as they travel. */
export interface SharedStreamOptions extends Omit<StreamOptions, "paths"> {
  readonly paths: SharedPaths;
}

/** What the loader thread does when asked. Streams are known by numbers that the caller chooses. */
export interface LoaderService {
  /** Reads images of these tables from a prepared pack from now on. */
  usePacked(handle: PackHandle, tables: readonly SharedPaths[]): Promise<void>;
  /** Drops the decoded images that are kept. */
  forget(): void;
  openStream(stream: number, options: SharedStreamOptions): void;
  /** The slot, which is TRANSFERRED both ways. */
  fill(stream: number, request: FillRequest, slot: ArrayBuffer): Promise<ArrayBuffer>;
  /** Whether a read is stuck, and with it the thread. */
  closeStream(stream: number): Promise<boolean>;
  /** Closes the streams and the pack; no call may follow. */
  close(): Promise<void>;
}
