// The main thread's side of its process's heartbeat thread.
import { Worker } from "node:worker_threads";
import { InternalError, type MttcError } from "../../compiler/diagnostics.ts";
import { builtFile } from "../threads/builtFile.ts";
import { unpackError } from "../threads/faultTransfer.ts";
import type { HeartbeatNews, HeartbeatOrder, HeartbeatStart, RankStall } from "./heartbeatProtocol.ts";
import { freshLife, MainBeat, type Phase } from "./mainThread.ts";
import { lostRank } from "./rankFaults.ts";

/** What a heartbeat tells; whatever is lost has raised the process's abort flag before. */
export interface HeartbeatEvents {
  /** A peer's heartbeat is heard. */
  readonly onJoined?: (rank: number) => void;
  /** On rank 0: a rank keeps the others waiting. */
  readonly onStall?: (stall: RankStall) => void;
  /** Peer `rank` is lost (E_RANK_LOST), or this thread itself is. */
  readonly onLost: (error: MttcError | InternalError, rank?: number) => void;
}

export class Heartbeat {
  readonly #worker: Worker;
  readonly #events: HeartbeatEvents;
  /** The port that it listens at, or 0 once it has met rank 0. */
  readonly #begun: Promise<number>;
  readonly #exited: Promise<void>;
  readonly #beat: MainBeat;
  #isLeaving = false;

  private constructor(worker: Worker, beat: MainBeat, events: HeartbeatEvents) {
    this.#worker = worker;
    this.#beat = beat;
    this.#events = events;
    this.#begun = new Promise((resolve, reject) => {
      worker.on("message", (news: HeartbeatNews) => {
        if (news.kind === "listening") resolve(news.port);
        else if (news.kind === "failed") reject(unpackError(news.error));
        else if (news.kind === "lost") {
          this.#order({ kind: "heard" });
          events.onLost(lostRank(news.seat, news.how), news.seat.rank);
        } else if (news.kind === "stall") {
          if (news.note.kind === "lost") this.#order({ kind: "heard" });
          events.onStall?.(news);
        } else {
          resolve(0);
          events.onJoined?.(news.rank);
        }
      });
      worker.on("error", (error) => {
        const failure = new InternalError(`the heartbeat thread failed: ${error}`, { cause: error });
        reject(failure);
        events.onLost(failure);
      });
    });
    this.#exited = new Promise((resolve) => worker.on("exit", () => this.#end(resolve)));
    worker.unref();
  }

  /**
   * Starts the thread and waits until it listens (its port) or, given `hub`, has met rank 0's. E_RANKS where
   * that is not to be reached.
   */
  static async start(
    start: Omit<HeartbeatStart, "life">,
    events: HeartbeatEvents,
  ): Promise<{ heartbeat: Heartbeat; port: number }> {
    const life = freshLife();
    const workerData: HeartbeatStart = { ...start, life };
    const worker = new Worker(builtFile("#heartbeat-worker", missingThread), { workerData });
    const heartbeat = new Heartbeat(worker, new MainBeat(life, start.heartbeatMs), events);
    // Until there is somebody to watch it is work that is waited for.
    worker.ref();
    try {
      return { heartbeat, port: await heartbeat.#begun };
    } catch (error) {
      heartbeat.#isLeaving = true;
      await worker.terminate();
      throw error;
    } finally {
      worker.unref();
    }
  }

  /** Within which phase this process is: its main thread must then show that it goes on. */
  march(phase: Phase | undefined): void {
    this.#beat.march(phase);
  }

  /** Others must not wait in a collective for this run. */
  abortOthers(): void {
    this.#order({ kind: "abort" });
  }

  /** While held, this process is not ended although a peer is lost: it saves what there is. */
  hold(isHeld: boolean): void {
    this.#order({ kind: "hold", isHeld });
  }

  /** Says bye to all peers and ends the thread. */
  async leave(): Promise<void> {
    if (this.#isLeaving) return;
    this.#isLeaving = true;
    this.#worker.ref();
    this.#order({ kind: "leave" });
    await this.#exited;
  }

  #end(resolve: () => void): void {
    this.#beat.stop();
    if (!this.#isLeaving) this.#events.onLost(new InternalError("the heartbeat thread has ended"));
    resolve();
  }

  #order(order: HeartbeatOrder): void {
    this.#worker.postMessage(order);
  }
}

function missingThread(cause: unknown): InternalError {
  return new InternalError("the heartbeat thread's file is missing: run `npm run build`", { cause });
}
