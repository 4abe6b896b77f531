// What the heartbeat threads of two ranks say to each other, and each to the main thread of its own process.
import type { PackedError } from "../threads/faultTransfer.ts";
import type { RankIdentity } from "./handshake.ts";
import type { Phase } from "./mainThread.ts";
import type { RankSeat } from "./rankFaults.ts";
import type { RankState, StallNote, StallTimes } from "./stallWatch.ts";

/** Between two ranks: a line of JSON each. An empty line is a heartbeat. */
export type HeartbeatWord =
  | { readonly kind: "here"; readonly host: string }
  /** Something failed elsewhere: what waits in a collective must end. */
  | { readonly kind: "abort" }
  /** This side's main thread hangs: its process ends now. */
  | { readonly kind: "stalled"; readonly ms: number }
  /** What this side, a follower, is at; where that has changed. */
  | { readonly kind: "at"; readonly state: RankState }
  /** The other side is given up, since it keeps all waiting: how. */
  | { readonly kind: "given up"; readonly how: string }
  /** This side leaves as agreed: nothing is lost. */
  | { readonly kind: "bye" };

/** Times in milliseconds. */
export interface HeartbeatTimes extends StallTimes {
  /** Between two heartbeats. */
  readonly heartbeatMs: number;
  /** Without any: the peer is lost. */
  readonly limitMs: number;
  /**
   * For the main thread to hear of a lost peer, and twice that for it to end the run; then the process is
   * ended.
   */
  readonly endMs: number;
  /** Within steps, without a sign of a main thread: it hangs. */
  readonly stallMs: number;
}

/** For a main thread that saves, or computes between steps, at most. */
export const PATIENCE_MS = 300_000;

/** How a heartbeat thread is started. `abort` is the flag of the process, `key` the run's. */
export interface HeartbeatStart extends HeartbeatTimes {
  readonly abort: SharedArrayBuffer;
  /** What the main thread shows that it goes on by (mainThread.ts). */
  readonly life: SharedArrayBuffer;
  /** What of this rank goes on (rankPulse.ts). */
  readonly pulse: SharedArrayBuffer;
  readonly key: Uint8Array;
  /** Address that rank 0 listens at; undefined: all that its machine has. */
  readonly host?: string | undefined;
  /** Of a follower: rank 0's hosts and the port of its heartbeat; undefined on rank 0, which listens. */
  readonly hub?: { readonly hosts: readonly string[]; readonly port: number; readonly waitMs: number };
  /** Of a follower: who it is. */
  readonly who?: RankIdentity;
}

/** A rank that keeps the others waiting; `phase`: what rank 0 is within. */
export interface RankStall {
  readonly seat: RankSeat;
  readonly note: StallNote;
  readonly phase: Phase | undefined;
  /** From where on it is given up. */
  readonly giveUpMs: number;
}

/** To the main thread. */
export type HeartbeatNews =
  | { readonly kind: "listening"; readonly port: number }
  /** A follower's heartbeat is heard; on a follower: rank 0's. */
  | { readonly kind: "joined"; readonly rank: number }
  | { readonly kind: "lost"; readonly seat: RankSeat; readonly how: string }
  /** On rank 0: a rank, or rank 0 itself, keeps the others waiting. */
  | ({ readonly kind: "stall" } & RankStall)
  | { readonly kind: "failed"; readonly error: PackedError };

/** From the main thread. */
export type HeartbeatOrder =
  /** The run failed: others must not wait in a collective. */
  | { readonly kind: "abort" }
  /** The loss is known: the main thread is on its way to the end. */
  | { readonly kind: "heard" }
  /** While held, the process is not ended, whoever is lost: the main thread saves what there is. */
  | { readonly kind: "hold"; readonly isHeld: boolean }
  /** The run is at its end here. */
  | { readonly kind: "leave" };
