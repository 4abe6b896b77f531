// The loader thread as seen from the main thread: streams for BatchLoader whose slots are transferred there
// and back. One for a training session, started once: training and evaluation share its kept images. Reading
// goes on while the main thread is busy, as far as there are free slots.
import type { ResourceLimits } from "node:worker_threads";
import { InternalError, MttcError } from "../../compiler/diagnostics.ts";
import type { ImageFormat } from "../images/images.ts";
import type { PackHandle } from "../packs/packedImages.ts";
import { type PathList, sharePaths } from "../tables/stringTable.ts";
import { builtFile } from "../threads/builtFile.ts";
import { WorkerCalls } from "../threads/workerCalls.ts";
import type { FillRequest, ImageStream, ImageStreams, StreamOptions } from "./imageStreams.ts";
import type { LoaderService, LoaderSetup } from "./loaderProtocol.ts";

const THREAD = {
  name: "the loader thread",
  death: {
    code: "E_DATA_WORKER",
    hint: "go on from the last checkpoint (--resume); if memory ran out, lower num_parallel_calls",
  },
} as const;

export interface LoaderThreadOptions extends LoaderSetup {
  /** Of a rank: shows with every image that it goes on (freshPulse). */
  readonly pulse?: SharedArrayBuffer | undefined;
  readonly resourceLimits?: ResourceLimits;
  /** Another file than the built loaderWorker. */
  readonly file?: URL;
}

/**
 * Starts a thread and fills slots on it; close it in the end. Should the thread die, everything that is
 * awaited and every later call rejects with E_DATA_WORKER.
 */
export class LoaderThread implements ImageStreams, AsyncDisposable {
  readonly format: ImageFormat;
  readonly #calls: WorkerCalls<LoaderService>;
  readonly #pulse: SharedArrayBuffer | undefined;
  #streams = 0;
  #isStuck = false;

  constructor({ format, cacheBytes, pulse, resourceLimits = {}, file }: LoaderThreadOptions) {
    this.format = format;
    this.#pulse = pulse;
    const workerData: LoaderSetup = { format, cacheBytes };
    const built = file ?? builtFile("#loader-worker", missingThread);
    this.#calls = new WorkerCalls(built, { ...THREAD, workerData, resourceLimits });
  }

  /** Reads the images of these tables from a prepared pack from now on. E_SHARD_META, E_FILE. */
  async usePacked(handle: PackHandle, tables: readonly PathList[]): Promise<void> {
    await this.#calls.call("usePacked", [handle, tables.map(sharePaths)]);
  }

  /** Drops the decoded images that the thread keeps. */
  async forget(): Promise<void> {
    await this.#calls.call("forget", []);
  }

  openStream({ paths, ...options }: StreamOptions): ImageStream {
    const number = this.#streams++;
    const shared = { pulse: this.#pulse, ...options, paths: sharePaths(paths) };
    const opened = this.#calls.call("openStream", [number, shared]);
    // Raised by every `fill`; there may be none.
    opened.catch(() => undefined);
    return {
      fill: async (request: FillRequest, slot: ArrayBuffer) => {
        const filled = this.#calls.call("fill", [number, request, slot], [slot]);
        try {
          return (await Promise.all([opened, filled]))[1];
        } catch (error) {
          this.#isStuck ||= error instanceof MttcError && error.code === "E_DATA_STUCK";
          throw error;
        }
      },
      close: async () => {
        // With the thread, everything is closed.
        if (this.#calls.hasEnded || this.#isStuck) return;
        this.#isStuck ||= await this.#calls.call("closeStream", [number]);
      },
    };
  }

  /** Ends the thread once no image is being read; one that is stuck is left behind. May be repeated. */
  async close(): Promise<void> {
    if (this.#isStuck) this.#calls.abandon();
    else await this.#calls.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

function missingThread(cause: unknown): InternalError {
  return new InternalError("the file of the loader thread is missing: run `npm run build`", { cause });
}
