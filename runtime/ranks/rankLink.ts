// A follower's side of the channel: it connects to rank 0, does what it is told, and ends as it is told.
import { hostname } from "node:os";
import { InternalError } from "../../compiler/diagnostics.ts";
import { packError, unpackError } from "../threads/faultTransfer.ts";
import { freshAbortFlag, raiseFlag } from "./abortFlag.ts";
import {
  CHANNEL_DEFAULTS,
  type ChannelOptions,
  type HubMessage,
  type LinkMessage,
  type PackedEnd,
  type RankEnd,
} from "./channelProtocol.ts";
import { dialHub } from "./dialHub.ts";
import type { Knock } from "./handshake.ts";
import { parseAddress } from "./hubAddress.ts";
import { MessageSocket } from "./messageSocket.ts";
import { lostRank } from "./rankFaults.ts";

/** What a follower does with a message of rank 0; what it returns is the reply where one is wanted. */
export type RankHandler = (message: unknown) => unknown;

/** A follower's side. Close it. */
export class RankLink {
  /** Raised (Int32 [0] not 0) where the run failed: collectives of this process must end. */
  readonly abort = freshAbortFlag();
  readonly #options: ChannelOptions;
  readonly #failure = new AbortController();
  #socket: MessageSocket | undefined;
  /** What came before `serve`. */
  readonly #waiting: HubMessage[] = [];
  #onMessage: (message: HubMessage) => void = (message) => this.#waiting.push(message);
  #ended = false;

  constructor(options: Partial<ChannelOptions> = {}) {
    this.#options = { ...CHANNEL_DEFAULTS, ...options };
  }

  /** Aborted once rank 0 is lost; its reason is the error. */
  get failed(): AbortSignal {
    return this.#failure.signal;
  }

  /** Connects to the rank 0 of `address` (its RankHub's). E_RANKS where it is not to be reached. */
  async connect(address: string, who: Knock): Promise<void> {
    const hub = parseAddress(address);
    const socket = await dialHub(hub, hub.port, who, this.#options.acceptMs);
    const host = String(socket.remoteAddress);
    this.#socket = new MessageSocket(socket, {
      onMessage: (message) => this.#hear(message as HubMessage),
      onEnd: (why) =>
        this.#lose(lostRank({ rank: 0, host }, why === "closed" ? "has ended" : `is lost: ${why}`)),
    });
    await this.#tell({ kind: "here", host: hostname() });
  }

  /**
   * Does what rank 0 says until it says how the run ends, which is returned. Handlers are begun in the order
   * in which messages came. Where one throws, the run fails, and rank 0 says why. E_RANK_LOST where rank 0 is
   * gone.
   */
  async serve(handler: RankHandler): Promise<RankEnd> {
    const open = new Set<Promise<void>>();
    const packed = await new Promise<PackedEnd>((resolve, reject) => {
      this.failed.addEventListener("abort", () => reject(this.failed.reason));
      if (this.failed.aborted) reject(this.failed.reason);
      this.#onMessage = (message) => {
        if (message.kind === "end") {
          this.#ended = true;
          if (message.end.kind === "failed") raiseFlag(this.abort);
          resolve(message.end);
        } else if (message.kind === "call") {
          const done: Promise<void> = this.#answer(handler, message).finally(() => open.delete(done));
          open.add(done);
        }
      };
      for (const message of this.#waiting.splice(0)) this.#onMessage(message);
    });
    await Promise.all(open);
    return packed.kind === "failed" ? { ...packed, error: unpackError(packed.error) } : { kind: packed.kind };
  }

  /** Leaves: rank 0 sees that this process has ended what it did. */
  async close(): Promise<void> {
    this.#ended = true;
    const socket = this.#socket;
    if (!socket) return;
    socket.finish();
    await socket.closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Carries out one message; never rejects. */
  async #answer(
    handler: RankHandler,
    { call, wantsReply, message }: Extract<HubMessage, { kind: "call" }>,
  ): Promise<void> {
    try {
      const value = await handler(message);
      if (wantsReply) await this.#tell({ kind: "reply", call, value });
    } catch (error) {
      await this.#tell({ kind: "fault", error: packError(error) });
    }
  }

  async #tell(message: LinkMessage): Promise<void> {
    if (!this.#socket) throw new InternalError("a rank speaks before it is connected");
    await this.#socket.send(message);
  }

  #hear(message: HubMessage): void {
    if (message.kind === "abort") raiseFlag(this.abort);
    else this.#onMessage(message);
  }

  #lose(error: unknown): void {
    if (this.#ended) return;
    raiseFlag(this.abort);
    this.#failure.abort(error);
  }
}
