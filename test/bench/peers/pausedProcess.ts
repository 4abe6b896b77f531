// A process that runs only while something is awaited of it: a line of its standard output. In between it
// and all that it started is stopped, so that threads that spin and workers that read ahead take nothing
// from what is measured beside it.
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface, type Interface } from "node:readline";

/** How much of what a process said on its standard error is shown when it ends. */
const SHOWN_ERROR = 2000;

export interface ProcessLine {
  readonly text: string;
  /** Milliseconds that the process has run since its line before, or since its start. */
  readonly ms: number;
}

export class PausedProcess implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #reader: Interface;
  readonly #lines: AsyncIterator<string>;
  readonly #exit = (): void => this.#signal("SIGKILL");
  /** Undefined while it is stopped. */
  #resumed: number | undefined = performance.now();
  #error = "";

  constructor(program: string, args: readonly string[], environment: Readonly<Record<string, string>> = {}) {
    // A group of its own: signals reach its workers, too.
    this.#child = spawn(program, args, { detached: true, env: { ...process.env, ...environment } });
    const { stdin, stdout, stderr } = this.#child;
    if (!stdin || !stdout || !stderr) throw new Error(`${program} was started without pipes`);
    this.#reader = createInterface({ input: stdout });
    this.#lines = this.#reader[Symbol.asyncIterator]();
    stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#error = `${this.#error}${text}`.slice(-SHOWN_ERROR);
    });
    // Whoever waits for a line is told that the process has ended.
    stdin.on("error", () => undefined);
    this.#child.on("error", (error) => {
      this.#error += error.message;
    });
    // Stopped, it would outlive a bench that ends early.
    process.on("exit", this.#exit);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Lets the process go on, after it has been told `input`, until it has written a line. */
  async line(input?: string): Promise<ProcessLine> {
    if (input !== undefined) this.#child.stdin?.write(`${input}\n`);
    const resumed = this.#resumed ?? performance.now();
    this.#signal("SIGCONT");
    const { value, done } = await this.#lines.next();
    if (done) throw new Error(`${this.#child.spawnfile} ended in place of an answer: ${this.#error}`);
    const ms = performance.now() - resumed;
    this.#signal("SIGSTOP");
    this.#resumed = undefined;
    return { text: value, ms };
  }

  /** Closes its standard input and waits for its end; `now` ends it whatever it is doing. */
  async end(now: boolean): Promise<void> {
    const { exitCode, signalCode } = this.#child;
    const ended = new Promise((resolve) => this.#child.once("close", resolve));
    this.#signal("SIGCONT");
    this.#child.stdin?.end();
    if (now) this.#signal("SIGKILL");
    if (exitCode === null && signalCode === null) await ended;
    process.off("exit", this.#exit);
    this.#reader.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.end(true);
  }

  #signal(signal: NodeJS.Signals): void {
    const { pid } = this.#child;
    if (pid === undefined) return;
    try {
      process.kill(-pid, signal);
    } catch (error) {
      // All of the group has ended.
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
  }
}
