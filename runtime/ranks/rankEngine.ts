// What moves numbers between the processes of a run, the ranks: sums over all of them, copies from rank 0. An
// engine lives on the ONNX Runtime thread and works on memory where it lies. All ranks make the same calls in
// the same order; a call returns when its own rank's part is done.
import type { Pointer } from "../ort/ffi.ts";

/** What can be asked for: one engine by name, or NCCL where every rank can use it and else MPI. */
export const ENGINES = ["mpi", "nccl", "auto"] as const;
export type EngineRequest = (typeof ENGINES)[number];

/** How a process joins the others. */
export interface JoinOptions {
  readonly engine: EngineRequest;
  /** MPI's library, a file or a name that the system's loader knows; else what mpiLibraries() names. */
  readonly library?: string | undefined;
  /**
   * Four bytes, an Int32: once it is not 0, because a rank is lost, what waits for other ranks ends with
   * E_RANK_LOST, and so does every later call.
   */
  readonly abort?: SharedArrayBuffer | undefined;
  /** Memory that shows whether this rank goes on, and when it waits for others (freshPulse). */
  readonly pulse?: SharedArrayBuffer | undefined;
  /** How long the others are waited for; two minutes by default. */
  readonly timeoutMs?: number | undefined;
}

/** A device whose memory NCCL can reach. */
export interface CollectiveDevice {
  /** Its ordinal. */
  readonly device: number;
  /** Which of all devices everywhere it is; empty where its driver does not say. */
  readonly uuid: string;
  /** CUDA's runtime library, as it is loaded already. */
  readonly runtime: string;
}

/** Where a process stands among the others. */
export interface RankPlace {
  /** From 0 on. */
  readonly rank: number;
  readonly size: number;
  /** Place and number among the ranks of the same machine. */
  readonly localRank: number;
  readonly localSize: number;
  readonly engine: Exclude<EngineRequest, "auto">;
  /** MPI's library, as it was opened. */
  readonly library: string;
  /** What MPI's library calls itself: "MPICH 5.0.2". */
  readonly version: string;
}

/** A place, and what of its machine is this process's. */
export interface JoinedPlace extends RankPlace {
  /** Its share of the machine's cores, at least one. */
  readonly cores: number;
  /** What is to be said of cores that lie idle on any machine, where a launcher has bound ranks to few. */
  readonly coresNote: string | undefined;
}

/** Memory that takes part in a call. */
export interface RankPart {
  /** For messages. */
  readonly name: string;
  readonly address: Pointer;
  readonly sizeBytes: number;
  /** The same memory where it is the host's; null where it lies on a device. */
  readonly memory: Uint8Array | null;
}

/** What an engine does; E_MPI and E_RANK_LOST from every call, after which no further one is begun. */
export interface RankEngine {
  readonly place: RankPlace;
  /** Whether it takes memory of a device; else that goes through copies in the host's. */
  readonly reachesDevices: boolean;
  /**
   * Whether a call that was given up has left addresses of host memory with the library, which may still be
   * written to: that memory must not become anybody else's.
   */
  readonly holdsMemory: boolean;
  /** Float32 sums over all ranks, in place; every rank has the same bits afterwards. */
  allReduce(parts: readonly RankPart[]): void;
  /** `count` float32 of every rank, in the order of ranks, one after the other at `to`; host memory. */
  allGather(from: Pointer, to: Pointer, count: number): void;
  /** Rank 0's bytes to all, in place. */
  broadcast(parts: readonly RankPart[]): void;
  /** Rank 0's bytes; what others give is not looked at. */
  broadcastBytes(bytes: Uint8Array): Uint8Array;
  /** Takes leave of the others, who do so too; nothing after a loss, since it would wait for the lost. */
  leave(): void;
  [Symbol.dispose](): void;
}
