// A process that takes training steps on command (stepProtocol.ts).
import { PausedProcess } from "./pausedProcess.ts";
import type { Losses, StepTimes } from "./stepProtocol.ts";

export interface Opened {
  readonly losses: Losses;
  /** From nothing to the first step done. */
  readonly openMs: number;
}

export class StepChild implements AsyncDisposable {
  readonly #process: PausedProcess;

  constructor(...started: ConstructorParameters<typeof PausedProcess>) {
    this.#process = new PausedProcess(...started);
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** The first thing that is asked of it. */
  async open(request: object): Promise<Opened> {
    const { text, ms } = await this.#process.line(JSON.stringify({ command: "open", ...request }));
    return { losses: (JSON.parse(text) as { losses: Losses }).losses, openMs: ms };
  }

  async steps(count: number): Promise<StepTimes> {
    return (await this.ask({ command: "steps", count })) as StepTimes;
  }

  async peakBytes(): Promise<number> {
    return ((await this.ask({ command: "memory" })) as { peakBytes: number }).peakBytes;
  }

  async ask(request: object): Promise<unknown> {
    return JSON.parse((await this.#process.line(JSON.stringify(request))).text);
  }

  /** Lets it close what it has open. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#process.end(false);
  }
}
