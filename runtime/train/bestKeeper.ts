// Which checkpoint of a run is the best, while it trains: each checkpoint says in its manifest which that was
// when it was saved, and the saver keeps it beside the newest ones. One that could not be saved is none.
import { checkpointsOf } from "../runs/checkpointChoice.ts";
import type { CheckpointContent } from "../runs/checkpoints.ts";
import type { EpochReport } from "./events.ts";
import { bestOf, isBetter, type Judge } from "./judgement.ts";

/** A checkpoint of a finished epoch. */
interface Candidate {
  readonly name: string;
  readonly value: number;
}

export class BestKeeper {
  readonly #judge: Judge | undefined;
  #best: Candidate | undefined;
  /** The value of the checkpoint that is being saved, where it is better than the best. */
  #coming: number | undefined;

  /** Without a judge no checkpoint is marked. */
  constructor(judge: Judge | undefined) {
    this.#judge = judge;
  }

  /**
   * Takes the run in `directory` up, whose finished epochs `history` has. Returns a line where the best of
   * them has no checkpoint any more. E_FILE.
   */
  async takeUp(directory: string, history: readonly EpochReport[]): Promise<string | undefined> {
    const { places } = await checkpointsOf(directory);
    const whole = places.filter(({ revision }) => revision === 0);
    return this.goOn(history, new Map(whole.map(({ epoch, name }) => [epoch, name])));
  }

  /** The same of known `names` of checkpoints of whole epochs, by number of the epoch. */
  goOn(history: readonly EpochReport[], names: ReadonlyMap<number, string>): string | undefined {
    this.#best = undefined;
    this.#coming = undefined;
    if (!this.#judge) return undefined;
    const judge = this.#judge;
    for (const [index, report] of history.entries()) {
      const name = names.get(index + 1);
      const value = judge.valueIn(report);
      if (name !== undefined && isBetter(judge, value, this.#best?.value ?? Number.NaN))
        this.#best = { name, value };
    }
    const best = bestOf(history, judge);
    if (best === undefined || names.has(best + 1)) return undefined;
    const first = Math.min(...names.keys(), history.length + 1);
    return `the best epoch so far, ${best + 1}, has no checkpoint any more: the best from epoch ${first} on is kept`;
  }

  /**
   * The mark of the checkpoint that is saved next, of the epoch that `report` ends; undefined for one in the
   * middle of an epoch, which is none to be compared.
   */
  markOf(report: EpochReport | undefined): CheckpointContent["best"] {
    this.#coming = undefined;
    const value = report && this.#judge ? this.#judge.valueIn(report) : Number.NaN;
    if (!this.#judge || !isBetter(this.#judge, value, this.#best?.value ?? Number.NaN))
      return this.#best?.name;
    this.#coming = value;
    return "this";
  }

  /** The checkpoint that was marked last stands. */
  stands(name: string): void {
    if (this.#coming !== undefined) this.#best = { name, value: this.#coming };
    this.#coming = undefined;
  }
}
