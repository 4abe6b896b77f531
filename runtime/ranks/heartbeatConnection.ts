// One peer of a heartbeat thread: heartbeats and words over a TCP connection of their own, which nothing
// large ever holds up. Silence is counted in ticks of this thread and not by a clock, so that a machine which
// slept, or processes that were all stopped and go on, take nobody for dead.
import type { Socket } from "node:net";
import type { HeartbeatTimes, HeartbeatWord } from "./heartbeatProtocol.ts";

/** A line is no longer than this; of more than that, unsent, nothing is added. */
const MAX_BYTES = 64 * 1024;

export interface HeartbeatListener {
  readonly onWord: (word: HeartbeatWord) => void;
  /** The peer leaves as agreed. */
  readonly onBye: () => void;
  /** The peer is gone without a bye: "has ended", "does not answer since 14 s". Once. */
  readonly onLost: (how: string) => void;
}

export class HeartbeatConnection {
  readonly #socket: Socket;
  readonly #listener: HeartbeatListener;
  readonly #times: HeartbeatTimes;
  #silentTicks = 0;
  #text = "";
  #isOver = false;

  constructor(socket: Socket, times: HeartbeatTimes, listener: HeartbeatListener) {
    this.#socket = socket;
    this.#times = times;
    this.#listener = listener;
    socket.setNoDelay(true);
    socket.on("data", (chunk) => this.#take(chunk.toString("utf8")));
    // The close that follows an error says it.
    socket.on("error", () => undefined);
    socket.on("close", () => this.#lose("has ended"));
    socket.resume();
    if (socket.destroyed) queueMicrotask(() => this.#lose("has ended"));
  }

  /** Once each `heartbeatMs`. */
  tick(): void {
    if (this.#isOver) return;
    const { heartbeatMs, limitMs } = this.#times;
    this.#silentTicks++;
    if (this.#silentTicks * heartbeatMs > limitMs)
      this.#lose(`does not answer since ${Math.round(limitMs / 100) / 10} s`);
    else this.#put("\n");
  }

  say(word: HeartbeatWord): void {
    if (!this.#isOver) this.#put(`${JSON.stringify(word)}\n`);
  }

  /** Says bye; the connection ends when that has arrived. */
  leave(): void {
    this.say({ kind: "bye" });
    this.#isOver = true;
    this.#socket.end();
  }

  /** The peer is lost, as it said itself. */
  lose(how: string): void {
    this.#lose(how);
  }

  destroy(): void {
    this.#isOver = true;
    this.#socket.destroy();
  }

  #put(line: string): void {
    // What a peer does not take it need not be told twice.
    if (this.#socket.writableLength < MAX_BYTES) this.#socket.write(line);
  }

  #take(text: string): void {
    this.#silentTicks = 0;
    const lines = (this.#text + text).split("\n");
    this.#text = lines.pop() ?? "";
    if (this.#text.length > MAX_BYTES) this.#lose("sends what cannot be read");
    for (const line of lines) if (line !== "" && !this.#isOver) this.#hear(JSON.parse(line) as HeartbeatWord);
  }

  #hear(word: HeartbeatWord): void {
    if (word.kind === "bye") {
      this.#isOver = true;
      this.#socket.end();
      this.#listener.onBye();
    } else this.#listener.onWord(word);
  }

  #lose(how: string): void {
    if (this.#isOver) return;
    this.destroy();
    this.#listener.onLost(how);
  }
}
