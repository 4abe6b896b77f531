// A model of unknown origin at work in a process of its own, under limits of time and memory: what loops,
// grows or crashes there becomes a typed error here.
import { totalmem } from "node:os";
import { InternalError } from "../../compiler/diagnostics.ts";
import type { HostTensor, OrtOptions } from "../ort/ortHost.ts";
import { builtFile } from "../threads/builtFile.ts";
import { ProcessCalls } from "../threads/processCalls.ts";

/** What a model may cost. */
export interface ModelLimits {
  /** Resident memory of the process; default 12 GiB, or three quarters of the machine's if less. */
  readonly memoryBytes?: number | undefined;
  /** Seconds until it is open; default 120. */
  readonly openSeconds?: number | undefined;
  /** Seconds for each image of a batch; default 60. */
  readonly imageSeconds?: number | undefined;
}

const USUAL_MEMORY_BYTES = 12 * 2 ** 30;
const OPEN_SECONDS = 120;
const IMAGE_SECONDS = 60;

/** What the process does when asked. */
export interface ModelService {
  open(bytes: Uint8Array, options: OrtOptions): Promise<{ note: string | undefined }>;
  run(image: HostTensor, outputs: readonly string[]): Promise<Map<string, HostTensor>>;
  close(): Promise<void>;
}

/** Close it after use. */
export class ModelProcess {
  /** Why `auto` came to the CPU, where that needs saying: a line for the user. */
  readonly note: string | undefined;
  readonly #calls: ProcessCalls<ModelService>;
  readonly #imageMs: number;

  private constructor(calls: ProcessCalls<ModelService>, note: string | undefined, imageMs: number) {
    this.#calls = calls;
    this.note = note;
    this.#imageMs = imageMs;
  }

  /**
   * Starts the process and opens the model there. E_ORT (refused, crashed, or too long), E_MODEL_ALLOC (more
   * memory than the limit), E_ORT_LOAD, and what providers lack.
   */
  static async open(bytes: Uint8Array, options: OrtOptions, limits: ModelLimits = {}): Promise<ModelProcess> {
    const memoryBytes = limits.memoryBytes ?? Math.min(USUAL_MEMORY_BYTES, 0.75 * machineMemory());
    const gigabytes = (memoryBytes / 2 ** 30).toFixed(1);
    const calls = await ProcessCalls.start<ModelService>(builtFile("#model-worker", missingProcess), {
      name: "the process that runs the model",
      memoryBytes,
      excess: {
        code: "E_MODEL_ALLOC",
        message: `running the model takes more than ${gigabytes} GiB of memory`,
        hint: "if you trust the model: mttc predict --memory GIB",
      },
      death: "E_ORT",
    });
    try {
      const openMs = 1000 * (limits.openSeconds ?? OPEN_SECONDS);
      const { note } = await calls.call("open", [bytes, options], openMs);
      return new ModelProcess(calls, note, 1000 * (limits.imageSeconds ?? IMAGE_SECONDS));
    } catch (error) {
      await calls.close();
      throw error;
    }
  }

  /** Runs it on `image` [N,...] and returns the wanted outputs. Errors as `open`. */
  run(image: HostTensor, outputs: readonly string[]): Promise<Map<string, HostTensor>> {
    return this.#calls.call("run", [image, outputs], this.#imageMs * Math.max(1, image.shape[0] ?? 1));
  }

  /** Ends the process, whatever it does. */
  close(): Promise<void> {
    return this.#calls.close();
  }
}

/** Memory of the machine, or of the container where that has less. */
function machineMemory(): number {
  const limit = process.constrainedMemory?.() ?? 0;
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem();
}

function missingProcess(cause: unknown): InternalError {
  return new InternalError("the file of the process that runs models is missing: run `npm run build`", {
    cause,
  });
}
