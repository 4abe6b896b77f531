// Rank 0's side of the channel between the processes of a run: it listens, knows its followers by a key that
// only they were given, and tells them what to do. All of it is evented: nobody spins while waiting. Tensors
// do not travel here but by MPI or NCCL.
import { createServer, type Server, type Socket } from "node:net";
import { InternalError, type MttcError } from "../../compiler/diagnostics.ts";
import { packError, unpackError } from "../threads/faultTransfer.ts";
import { freshAbortFlag, raiseFlag } from "./abortFlag.ts";
import {
  CHANNEL_DEFAULTS,
  type ChannelOptions,
  HANDSHAKE_MS,
  type HubMessage,
  type LinkMessage,
  type RankEnd,
} from "./channelProtocol.ts";
import { hearKnock, type Knock, sayVerdict, VERDICT } from "./handshake.ts";
import { addressText, freshKey, ownHosts } from "./hubAddress.ts";
import { encodeMessage } from "./messageCodec.ts";
import { MessageSocket } from "./messageSocket.ts";
import { patientTimer } from "./patientTimer.ts";
import { faultOfRank, lostRank, type RankSeat, rankStartFault } from "./rankFaults.ts";

/** A follower. */
interface Follower {
  readonly seat: RankSeat;
  readonly size: number;
  readonly socket: MessageSocket;
  /** Requests that it has not answered, by number. */
  readonly open: Map<number, { resolve: (value: unknown) => void; reject: (error: unknown) => void }>;
}

/** Rank 0's side. Close it, however the run ends. */
export class RankHub {
  /** Text that followers connect by; secret: whoever has it may take a rank's place. */
  readonly address: string;
  /** Raised (Int32 [0] not 0) where a rank is lost or has failed: collectives that wait for it must end. */
  readonly abort = freshAbortFlag();
  readonly #options: ChannelOptions;
  readonly #server: Server;
  readonly #key: Uint8Array;
  readonly #followers = new Map<number, Follower>();
  /** Ranks that have proven themselves, told who they are or not yet. */
  readonly #taken = new Set<number>();
  /** Connections of whoever has not proven to be one. */
  readonly #knocking = new Set<Socket>();
  readonly #failure = new AbortController();
  #arrived: () => void = () => undefined;
  #calls = 0;
  #ending = false;

