// What a heartbeat thread does, on rank 0 and on a follower: says that its process is alive, hears that the
// others are, and when one is lost raises the process's abort flag, whatever its main thread is at. Where
// that does not end the run in time, the process is ended.
import { createServer, type Server } from "node:net";
import { hostname } from "node:os";
import { packError } from "../threads/faultTransfer.ts";
import { raiseFlag } from "./abortFlag.ts";
import { HANDSHAKE_MS } from "./channelProtocol.ts";
import { dialHub } from "./dialHub.ts";
import { authenticateFollower, sendVerdict, VERDICT } from "./handshake.ts";
import { armAlarm, endHard } from "./hardEnd.ts";
import { HeartbeatConnection } from "./heartbeatConnection.ts";
import {
  type HeartbeatNews,
  type HeartbeatOrder,
  type HeartbeatStart,
  type HeartbeatWord,
  PATIENCE_MS,
} from "./heartbeatProtocol.ts";
import { MainWatch } from "./mainThread.ts";
import { patientTimer } from "./patientTimer.ts";
import { type RankSeat, seatText } from "./rankFaults.ts";
import { givenUpText, StallMonitor } from "./stallMonitor.ts";
import type { RankState } from "./stallWatch.ts";

/** Times `endMs` that a main thread has which knows that it is to end. */
const ENDING = 2;
/** For a word to be on its way. */
const SAY_MS = 200;
/** For a bye to arrive. */
const LEAVE_MS = 1000;

export class HeartbeatMonitor {
  readonly #start: HeartbeatStart;
  readonly #tell: (news: HeartbeatNews) => void;
  readonly #peers = new Map<number, HeartbeatConnection>();
  readonly #ticking: NodeJS.Timeout;
  readonly #own: RankSeat;
  readonly #main: MainWatch;
  readonly #stalls: StallMonitor;
  #server: Server | undefined;
  /** Who was lost first. */
  #lost: { readonly seat: RankSeat; readonly how: string } | undefined;
  #stopEnd: (() => void) | undefined;
  /** What was said last of what this rank is at. */
  #said: RankState | undefined;
  /** Whether the main thread knows that a peer is lost. */
  #isHeard = false;
  #isHeld = false;
  #isLeaving = false;

  constructor(start: HeartbeatStart, tell: (news: HeartbeatNews) => void) {
    this.#start = start;
    this.#tell = tell;
    this.#own = { rank: start.who?.rank ?? 0, host: hostname() };
    this.#main = new MainWatch(start.life, { marching: start.stallMs, elsewhere: PATIENCE_MS });
    this.#stalls = new StallMonitor(this.#own, start.pulse, this.#main, start);
    this.#ticking = setInterval(() => this.#tick(), start.heartbeatMs);
  }

  /** Listens (rank 0), or connects to rank 0. */
  async open(): Promise<void> {
    const { hub, who, key } = this.#start;
    try {
      if (!hub || !who) {
        this.#server = await this.#listen();
        return;
      }
      const socket = await dialHub({ ...hub, key }, hub.port, who, hub.waitMs);
      this.#watch({ rank: 0, host: String(socket.remoteAddress) }, socket);
      this.#tell({ kind: "joined", rank: 0 });
    } catch (error) {
      this.#tell({ kind: "failed", error: packError(error) });
    }
  }

