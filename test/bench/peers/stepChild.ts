// A process that takes training steps on command (stepProtocol.ts). Between its commands it is stopped, so
// that threads that spin while they wait take nothing from the other side.
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface, type Interface } from "node:readline";
import { InternalError } from "../../../compiler/diagnostics.ts";
import type { Losses, StepTimes } from "./stepProtocol.ts";

/** How much of what a process said on its standard error is shown when it ends. */
const SHOWN_ERROR = 2000;

export interface Opened {
  readonly losses: Losses;
  /** From nothing to the first step done. */
  readonly openMs: number;
}

export class StepChild implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #reader: Interface;
  readonly #began = performance.now();
  #error = "";

  constructor(program: string, args: readonly string[], environment: Readonly<Record<string, string>> = {}) {
    this.#child = spawn(program, args, { env: { ...process.env, ...environment } });
    const { stdout, stderr } = this.#child;
    if (!stdout || !stderr) throw new InternalError("a process without pipes");
    this.#reader = createInterface({ input: stdout });
    this.#lines = this.#reader[Symbol.asyncIterator]();
    stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#error = `${this.#error}${text}`.slice(-SHOWN_ERROR);
    });
    // Whoever is stopped would outlive a bench that ends early.
    process.on("exit", this.#end);
    // Whoever waits for an answer is told that the process has ended.
    this.#child.stdin?.on("error", () => undefined);
    this.#child.on("error", (error) => {
      this.#error += error.message;
    });
  }

  readonly #end = (): void => void this.#child.kill("SIGKILL");

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  async open(request: object): Promise<Opened> {
    const { losses } = (await this.ask({ command: "open", ...request })) as { losses: Losses };
    return { losses, openMs: performance.now() - this.#began };
  }

  async steps(count: number): Promise<StepTimes> {
    return (await this.ask({ command: "steps", count })) as StepTimes;
  }

  async peakBytes(): Promise<number> {
    return ((await this.ask({ command: "memory" })) as { peakBytes: number }).peakBytes;
  }

  /** Lets the process go on until it has answered. */
  async ask(request: object): Promise<unknown> {
    this.#child.kill("SIGCONT");
    this.#child.stdin?.write(`${JSON.stringify(request)}\n`);
    const { value, done } = await this.#lines.next();
    if (done) {
      const { spawnfile } = this.#child;
      throw new InternalError(`${spawnfile} ended in place of an answer: ${this.#error}`);
    }
    this.#child.kill("SIGSTOP");
    return JSON.parse(value);
  }

  /** Ends the process, which has nothing to save. */
  async [Symbol.asyncDispose](): Promise<void> {
    const { exitCode, signalCode } = this.#child;
    const ended = new Promise((resolve) => this.#child.once("close", resolve));
    this.#child.kill("SIGCONT");
    this.#child.stdin?.end();
    if (exitCode === null && signalCode === null) await ended;
    process.off("exit", this.#end);
    this.#reader.close();
  }
}
