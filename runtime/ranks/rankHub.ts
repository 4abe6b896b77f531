// Rank 0's side of the channel between the processes of a run: it listens, knows its followers by a key that
// only they were given, and tells them what to do. All of it is evented: nobody spins while waiting. Tensors
// do not travel here but by MPI or NCCL.
import { createServer, type Server, type Socket } from "node:net";
import { InternalError, MttcError } from "../../compiler/diagnostics.ts";
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
import { authenticateFollower, type RankIdentity, sendVerdict, VERDICT } from "./handshake.ts";
import { Heartbeat } from "./heartbeat.ts";
import type { RankStall } from "./heartbeatProtocol.ts";
import { addressText, freshKey, ownHosts } from "./hubAddress.ts";
import type { Phase } from "./mainThread.ts";
import { encodeMessage } from "./messageCodec.ts";
import { MessageSocket } from "./messageSocket.ts";
import { patientTimer } from "./patientTimer.ts";
import { RANKS_STALL } from "./rankEnvironment.ts";
import { faultOfRank, lostRank, type RankSeat, rankStartFault } from "./rankFaults.ts";
import { freshPulse, RankPulse } from "./rankPulse.ts";
import { givenUpText } from "./stallMonitor.ts";

/** Of the time to end, what the others have of it. */
const CLOSE_SHARE = 0.6;

/** Of a hint on a rank that did not go on. */
const SLOW_HINT = `; where it is only that much slower, ${RANKS_STALL} gives it more seconds`;

/** A follower. */
interface Follower {
  readonly seat: RankSeat;
  readonly size: number;
  readonly socket: MessageSocket;
  /** Requests that it has not answered, by number. */
  readonly open: Map<number, { resolve: (value: unknown) => void; reject: (error: unknown) => void }>;
}

/**
 * Rank 0's side. Close it, however the run ends, and as the last of it: until then its heartbeat guards the
 * end.
 */
export class RankHub {
  /** Raised (Int32 [0] not 0) where a rank is lost or has failed: collectives that wait for it must end. */
  readonly abort = freshAbortFlag();
  /** Shows whether this rank goes on, and when it waits for others. */
  readonly pulse = freshPulse();
  readonly #options: ChannelOptions;
  readonly #server: Server;
  readonly #key = freshKey();
  readonly #followers = new Map<number, Follower>();
  /** Ranks that have proven themselves, told who they are or not yet. */
  readonly #taken = new Set<number>();
  /** Ranks whose heartbeat is heard. */
  readonly #heard = new Set<number>();
  /** Connections of whoever has not proven to be one. */
  readonly #unauthenticated = new Set<Socket>();
  readonly #failure = new AbortController();
  readonly #pulseOf = new RankPulse(this.pulse);
  readonly #listeners = new Set<(stall: RankStall) => void>();
  #isStalled = false;
  #address = "";
  #heartbeat: Heartbeat | undefined;
  #arrived: () => void = () => undefined;
  #calls = 0;
  #holds = 0;
  #ending = false;

