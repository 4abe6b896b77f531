// What happens on the loader thread: it owns the image library, the reader with its kept images and the
// packed cache, and fills slots for the streams of the main thread.
import { InternalError } from "../../compiler/diagnostics.ts";
import { BatchWarp } from "../augment/warpBatch.ts";
import type { ImageReader } from "../images/images.ts";
import { PackedImages, type PackHandle } from "../packs/packedImages.ts";
import { openPaths, type SharedPaths } from "../tables/stringTable.ts";
import { BatchFiller, type FillingStream } from "./batchFiller.ts";
import type { EpochWarp, FillRequest, WarpInPlace } from "./imageStreams.ts";
import type { LoaderService, SharedStreamOptions } from "./loaderProtocol.ts";

export class LoaderServer implements LoaderService {
  readonly #reader: ImageReader;
  readonly #filler: BatchFiller;
  readonly #streams = new Map<number, FillingStream>();
  #packed: PackedImages | undefined;

  constructor(reader: ImageReader) {
    this.#reader = reader;
    this.#filler = new BatchFiller(reader, makeWarp);
  }

  async usePacked(handle: PackHandle, tables: readonly SharedPaths[]): Promise<void> {
    const before = this.#packed;
    this.#packed = await PackedImages.open(handle, pathsOf(tables));
    this.#reader.usePacked(this.#packed);
    await before?.[Symbol.asyncDispose]();
  }

  forget(): void {
    this.#reader.forget();
  }

  openStream(stream: number, { paths, ...options }: SharedStreamOptions): void {
    this.#streams.set(stream, this.#filler.openStream({ ...options, paths: openPaths(paths) }));
  }

  fill(stream: number, request: FillRequest, slot: ArrayBuffer): Promise<ArrayBuffer> {
    const opened = this.#streams.get(stream);
    if (opened === undefined) throw new InternalError(`no stream ${stream} is open`);
    return opened.fill(request, slot);
  }

  async closeStream(stream: number): Promise<boolean> {
    const opened = this.#streams.get(stream);
    this.#streams.delete(stream);
    await opened?.close();
    return opened?.isStuck ?? false;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#streams.keys()].map((stream) => this.closeStream(stream)));
    await this.#packed?.[Symbol.asyncDispose]();
  }
}

function makeWarp(draws: EpochWarp): WarpInPlace {
  const warp = new BatchWarp(draws);
  return (image, sample) => warp.warp(image, sample);
}

function* pathsOf(tables: readonly SharedPaths[]): Generator<string> {
  for (const table of tables) yield* openPaths(table);
}
