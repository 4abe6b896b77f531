// A rank of a channel as a process of its own (channelChild.ts), and all that it told.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { expect } from "vitest";
import { PROJECT_ROOT } from "../projectRoot.ts";
import type { ChildNews, ChildOrder } from "./channelChild.ts";

export class ChannelRank {
  readonly child: ChildProcess;
  readonly news: ChildNews[] = [];
  readonly #stderr: string[] = [];

  /** `on`: words before the command, such as those that run it on another machine. */
  constructor(on: readonly string[] = []) {
    const file = join(PROJECT_ROOT, "dist", "test", "ranks", "channelChild.js");
    const [command = "", ...words] = [...on, process.execPath, file];
    this.child = spawn(command, words, { stdio: ["ignore", "ignore", "pipe", "ipc"] });
    this.child.on("message", (news: ChildNews) => this.news.push(news));
    this.child.stderr?.on("data", (text: Buffer) => this.#stderr.push(text.toString()));
  }

  get stderr(): string {
    return this.#stderr.join("");
  }

  order(order: ChildOrder): void {
    this.child.send(order);
  }

  /** The first news of a kind, once it is there. */
  async hears<K extends ChildNews["kind"]>(kind: K, ms = 10_000): Promise<Extract<ChildNews, { kind: K }>> {
    await expect
      .poll(() => this.news.map((each) => each.kind), { timeout: ms, interval: 10 })
      .toContain(kind);
    return this.news.find((each) => each.kind === kind) as Extract<ChildNews, { kind: K }>;
  }

  async exit(): Promise<number | string> {
    const { exitCode, signalCode } = this.child;
    if (exitCode !== null || signalCode !== null) return signalCode ?? exitCode ?? "";
    const [code, signal] = await once(this.child, "exit");
    return signal ?? code;
  }
}
