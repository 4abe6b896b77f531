// What a heartbeat thread knows of who goes on: a follower tells rank 0 what it is at, and rank 0 finds of
// all ranks, itself with them, the one that keeps the others waiting.
import type { HeartbeatTimes, RankStall } from "./heartbeatProtocol.ts";
import type { MainWatch, Phase } from "./mainThread.ts";
import type { RankSeat } from "./rankFaults.ts";
import { RankPulse } from "./rankPulse.ts";
import { type RankDoing, type RankState, StallWatch } from "./stallWatch.ts";

/** Beats that a main thread may miss and still go on: both threads count by timers of their own. */
const MISSED_BEATS = 3;

export class StallMonitor {
  readonly #own: RankSeat;
  readonly #times: HeartbeatTimes;
  readonly #main: MainWatch;
  readonly #pulse: RankPulse;
  readonly #watch: StallWatch;
  readonly #others = new Map<number, { seat: RankSeat; state: RankState }>();

  constructor(own: RankSeat, pulse: SharedArrayBuffer, main: MainWatch, times: HeartbeatTimes) {
    this.#own = own;
    this.#times = times;
    this.#main = main;
    this.#pulse = new RankPulse(pulse);
    this.#watch = new StallWatch(times);
  }

  /** Takes a rank's word on what it is at. */
  hear(seat: RankSeat, state: RankState): void {
    this.#others.set(seat.rank, { seat, state });
  }

  /** What this rank is at. */
  get state(): RankState {
    return { moves: this.#pulse.moves, doing: this.#doing() };
  }

  /** Once at each tick of rank 0: which ranks keep the others waiting. */
  look(): readonly RankStall[] {
    const states = new Map([[this.#own.rank, this.state]]);
    for (const [rank, { state }] of this.#others) states.set(rank, state);
    const { heartbeatMs, giveUpMs } = this.#times;
    const { phase } = this.#main;
    return this.#watch.look(heartbeatMs, states).map((note) => {
      const seat = this.#others.get(note.rank)?.seat ?? this.#own;
      return { seat, note, phase, giveUpMs };
    });
  }

  #doing(): RankDoing {
    if (this.#main.stillMs > MISSED_BEATS * this.#times.heartbeatMs) return "away";
    if (this.#pulse.isWaiting) return "waiting";
    // Rank 0 is told nothing: within steps and evaluation it is the one that goes ahead.
    const isAtWork = this.#own.rank === 0 ? this.#main.phase !== undefined : this.#pulse.hasTasks;
    return isAtWork ? "busy" : "idle";
  }
}

/** How a rank is lost that kept the others waiting for so long. */
export function givenUpText({ note, phase }: Pick<RankStall, "note" | "phase">): string {
  const seconds = Math.round(note.ms / 100) / 10;
  return (
    `did not go on for ${seconds} s ${whereText(phase)}, and the others waited: ` +
    "its ONNX Runtime, device or disk may not answer"
  );
}

function whereText(phase: Phase | undefined): string {
  return phase === undefined
    ? "between steps"
    : { step: "within a step", evaluation: "within an evaluation" }[phase];
}
