// Waiting for other ranks in a thread that has nothing else to do: look again and again for a moment, then
// sleep between looks, so that a rank that is early leaves its core to the loaders and to slower ranks on the
// same machine. A shared flag ends it: what waits for a lost rank would wait for ever.
import { MttcError } from "../../compiler/diagnostics.ts";
import { freshAbortFlag } from "./abortFlag.ts";
import { RankPulse } from "./rankPulse.ts";

/** How long it sleeps between looks. */
const SLEEP_MS = 0.05;

/** Looks between two looks at the clock, which cost more. */
const LOOKS_PER_CLOCK = 16;

export class RankWait {
  readonly #flag: Int32Array;
  readonly #pulse: RankPulse;

  /** `pulse` shows to others that this rank waits (freshPulse). */
  constructor(abort: SharedArrayBuffer = freshAbortFlag(), pulse?: SharedArrayBuffer) {
    this.#flag = new Int32Array(abort, 0, 1);
    this.#pulse = new RankPulse(pulse);
  }

  /**
   * Returns once `isDone` says so, looking without a pause for `spinMs` milliseconds; E_RANK_LOST as soon as
   * the flag is set.
   */
  until(doing: string, spinMs: number, isDone: () => boolean): void {
    this.#pulse.meeting(() => this.#look(doing, spinMs, isDone));
  }

  #look(doing: string, spinMs: number, isDone: () => boolean): void {
    const started = performance.now();
    for (let looks = 1; ; looks++) {
      this.refuseLost(doing);
      if (isDone()) return;
      if (looks % LOOKS_PER_CLOCK === 0 && performance.now() - started > spinMs) break;
    }
    for (;;) {
      // Returns at once where the flag is set already, and is woken where it is set meanwhile.
      Atomics.wait(this.#flag, 0, 0, SLEEP_MS);
      this.refuseLost(doing);
      if (isDone()) return;
    }
  }

  get isLost(): boolean {
    return Atomics.load(this.#flag, 0) !== 0;
  }

  /** E_RANK_LOST where the flag is set. */
  refuseLost(doing: string): void {
    if (!this.isLost) return;
    throw new MttcError({ code: "E_RANK_LOST", message: `${doing}: another rank is lost` });
  }
}
