// HDF5 bytes -> content, through a thread that is ended when it stands still or takes too much memory: a
// damaged file can keep the library busy for ever. In: bytes and what is wanted of them; out: plain data;
// errors name the file.
import { Worker } from "node:worker_threads";
import { type Fault, InternalError, MttcError } from "../../compiler/diagnostics.ts";
import { builtFile } from "../threads/builtFile.ts";
import type { Hdf5Content, Hdf5Kind } from "./hdf5Content.ts";

export interface Hdf5Request {
  readonly bytes: Uint8Array;
  readonly kind: Hdf5Kind;
}

export type Hdf5Reply = { readonly content: Hdf5Content } | { readonly faults: readonly Fault[] };

/** What the thread says before its reply: that it is ready, then each array that it begins to read. */
export interface Hdf5Progress {
  /** Bytes of what comes next: of the whole file while it is opened, then of an array. */
  readonly nextBytes: number;
}

export interface Hdf5Limits {
  /** Time to load the library, which does not depend on the file. */
  readonly startMs: number;
  /** Time without progress for what is small, and per byte of what comes next. */
  readonly standstillMs: number;
  readonly msPerByte: number;
  /** All of it may take this many times what one step may, for all bytes of the file. */
  readonly steps: number;
  /** Growth of the process: for what is small, and per byte of the file. */
  readonly memoryBytes: number;
  readonly memoryPerByte: number;
}

/**
 * An array of 500 MB takes a second or two; 5 MB a second leave room for slow machines. The library and the
 * thread hold the file and its arrays (at most 8 times as large, compressed) twice each.
 */
export const HDF5_LIMITS: Hdf5Limits = {
  startMs: 60_000,
  standstillMs: 3_000,
  msPerByte: 1 / 5_000,
  steps: 20,
  memoryBytes: 1 << 30,
  memoryPerByte: 20,
};
/** How often the thread is looked at. */
const LOOK_MS = 100;

/**
 * The content of an HDF5 file, whose bytes are given away to the thread. E_MODEL_PARSE, also where reading
 * stands still; E_MODEL_ALLOC.
 */
export async function readHdf5(
  bytes: Uint8Array,
  kind: Hdf5Kind,
  file: string,
  limits: Hdf5Limits = HDF5_LIMITS,
): Promise<Hdf5Content> {
  // A small Buffer shares Node's pool, which cannot be transferred.
  const own = bytes.byteLength === bytes.buffer.byteLength ? bytes : Uint8Array.from(bytes);
  const fileBytes = own.byteLength;
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
    const reply = await replyOf(worker, fileBytes, limits);
    if ("content" in reply) return reply.content;
    throw new MttcError(reply.faults.map((fault) => ({ ...fault, at: { file } })));
  } finally {
    await worker.terminate();
  }
}

function replyOf(worker: Worker, fileBytes: number, limits: Hdf5Limits): Promise<Hdf5Reply> {
  return new Promise((resolve, reject) => {
    const begun = process.memoryUsage.rss();
    const memory = limits.memoryBytes + limits.memoryPerByte * fileBytes;
    let [since, allowedMs] = [performance.now(), limits.startMs];
    const totalMs = limits.startMs + limits.steps * (limits.standstillMs + limits.msPerByte * fileBytes);
    const last = since + totalMs;
    const end = (reply: Hdf5Reply): void => {
      clearInterval(timer);
      resolve(reply);
    };
    const giveUp = (code: Fault["code"], message: string): void => end({ faults: [{ code, message }] });
    const timer = setInterval(() => {
      const standsStill = performance.now() - since > allowedMs;
      if (standsStill)
        giveUp("E_MODEL_PARSE", `the HDF5 file is damaged: reading it stood still for ${seconds(allowedMs)}`);
      else if (performance.now() > last)
        giveUp("E_MODEL_PARSE", `the HDF5 file is damaged: reading it took more than ${seconds(totalMs)}`);
      else if (process.memoryUsage.rss() - begun > memory)
        giveUp("E_MODEL_ALLOC", "reading it takes more memory than the file warrants");
    }, LOOK_MS);
    worker.on("message", (message: Hdf5Reply | Hdf5Progress) => {
      if (!("nextBytes" in message)) return end(message);
      since = performance.now();
      allowedMs = limits.standstillMs + limits.msPerByte * message.nextBytes;
    });
    worker.once("error", (error) => {
      clearInterval(timer);
      reject(new InternalError(`on the HDF5 thread: ${String(error)}`));
    });
    worker.once("exit", () => giveUp("E_MODEL_PARSE", "the thread that read it ended early"));
  });
}

function seconds(ms: number): string {
  return `${Math.round(ms / 1000)} s`;
}

function missingThread(cause: unknown): InternalError {
  return new InternalError("the file of the HDF5 thread is missing: run `npm run build`", { cause });
}
