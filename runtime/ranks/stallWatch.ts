// Which rank keeps the others waiting, and for how long: rank 0's heartbeat thread asks at each of its ticks.
// Slow is not stalled: what counts is the time in which a rank has something to do and does not go on, while
// another waits for it. States of ranks and passed time in, what is to be told out; it reads no clock.

/**
 * What a rank is at. "away": its main thread stands still, which is somebody else's to judge (mainThread.ts);
 * "idle": it has done all that it was told.
 */
export type RankDoing = "busy" | "waiting" | "idle" | "away";

/** A rank as its heartbeat tells it. */
export interface RankState {
  /** Changes whenever it goes on (RankPulse.moves). */
  readonly moves: number;
  readonly doing: RankDoing;
}

/** What is to be told of a rank that keeps the others waiting. */
export interface StallNote {
  readonly rank: number;
  /** "late": it has not gone on for a while; "over": it has, after that; "lost": it has not, for too long. */
  readonly kind: "late" | "over" | "lost";
  /** How long the others have waited for it. */
  readonly ms: number;
}

/** Milliseconds that others wait for a rank before that is told, and before it is given up. */
export interface StallTimes {
  readonly lateMs: number;
  readonly giveUpMs: number;
}

/** A rank that is always slower is told of once, and then only when it takes so many times longer. */
const AGAIN = 2;

interface WatchedRank {
  moves: number;
  /** How long the others have waited since it went on. */
  keptMs: number;
  isTold: boolean;
  /** From when on it is told. */
  lateMs: number;
}

export class StallWatch {
  readonly #times: StallTimes;
  readonly #watched = new Map<number, WatchedRank>();

  constructor(times: StallTimes) {
    this.#times = times;
  }

  /** `passedMs` have passed since the last look; `states` of all ranks by number, rank 0's own with them. */
  look(passedMs: number, states: ReadonlyMap<number, RankState>): readonly StallNote[] {
    return [...states].flatMap(([rank, state]) => {
      const watched = this.#watchedOf(rank, state);
      const goesOn = watched.moves !== state.moves || state.doing === "waiting" || state.doing === "idle";
      watched.moves = state.moves;
      if (goesOn) return this.#over(rank, watched);
      if (state.doing !== "busy" || !isWaitedFor(rank, states)) return [];
      watched.keptMs += passedMs;
      return this.#late(rank, watched);
    });
  }

  #watchedOf(rank: number, { moves }: RankState): WatchedRank {
    const { lateMs, giveUpMs } = this.#times;
    // Whoever sets a short limit is warned before it, too.
    const fresh = { moves, keptMs: 0, isTold: false, lateMs: Math.min(lateMs, giveUpMs / 2) };
    const watched = this.#watched.get(rank) ?? fresh;
    this.#watched.set(rank, watched);
    return watched;
  }

  #over(rank: number, watched: WatchedRank): readonly StallNote[] {
    const { keptMs: ms, isTold } = watched;
    watched.keptMs = 0;
    watched.isTold = false;
    if (!isTold) return [];
    watched.lateMs = Math.max(watched.lateMs, AGAIN * ms);
    return [{ rank, kind: "over", ms }];
  }

  #late(rank: number, watched: WatchedRank): readonly StallNote[] {
    const { keptMs: ms } = watched;
    if (ms >= this.#times.giveUpMs) return [{ rank, kind: "lost", ms }];
    if (watched.isTold || ms < watched.lateMs) return [];
    watched.isTold = true;
    return [{ rank, kind: "late", ms }];
  }
}

/** Whether another rank waits for this one; for rank 0's next word all others do, once they are idle. */
function isWaitedFor(rank: number, states: ReadonlyMap<number, RankState>): boolean {
  const others = [...states].flatMap(([other, { doing }]) => (other === rank ? [] : [doing]));
  if (others.includes("waiting")) return true;
  return rank === 0 && others.length > 0 && others.every((doing) => doing === "idle");
}
