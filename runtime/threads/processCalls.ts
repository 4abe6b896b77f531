// Calls to a child process as promises, for what may take any time or memory, or crash: what exceeds its
// limits is killed, and every open call is rejected with the reason. The child watches its own memory,
// which works on every system; its parent watches the time.
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { type Fault, InternalError, MttcError } from "../../compiler/diagnostics.ts";
import type { Arguments, Method, Reply, Request, Result, Service } from "./callProtocol.ts";
import { unpackError } from "./faultTransfer.ts";
import type { ExcessMessage } from "./processServer.ts";

const START_MS = 60_000;

/** How a process is started, and what its end is to those who wait for it. */
export interface ProcessOptions {
  /** "the process that runs the model", for messages. */
  readonly name: string;
  /** Resident memory that it may take. */
  readonly memoryBytes: number;
  /** Fault of a process that took more. */
  readonly excess: Fault;
  /** Code of one that ended otherwise, or took too long. */
  readonly death: Fault["code"];
}

/** A child process that answers the calls of a service (see serveProcess). Close it. */
export class ProcessCalls<S extends Service<S>> {
  readonly #child: ChildProcess;
  readonly #options: ProcessOptions;
  readonly #open = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  #calls = 0;
  #ended: Error | undefined;

  private constructor(child: ChildProcess, options: ProcessOptions) {
    this.#child = child;
    this.#options = options;
    child.on("message", (message: Reply | ExcessMessage) => {
      if ("excess" in message) this.#end(new MttcError(options.excess));
      else this.#settle(message);
    });
    child.on("exit", (code, signal) => this.#end(this.#death(`ended (${signal ?? `exit code ${code}`})`)));
    // Of a request that no longer arrives; the exit event says what became of the process.
    child.on("error", () => undefined);
    this.#hold(false);
  }

  /** Starts the process from a built file. InternalError where it does not start. */
  static async start<S extends Service<S>>(file: URL, options: ProcessOptions): Promise<ProcessCalls<S>> {
    const child = fork(fileURLToPath(file), [String(options.memoryBytes)], {
      execArgv: [],
      // Ctrl-C is for the parent, which ends its children when it is done with them.
      detached: true,
      serialization: "advanced",
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    const timer = setTimeout(() => child.kill("SIGKILL"), START_MS);
    try {
      const [message] = await Promise.race([once(child, "message"), once(child, "exit")]);
      if (message !== "ready") throw new InternalError(`${options.name} does not start`);
      return new ProcessCalls<S>(child, options);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Makes a call, which may take `limitMs`. Rejects with the process's own typed error, or that of its end. */
  call<M extends Method<S>>(method: M, args: Arguments<S, M>, limitMs: number): Promise<Result<S, M>> {
    if (this.#ended) return Promise.reject(this.#ended);
    const call = this.#calls++;
    const request: Request = { call, method, args };
    return new Promise((resolve, reject) => {
      const seconds = Math.round(limitMs / 1000);
      const timer = setTimeout(() => {
        this.#end(this.#death(`was ended: ${method} takes more than ${seconds} s`));
        this.#child.kill("SIGKILL");
      }, limitMs);
      const settled = <T>(then: (value: T) => void) => {
        return (value: T): void => {
          clearTimeout(timer);
          then(value);
        };
      };
      this.#open.set(call, {
        resolve: settled((value) => resolve(value as Result<S, M>)),
        reject: settled(reject),
      });
      this.#hold(true);
      this.#child.send(request);
    });
  }

  /** Ends the process, whatever it does; open calls are rejected. */
  async close(): Promise<void> {
    this.#end(this.#death("was closed"));
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.ref();
    const exit = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await exit;
  }

  #settle(reply: Reply): void {
    // What arrives after the end must not let go of the process that close waits for.
    if (this.#ended) return;
    const open = this.#open.get(reply.call);
    this.#open.delete(reply.call);
    if (this.#open.size === 0) this.#hold(false);
    if ("error" in reply) open?.reject(unpackError(reply.error));
    else open?.resolve(reply.value);
  }

  #end(error: Error): void {
    this.#ended ??= error;
    for (const { reject } of this.#open.values()) reject(this.#ended);
    this.#open.clear();
  }

  /** An idle process does not keep this one alive. */
  #hold(isBusy: boolean): void {
    for (const held of [this.#child, this.#child.channel]) isBusy ? held?.ref?.() : held?.unref?.();
  }

  #death(how: string): MttcError {
    return new MttcError({ code: this.#options.death, message: `${this.#options.name} ${how}` });
  }
}