  obey(order: HeartbeatOrder): void {
    if (order.kind === "abort") this.#abortOthers();
    else if (order.kind === "heard" || order.kind === "hold") {
      if (order.kind === "hold") this.#isHeld = order.isHeld;
      if (!this.#lost) return;
      this.#isHeard = true;
      this.#guardEnd();
    } else this.#leave();
  }

  #tick(): void {
    for (const peer of this.#peers.values()) peer.tick();
    // Once a peer is lost, the time to end guards the main thread.
    if (this.#lost) return;
    const stillMs = this.#main.look(this.#start.heartbeatMs);
    if (stillMs !== undefined) this.#stall(stillMs);
    else if (this.#server) this.#lookForStalls();
    else this.#sayState();
  }

  #sayState(): void {
    const { state } = this.#stalls;
    if (state.moves === this.#said?.moves && state.doing === this.#said.doing) return;
    this.#said = state;
    for (const peer of this.#peers.values()) peer.say({ kind: "at", state });
  }

  /**
   * One that is given up stays connected: where it still comes to its end, it does so as all others, and a
   * launcher that kills all ranks once one has ended lets rank 0 save before.
   */
  #lookForStalls(): void {
    for (const stall of this.#stalls.look()) {
      if (this.#lost) return;
      this.#tell({ kind: "stall", ...stall });
      if (stall.note.kind !== "lost") continue;
      const { seat } = stall;
      const how = givenUpText(stall);
      raiseFlag(this.#start.abort);
      this.#lost = { seat, how };
      this.#peers.get(seat.rank)?.say({ kind: "given up", how });
      this.#abortOthers();
      this.#guardEnd();
    }
  }

  /** The main thread hangs: the others hear why, and this process ends. */
  #stall(ms: number): void {
    clearInterval(this.#ticking);
    raiseFlag(this.#start.abort);
    for (const peer of this.#peers.values()) peer.say({ kind: "stalled", ms });
    const line = `error: ${seatText(this.#own)} ${stalledText(ms)}: it is ended [E_RANK_LOST]`;
    setTimeout(() => endHard(line), SAY_MS);
  }

  #listen(): Promise<Server> {
    return new Promise((resolve, reject) => {
      const server = createServer({ noDelay: true }, (socket) => {
        socket.on("error", () => undefined);
        void authenticateFollower(socket, this.#start.key, HANDSHAKE_MS).then((identity) => {
          if (!identity || this.#isLeaving) socket.destroy();
          else if (this.#peers.has(identity.rank)) {
            sendVerdict(socket, VERDICT.rankTaken);
            socket.end();
          } else {
            sendVerdict(socket, VERDICT.accepted);
            this.#watch({ rank: identity.rank, host: String(socket.remoteAddress) }, socket);
          }
        });
      });
      server.once("error", reject);
      server.listen({ port: 0, host: this.#start.host }, () => {
        const bound = server.address();
        if (bound !== null && typeof bound !== "string") this.#tell({ kind: "listening", port: bound.port });
        resolve(server);
      });
    });
  }

  #watch(first: RankSeat, socket: ConstructorParameters<typeof HeartbeatConnection>[0]): void {
    let seat = first;
    const onWord = (word: HeartbeatWord): void => {
      if (word.kind === "abort") raiseFlag(this.#start.abort);
      if (word.kind === "stalled") peer.lose(stalledText(word.ms));
      if (word.kind === "at") this.#stalls.hear(seat, word.state);
      if (word.kind === "given up") {
        raiseFlag(this.#start.abort);
        this.#lost ??= { seat: this.#own, how: word.how };
      }
      if (word.kind !== "here") return;
      seat = { ...seat, host: word.host };
      // Rank 0's word answers ours: it counts both ways.
      if (this.#server) this.#tell({ kind: "joined", rank: seat.rank });
    };
    const onLost = (how: string): void => this.#lose(seat, how);
    // Rank 0 has said before how the run ends: whoever does not end by that has nobody left to wait for.
    const onBye = (): void => {
      if (this.#server || this.#isLeaving) return;
      // Of one that was given up nothing more is to be expected.
      this.#isHeard = this.#lost === undefined;
      this.#lost ??= { seat, how: "has ended the run" };
      this.#guardEnd();
    };
    const peer = new HeartbeatConnection(socket, this.#start, { onWord, onLost, onBye });
    this.#peers.set(seat.rank, peer);
    peer.say({ kind: "here", host: hostname() });
  }

  #lose(seat: RankSeat, how: string): void {
    raiseFlag(this.#start.abort);
    this.#lost ??= { seat, how };
    this.#abortOthers();
    this.#tell({ kind: "lost", seat, how });
    this.#guardEnd();
  }

  #abortOthers(): void {
    for (const peer of this.#peers.values()) peer.say({ kind: "abort" });
  }

  /** From here on the main thread has so long to come to its end. */
  #guardEnd(): void {
    this.#stopEnd?.();
    const { endMs } = this.#start;
    const waitMs = this.#isHeld ? PATIENCE_MS : this.#isHeard ? ENDING * endMs : endMs;
    armAlarm(waitMs);
    const lost = this.#lost;
    this.#stopEnd = patientTimer(waitMs, () => {
      const who = lost ? `${seatText(lost.seat)} ${lost.how}` : "another rank is lost";
      endHard(`error: ${who}, and this process does not come to its end: it is ended [E_RANK_LOST]`);
    });
  }

  #leave(): void {
    this.#isLeaving = true;
    this.#stopEnd?.();
    if (this.#lost) armAlarm(0);
    clearInterval(this.#ticking);
    for (const peer of this.#peers.values()) peer.leave();
    this.#server?.close();
    // A peer that is cut off hears no bye.
    const cut = (): void => {
      for (const peer of this.#peers.values()) peer.destroy();
    };
    setTimeout(cut, LEAVE_MS).unref();
  }
}

function stalledText(ms: number): string {
  return `hangs: its main thread has stood still for ${Math.round(ms / 100) / 10} s`;
}