  private constructor(server: Server, key: Uint8Array, options: ChannelOptions) {
    const bound = server.address();
    if (bound === null || typeof bound === "string") throw new InternalError("rank 0 does not listen");
    this.#server = server;
    this.#key = key;
    this.#options = options;
    this.address = addressText({ hosts: ownHosts(), port: bound.port, key });
    server.on("connection", (socket) => void this.#receive(socket));
  }

  /** Listens on all interfaces, IPv6 and IPv4. E_RANKS where the port is not to be had. */
  static async open(options: Partial<ChannelOptions> = {}): Promise<RankHub> {
    const all = { ...CHANNEL_DEFAULTS, ...options };
    return new RankHub(await listen(all.port), freshKey(), all);
  }

  /** Aborted once a rank is lost or has failed; its reason is the error. */
  get failed(): AbortSignal {
    return this.#failure.signal;
  }

  /**
   * Waits until ranks 1 to size - 1 are here. E_RANKS names those that are not within `acceptMs`, and ranks
   * that count otherwise.
   */
  async accepted(size: number): Promise<void> {
    const missing = (): number[] =>
      Array.from({ length: size - 1 }, (_, i) => i + 1).filter((rank) => !this.#followers.has(rank));
    const { acceptMs } = this.#options;
    await new Promise<void>((resolve, reject) => {
      const stop = patientTimer(acceptMs, () => {
        const who = `${missing().length === 1 ? "rank" : "ranks"} ${missing().join(", ")} of ${size}`;
        reject(rankStartFault(`${who} did not come within ${Math.round(acceptMs / 1000)} s`));
      });
      const settle = (then: () => void): void => {
        stop();
        then();
      };
      const fail = (): void => settle(() => reject(this.failed.reason));
      if (this.failed.aborted) fail();
      this.failed.addEventListener("abort", fail);
      this.#arrived = () => missing().length === 0 && settle(resolve);
      this.#arrived();
    });
    for (const { seat, size: counted } of this.#followers.values())
      if (seat.rank >= size || counted !== size)
        throw rankStartFault(`rank ${seat.rank} was started as one of ${counted}, rank 0 as one of ${size}`);
  }

  /**
   * Sends to all followers; resolves when the systems have taken it. Large arrays in it must stay as they are
   * until then. Rejects with why the run failed, once it has.
   */
  async send(message: unknown): Promise<void> {
    this.failed.throwIfAborted();
    const encoded = encodeMessage(this.#callOf(message, false));
    await Promise.all([...this.#followers.values()].map(({ socket }) => socket.sendEncoded(encoded)));
    this.failed.throwIfAborted();
  }

  /**
   * Sends to all followers and gives the reply of each, that of rank 1 first. Rejects with the first fault.
   */
  async request<R>(message: unknown): Promise<R[]> {
    const ranks = [...this.#followers.keys()].sort((a, b) => a - b);
    return await this.#ask<R>(ranks, message);
  }

  /** Asks one follower. */
  async requestOf<R>(rank: number, message: unknown): Promise<R> {
    const [reply] = await this.#ask<R>([rank], message);
    return reply as R;
  }

  /**
   * Tells all how the run ends and waits until they have gone, `endMs` at most; then what is left of the
   * connections is cut. Never rejects.
   */
  async close(end: RankEnd = { kind: "done" }): Promise<void> {
    if (this.#ending) return;
    this.#ending = true;
    if (end.kind === "failed") raiseFlag(this.abort);
    const packed = end.kind === "failed" ? { ...end, error: packError(end.error) } : end;
    const followers = [...this.#followers.values()];
    await new Promise<void>((resolve) => {
      const stop = patientTimer(this.#options.endMs, resolve);
      const gone = followers.map(async ({ socket }) => {
        await socket.send({ kind: "end", end: packed } satisfies HubMessage);
        await socket.closed;
      });
      void Promise.all(gone).then(() => {
        stop();
        resolve();
      });
    });
    for (const socket of [...followers.map(({ socket }) => socket), ...this.#knocking]) socket.destroy();
    this.#server.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #callOf(message: unknown, wantsReply: boolean): HubMessage {
    return { kind: "call", call: this.#calls++, wantsReply, message };
  }

  async #ask<R>(ranks: readonly number[], message: unknown): Promise<R[]> {
    this.failed.throwIfAborted();
    const call = this.#calls;
    const encoded = encodeMessage(this.#callOf(message, true));
    const replies = ranks.map((rank) => {
      const follower = this.#followers.get(rank);
      if (!follower) throw new InternalError(`there is no rank ${rank} to ask`);
      void follower.socket.sendEncoded(encoded);
      return new Promise<unknown>((resolve, reject) => follower.open.set(call, { resolve, reject }));
    });
    return (await Promise.all(replies)) as R[];
  }

  async #receive(socket: Socket): Promise<void> {
    // Of a stranger, or told by the connection's end.
    socket.on("error", () => undefined);
    this.#knocking.add(socket);
    const knock = await hearKnock(socket, this.#key, HANDSHAKE_MS);
    this.#knocking.delete(socket);
    if (!knock || this.#ending) {
      socket.destroy();
      return;
    }
    if (knock.rank === 0 || this.#taken.has(knock.rank)) {
      sayVerdict(socket, VERDICT.taken);
      socket.end();
      return;
    }
    this.#taken.add(knock.rank);
    sayVerdict(socket, VERDICT.welcome);
    this.#greet(socket, knock);
  }

  #greet(socket: Socket, { rank, size }: Knock): void {
    let follower: Follower | undefined;
    const connection: MessageSocket = new MessageSocket(socket, {
      onMessage: (message) => {
        const told = message as LinkMessage;
        if (told.kind !== "here") {
          if (follower) this.#hear(follower, told);
          return;
        }
        follower = { seat: { rank, host: told.host }, size, socket: connection, open: new Map() };
        this.#followers.set(rank, follower);
        this.#arrived();
      },
      onEnd: (why) => {
        const seat = follower?.seat ?? { rank, host: String(socket.remoteAddress) };
        this.#fail(lostRank(seat, why === "closed" ? "has ended" : `is lost: ${why}`));
      },
    });
  }

  #hear({ seat, open }: Follower, told: Exclude<LinkMessage, { kind: "here" }>): void {
    if (told.kind === "fault") {
      this.#fail(faultOfRank(unpackError(told.error), seat));
      return;
    }
    open.get(told.call)?.resolve(told.value);
    open.delete(told.call);
  }

  /** The run cannot go on; what failed first is why. */
  #fail(error: MttcError | InternalError): void {
    if (this.failed.aborted || this.#ending) return;
    raiseFlag(this.abort);
    this.#failure.abort(error);
    for (const { socket, open } of this.#followers.values()) {
      void socket.send({ kind: "abort" } satisfies HubMessage);
      for (const { reject } of open.values()) reject(error);
      open.clear();
    }
  }
}

function listen(port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer({ noDelay: true });
    server.once("error", (error) => {
      const hint = "take another port, or none: a free one is taken then";
      reject(rankStartFault(`rank 0 cannot listen at port ${port}: ${error.message}`, hint));
    });
    server.listen(port, () => resolve(server));
  });
}