  private constructor(server: Server, options: ChannelOptions) {
    this.#server = server;
    this.#options = options;
    server.on("connection", (socket) => void this.#receive(socket));
  }

  /** Listens on all interfaces, IPv6 and IPv4, or at one address. E_RANKS where the port is not to be had. */
  static async open(options: Partial<ChannelOptions> = {}): Promise<RankHub> {
    const all = { ...CHANNEL_DEFAULTS, ...options };
    const server = await listen(all.port, all.host);
    try {
      const hub = new RankHub(server, all);
      await hub.#startHeartbeat();
      return hub;
    } catch (error) {
      server.close();
      throw error;
    }
  }

  /** Text that followers connect by; secret: whoever has it may take a rank's place. */
  get address(): string {
    return this.#address;
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
      Array.from({ length: size - 1 }, (_, i) => i + 1).filter((rank) => !this.#isHere(rank));
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
    this.failed.throwIfAborted();
    const call = this.#calls;
    const encoded = encodeMessage(this.#callOf(message, true));
    const inOrder = [...this.#followers.values()].sort((a, b) => a.seat.rank - b.seat.rank);
    const replies = inOrder.map(({ socket, open }) => {
      void socket.sendEncoded(encoded);
      return new Promise<unknown>((resolve, reject) => open.set(call, { resolve, reject }));
    });
    return (await Promise.all(replies)) as R[];
  }

  /** The run cannot go on, for what rank 0 itself could not do: as if another rank had failed. */
  fail(error: unknown): void {
    const isTyped = error instanceof MttcError || error instanceof InternalError;
    this.#fail(isTyped ? error : new InternalError(String(error), { cause: error }));
  }

  /** What rank 0 is within, where its main thread must not stand still. */
  march(phase: Phase | undefined): void {
    this.#heartbeat?.march(phase);
  }

  /** Waits for replies of the others and for nothing else: whoever does not answer keeps rank 0 waiting. */
  async awaited<T>(replies: Promise<T>): Promise<T> {
    return await this.#pulseOf.asking(replies);
  }

  /** Has `listener` hear of ranks that keep the others waiting; returns what ends that. */
  onStall(listener: (stall: RankStall) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Whether it is rank 0 itself that was given up: its ONNX Runtime may not answer. */
  get isStalled(): boolean {
    return this.#isStalled;
  }

  /** Rank 0 has failed where the others wait for it: their collectives end, and then the run does. */
  abandon(): void {
    raiseFlag(this.abort);
    this.#heartbeat?.abortOthers();
  }

  /**
   * While held, this process is not ended although a rank is lost: rank 0 saves what there is. As often as it
   * was held it must be let go.
   */
  hold(isHeld: boolean): void {
    const before = this.#holds;
    this.#holds += isHeld ? 1 : -1;
    if ((before === 0) !== (this.#holds === 0)) this.#heartbeat?.hold(isHeld);
  }

  /**
   * Tells all how the run ends and waits until they have gone, for a while; then what is left of the
   * connections is cut, and whoever is left ends by that. Never rejects.
   */
  async close(end: RankEnd = { kind: "done" }): Promise<void> {
    if (this.#ending) return;
    this.#ending = true;
    // The time to end begins here.
    this.#heartbeat?.hold(false);
    if (end.kind === "failed") this.abandon();
    const packed = end.kind === "failed" ? { ...end, error: packError(end.error) } : end;
    const followers = [...this.#followers.values()];
    await new Promise<void>((resolve) => {
      const stop = patientTimer(this.#options.endMs * CLOSE_SHARE, resolve);
      const gone = followers.map(async ({ socket }) => {
        await socket.send({ kind: "end", end: packed } satisfies HubMessage);
        await socket.closed;
      });
      void Promise.all(gone).then(() => {
        stop();
        resolve();
      });
    });
    for (const socket of [...followers.map(({ socket }) => socket), ...this.#unauthenticated])
      socket.destroy();
    this.#server.close();
    await this.#heartbeat?.leave();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #startHeartbeat(): Promise<void> {
    const bound = this.#server.address();
    if (bound === null || typeof bound === "string") throw new InternalError("rank 0 does not listen");
    const { heartbeat, port } = await Heartbeat.start(
      { ...this.#options, abort: this.abort, pulse: this.pulse, key: this.#key },
      {
        onStall: (stall) => this.#stall(stall),
        onJoined: (rank) => {
          this.#heard.add(rank);
          this.#arrived();
        },
        onLost: (error, rank) => {
          this.#fail(error);
          // Of one that is cut off nothing more comes, and nobody waits for it.
          if (rank !== undefined) this.#followers.get(rank)?.socket.destroy();
        },
      },
    );
    this.#heartbeat = heartbeat;
    const { host } = this.#options;
    const hosts = host === undefined ? ownHosts() : [host];
    this.#address = addressText({ hosts, port: bound.port, heartbeatPort: port, key: this.#key });
  }

  #isHere(rank: number): boolean {
    return this.#followers.has(rank) && this.#heard.has(rank);
  }

  #callOf(message: unknown, wantsReply: boolean): HubMessage {
    return { kind: "call", call: this.#calls++, wantsReply, message };
  }

  async #receive(socket: Socket): Promise<void> {
    // Of a stranger, or told by the connection's end.
    socket.on("error", () => undefined);
    this.#unauthenticated.add(socket);
    const identity = await authenticateFollower(socket, this.#key, HANDSHAKE_MS);
    this.#unauthenticated.delete(socket);
    if (!identity || this.#ending) {
      socket.destroy();
      return;
    }
    if (identity.rank === 0 || this.#taken.has(identity.rank)) {
      sendVerdict(socket, VERDICT.rankTaken);
      socket.end();
      return;
    }
    this.#taken.add(identity.rank);
    sendVerdict(socket, VERDICT.accepted);
    this.#register(socket, identity);
  }

  #register(socket: Socket, { rank, size }: RankIdentity): void {
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
      onEnd: (how) => {
        const seat = follower?.seat ?? { rank, host: String(socket.remoteAddress) };
        this.#fail(lostRank(seat, how));
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

  #stall(stall: RankStall): void {
    for (const listener of this.#listeners) listener(stall);
    if (stall.note.kind !== "lost") return;
    this.#isStalled = stall.seat.rank === 0;
    this.#fail(lostRank(stall.seat, givenUpText(stall), SLOW_HINT));
  }

  /** The run cannot go on; what failed first is why. */
  #fail(error: MttcError | InternalError): void {
    if (this.failed.aborted || this.#ending) return;
    this.abandon();
    this.#failure.abort(error);
    for (const { open } of this.#followers.values()) {
      for (const { reject } of open.values()) reject(error);
      open.clear();
    }
  }
}

function listen(port: number, host: string | undefined): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer({ noDelay: true });
    server.once("error", (error) => {
      const hint = "take another port, or none: a free one is taken then";
      reject(rankStartFault(`rank 0 cannot listen at port ${port}: ${error.message}`, hint));
    });
    server.listen({ port, host }, () => resolve(server));
  });
}
