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
import type { RankIdentity } from "./handshake.ts";
import { Heartbeat } from "./heartbeat.ts";
import { parseAddress } from "./hubAddress.ts";
import type { Phase } from "./mainThread.ts";
import { MessageSocket } from "./messageSocket.ts";
import { patientTimer } from "./patientTimer.ts";
import { lostRank } from "./rankFaults.ts";
import { freshPulse, RankPulse } from "./rankPulse.ts";

/** What a follower does with a message of rank 0; what it returns is the reply where one is wanted. */
export type RankHandler = (message: unknown) => unknown;

/** A follower's side. Close it. */
export class RankLink {
  /** Raised (Int32 [0] not 0) where the run failed: collectives of this process must end. */
  readonly abort = freshAbortFlag();
  /** Shows whether this rank goes on, and when it waits for others. */
  readonly pulse = freshPulse();
  readonly #pulseOf = new RankPulse(this.pulse);
  readonly #options: ChannelOptions;
  readonly #failure = new AbortController();
  #socket: MessageSocket | undefined;
  /** What came before `serve`. */
  readonly #waiting: HubMessage[] = [];
  #onMessage: (message: HubMessage) => void = (message) => this.#waiting.push(message);
  #heartbeat: Heartbeat | undefined;
  #ended = false;

  constructor(options: Partial<ChannelOptions> = {}) {
    this.#options = { ...CHANNEL_DEFAULTS, ...options };
  }

  /** Aborted once rank 0 is lost; its reason is the error. */
  get failed(): AbortSignal {
    return this.#failure.signal;
  }

  /** Connects to the rank 0 of `address` (its RankHub's). E_RANKS where it is not to be reached. */
  async connect(address: string, who: RankIdentity): Promise<void> {
    const { hosts, key, port, heartbeatPort } = parseAddress(address);
    const { acceptMs: waitMs } = this.#options;
    const socket = await dialHub({ hosts, key }, port, who, waitMs);
    const host = String(socket.remoteAddress);
    const lose = (how: string): void => this.#lose(lostRank({ rank: 0, host }, how));
    this.#socket = new MessageSocket(socket, {
      onMessage: (message) => this.#onMessage(message as HubMessage),
      onEnd: lose,
    });
    const hub = { hosts, port: heartbeatPort, waitMs };
    const start = { ...this.#options, abort: this.abort, pulse: this.pulse, key, hub, who };
    const onLost = (error: unknown): void => {
      this.#lose(error);
      this.#socket?.destroy();
    };
    this.#heartbeat = (await Heartbeat.start(start, { onLost })).heartbeat;
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
        } else {
          const done: Promise<void> = this.#answer(handler, message).finally(() => open.delete(done));
          open.add(done);
        }
      };
      for (const message of this.#waiting.splice(0)) this.#onMessage(message);
    });
    await Promise.all(open);
    return packed.kind === "failed" ? { ...packed, error: unpackError(packed.error) } : { kind: packed.kind };
  }

  /** What this rank is within, where its main thread must not stand still. */
  march(phase: Phase | undefined): void {
    this.#heartbeat?.march(phase);
  }

  /**
   * Leaves, as the last of what this process does: rank 0 sees by it that all else is done, and until then
   * the heartbeat guards its end.
   */
  async close(): Promise<void> {
    this.#ended = true;
    const socket = this.#socket;
    socket?.finish();
    const stop = patientTimer(this.#options.endMs / 2, () => socket?.destroy());
    await socket?.closed;
    stop();
    await this.#heartbeat?.leave();
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
      const value = await this.#pulseOf.task(() => handler(message));
      if (wantsReply) await this.#tell({ kind: "reply", call, value });
    } catch (error) {
      await this.#tell({ kind: "fault", error: packError(error) });
    }
  }

  async #tell(message: LinkMessage): Promise<void> {
    if (!this.#socket) throw new InternalError("a rank speaks before it is connected");
    await this.#socket.send(message);
  }

  #lose(error: unknown): void {
    if (this.#ended) return;
    raiseFlag(this.abort);
    this.#failure.abort(error);
  }
}
