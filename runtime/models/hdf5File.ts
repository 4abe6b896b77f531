// HDF5 bytes -> content, through a thread that is given up when it takes too long. In: bytes and what is
// wanted of them; out: plain data; errors name the file.
import { Worker } from "node:worker_threads";
import { type Fault, InternalError, MttcError } from "../../compiler/diagnostics.ts";
import { builtFile } from "../threads/builtFile.ts";
import type { Hdf5Content, Hdf5Kind } from "./hdf5Content.ts";

export interface Hdf5Request {
  readonly bytes: Uint8Array;
  readonly kind: Hdf5Kind;
}

export type Hdf5Reply = { readonly content: Hdf5Content } | { readonly faults: readonly Fault[] };

/** Reading 500 MB takes seconds; what takes this long does not end. */
const TIMEOUT_MS = 120_000;

/** The content of an HDF5 file, whose bytes are given away to the thread. E_MODEL_PARSE, E_MODEL_ALLOC. */
export async function readHdf5(bytes: Uint8Array, kind: Hdf5Kind, file: string): Promise<Hdf5Content> {
  // A small Buffer shares Node's pool, which cannot be transferred.
  const own = bytes.byteLength === bytes.buffer.byteLength ? bytes : Uint8Array.from(bytes);
  const workerData: Hdf5Request = { bytes: own, kind };
  const transferList = [own.buffer as ArrayBuffer];
  const worker = new Worker(builtFile("#hdf5-worker", missingThread), {
    workerData,
    transferList,
    stdout: true,
    stderr: true,
  });
  // The library writes every reason of an error to stderr.
  worker.stdout.resume();
  worker.stderr.resume();
  try {
    const reply = await replyOf(worker);
    if ("content" in reply) return reply.content;
    throw new MttcError(reply.faults.map((fault) => ({ ...fault, at: { file } })));
  } finally {
    await worker.terminate();
  }
}

function replyOf(worker: Worker): Promise<Hdf5Reply> {
  return new Promise((resolve, reject) => {
    const giveUp = (message: string): void => resolve({ faults: [{ code: "E_MODEL_PARSE", message }] });
    const timer = setTimeout(
      () => giveUp(`reading it took more than ${TIMEOUT_MS / 1000} s and was given up`),
      TIMEOUT_MS,
    );
    worker.once("message", (reply: Hdf5Reply) => resolve(reply));
    worker.once("error", (error) => reject(new InternalError(`on the HDF5 thread: ${String(error)}`)));
    worker.once("exit", () => {
      clearTimeout(timer);
      giveUp("the thread that read it ended early");
    });
  });
}

function missingThread(cause: unknown): InternalError {
  return new InternalError("the file of the HDF5 thread is missing: run `npm run build`", { cause });
}
