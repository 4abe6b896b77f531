// Calls to a worker thread as promises: numbered requests out, replies in. When the thread ends, for whatever
// reason, every open call and every later one is rejected: nobody waits for ever. An idle thread does not
// keep the process alive.
import { Worker } from "node:worker_threads";
import { InternalError, MttcError } from "../../compiler/diagnostics.ts";
import { unpackError } from "./faultTransfer.ts";
import {
  type Method,
  type OrtService,
  type Reply,
  type Request,
  transferableBuffers,
} from "./ortProtocol.ts";

interface OpenCall {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** A worker thread that answers the calls of OrtService. */
export class WorkerCalls {
  private readonly worker: Worker;
  private readonly open = new Map<number, OpenCall>();
  private calls = 0;
  private ended: Error | null = null;
  private closing: Promise<void> | null = null;
  private readonly exited: Promise<void>;

  /** Starts the thread from a built file. */
  constructor(file: string | URL) {
    this.worker = new Worker(file);
    this.worker.unref();
    this.worker.on("message", (reply: Reply) => this.settle(reply));
    this.worker.on("messageerror", (error) => this.end(new InternalError(`an unreadable reply: ${error}`)));
    this.worker.on("error", (error) => this.end(deathOf(`failed: ${String(error)}`, error)));
    this.exited = new Promise((resolve) => {
      this.worker.on("exit", (code) => {
        this.end(deathOf(this.closing ? "was closed" : `ended with exit code ${code}`));
        resolve();
      });
    });
  }

  /**
   * Makes a call; `transfer` lists buffers that move to the thread. Rejects with the thread's own typed
   * error.
   */
  call<M extends Method>(
    method: M,
    args: Parameters<OrtService[M]>,
    transfer: readonly ArrayBuffer[] = [],
  ): Promise<ReturnType<OrtService[M]>> {
    if (this.ended !== null) return Promise.reject(this.ended);
    const call = this.calls++;
    const request: Request<M> = { call, method, args };
    return new Promise((resolve, reject) => {
      try {
        refuseDetached(args);
        this.worker.postMessage(request, transfer);
      } catch (error) {
        reject(new InternalError(`${method} cannot be posted: ${String(error)}`, { cause: error }));
        return;
      }
      this.open.set(call, { resolve: (value) => resolve(value as ReturnType<OrtService[M]>), reject });
      this.worker.ref();
    });
  }

  /** Asks the thread to release everything and waits until it has ended; calling it again is harmless. */
  close(): Promise<void> {
    this.closing ??= this.closeOnce();
    return this.closing;
  }

  private async closeOnce(): Promise<void> {
    if (this.ended === null) await this.call("close", []);
    // Between the last reply and the exit nothing else might keep the process alive.
    this.worker.ref();
    await this.exited;
  }

  private settle(reply: Reply): void {
    const open = this.open.get(reply.call);
    if (open === undefined) {
      this.end(new InternalError(`a reply to no call (${reply.call})`));
      return;
    }
    this.open.delete(reply.call);
    if (this.open.size === 0) this.worker.unref();
    if ("error" in reply) open.reject(unpackError(reply.error));
    else open.resolve(reply.value);
  }

  private end(error: Error): void {
    this.ended ??= error;
    for (const { reject } of this.open.values()) reject(this.ended);
    this.open.clear();
  }
}

/** Throws for an array whose buffer is away: posted like that it could not be read on the other side. */
function refuseDetached(args: unknown): void {
  // Node 20 has no `ArrayBuffer.prototype.detached`; a view of a detached buffer cannot be made.
  for (const buffer of transferableBuffers(args)) new Uint8Array(buffer);
}

function deathOf(how: string, cause?: unknown): MttcError {
  return new MttcError({ code: "E_ORT", message: `the ONNX Runtime thread ${how}` }, { cause });
}
