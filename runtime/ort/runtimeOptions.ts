// How to run, beside what to train or evaluate: what every command and class that starts ONNX Runtime takes.
import { MttcError } from "../../compiler/diagnostics.ts";
import type { OrtOptions } from "./ortHost.ts";
import { type ProviderName, parseProvider } from "./providerName.ts";

/** How to run, beside what to train. */
export interface RuntimeOptions {
  /** Folder that relative paths of the spec start from; default: the working directory. */
  readonly baseDirectory?: string | undefined;
  /** Folder or file of another ONNX Runtime; default: the one inside onnxruntime-node. */
  readonly ortLibrary?: string | undefined;
  /** Threads of ONNX Runtime inside one operator; default: one per core. */
  readonly threads?: number | undefined;
  /**
   * Where graphs run: "cpu" (the default), "cuda" or "cuda:1", or "auto", which is a usable CUDA device or
   * else the CPU.
   */
  readonly executionProvider?: ProviderName | undefined;
  /**
   * Measure, before the first run on a device, which spelling of each convolution is fastest there; by
   * default on CUDA only.
   */
  readonly autotune?: boolean | undefined;
  /**
   * Record what a step asks of a CUDA device and replay that (CUDA graphs), if replays prove to do what
   * plain steps do when training begins; off by default.
   */
  readonly cudaGraph?: boolean | undefined;
}

/**
 * How to start ONNX Runtime. `tf32` lets a CUDA device round the factors of float32 products. E_USAGE for an
 * unknown provider.
 */
export function ortOptions(runtime: RuntimeOptions, tf32: boolean): OrtOptions {
  const { ortLibrary, threads, executionProvider: name = "cpu" } = runtime;
  const provider = parseProvider(name, tf32);
  if (provider === undefined)
    throw new MttcError({
      code: "E_USAGE",
      message: `there is no execution provider "${name}"`,
      hint: "cpu, cuda, cuda:1 (the second device) or auto",
    });
  return { libraryPath: ortLibrary, intraOpThreads: threads, provider };
}
