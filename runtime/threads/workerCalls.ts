// Calls to a worker thread as promises: numbered requests out, replies in. When the thread ends, for whatever
// reason, every open call and every later one is rejected: nobody waits for ever. An idle thread does not
// keep the process alive.
import { type TransferListItem, Worker, type WorkerOptions } from "node:worker_threads";
import { type Fault, InternalError, MttcError } from "../../compiler/diagnostics.ts";
import {
  type Arguments,
  type Method,
  type Reply,
  type Request,
  type Result,
  type Service,
  transferableBuffers,
} from "./callProtocol.ts";
import { unpackError } from "./faultTransfer.ts";

interface OpenCall {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** How a thread is started, and what its death is to those who wait for it. */
export interface ThreadOptions extends Pick<WorkerOptions, "resourceLimits" | "workerData"> {
  /** "the ONNX Runtime thread", for messages. */
  readonly name: string;
  /** Code and hint of the error that calls are rejected with once the thread has ended. */
  readonly death: Pick<Fault, "code" | "hint">;
}

/** A worker thread that answers the calls of a service (see serveCalls). */
export class WorkerCalls<S extends Service<S>> {
  readonly #worker: Worker;
  readonly #options: ThreadOptions;
  readonly #open = new Map<number, OpenCall>();
  #calls = 0;
  #ended: Error | null = null;
  #closing: Promise<void> | null = null;
  #isAbandoned = false;
  readonly #exited: Promise<void>;

  /** Starts the thread from a built file. */
  constructor(file: URL, options: ThreadOptions) {
    const { name: _name, death: _death, ...workerOptions } = options;
    this.#options = options;
    this.#worker = new Worker(file, workerOptions);
    this.#worker.unref();
    this.#worker.on("message", (reply: Reply) => this.#settle(reply));
    this.#worker.on("messageerror", (error) => this.#end(new InternalError(`an unreadable reply: ${error}`)));
    this.#worker.on("error", (error) => this.#end(this.#deathOf(`failed: ${String(error)}`, error)));
    this.#exited = new Promise((resolve) => {
      this.#worker.on("exit", (code) => {
        this.#end(this.#deathOf(this.#closing ? "was closed" : `ended with exit code ${code}`));
        resolve();
      });
    });
  }

  /** Whether the thread has ended, or is no longer understood: every call is rejected from now on. */
  get hasEnded(): boolean {
    return this.#ended !== null;
  }

  /**
   * Makes a call; `transfer` lists what moves to the thread. Rejects with the thread's own typed error, or
   * that of its death.
   */
  call<M extends Method<S>>(
    method: M,
    args: Arguments<S, M>,
    transfer: readonly TransferListItem[] = [],
  ): Promise<Result<S, M>> {
    if (this.#ended !== null) return Promise.reject(this.#ended);
    const call = this.#calls++;
    const request: Request = { call, method, args };
    return new Promise((resolve, reject) => {
      try {
        refuseDetached(args);
        this.#worker.postMessage(request, transfer);
      } catch (error) {
        reject(new InternalError(`${method} cannot be posted: ${String(error)}`, { cause: error }));
        return;
      }
      this.#open.set(call, { resolve: (value) => resolve(value as Result<S, M>), reject });
      this.#worker.ref();
    });
  }

  /**
   * Asks the thread to release everything and waits until it has ended, but for one that was abandoned;
   * calling it again is harmless.
   */
  close(): Promise<void> {
    if (this.#isAbandoned) return Promise.resolve();
    this.#closing ??= this.#closeOnce();
    return this.#closing;
  }

  /**
   * Ends a thread that hangs, without waiting for it: a native job that does not end holds its thread. Open
   * calls are rejected. Node.js waits for it when the process ends, for ever where the job does.
   */
  abandon(): void {
    this.#isAbandoned = true;
    this.#end(this.#deathOf("was abandoned"));
    void this.#worker.terminate();
    // Whoever asks a thread to end has the process wait for it.
    this.#worker.unref();
  }

  async #closeOnce(): Promise<void> {
    if (this.#ended === null) await this.call("close" as Method<S>, [] as unknown as Arguments<S, Method<S>>);
    // One that is no longer understood would not end by itself.
    else void this.#worker.terminate();
    // Between the last reply and the exit nothing else might keep the process alive.
    this.#worker.ref();
    await this.#exited;
  }

  #settle(reply: Reply): void {
    const open = this.#open.get(reply.call);
    if (open === undefined) {
      this.#end(new InternalError(`a reply to no call (${reply.call})`));
      return;
    }
    this.#open.delete(reply.call);
    if (this.#open.size === 0) this.#worker.unref();
    if ("error" in reply) open.reject(unpackError(reply.error));
    else open.resolve(reply.value);
  }

  #end(error: Error): void {
    this.#ended ??= error;
    for (const { reject } of this.#open.values()) reject(this.#ended);
    this.#open.clear();
  }

  #deathOf(how: string, cause?: unknown): MttcError {
    const { name, death } = this.#options;
    return new MttcError({ ...death, message: `${name} ${how}` }, { cause });
  }
}

/** Throws for an array whose buffer is away: posted like that it could not be read on the other side. */
function refuseDetached(args: unknown): void {
  // Node 20 has no `ArrayBuffer.prototype.detached`; a view of a detached buffer cannot be made.
  for (const buffer of transferableBuffers(args)) new Uint8Array(buffer);
}
