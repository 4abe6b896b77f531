// Collects the faults of an input so that all are reported at once, without flooding the terminal:
// past a limit only their number is kept.
import { type Fault, MttcError } from "../../compiler/diagnostics.ts";

const MAX_SHOWN = 20;

/** A growing list of faults; `throwIfAny` raises them as one MttcError. */
export class FaultList {
  readonly #shown: Fault[] = [];
  #hidden = 0;

  add(fault: Fault): void {
    if (this.#shown.length < MAX_SHOWN) this.#shown.push(fault);
    else this.#hidden++;
  }

  /** Whether what is added from now on is only counted. */
  get isFull(): boolean {
    return this.#shown.length === MAX_SHOWN;
  }

  /** Throws MttcError with up to 20 faults; the last one says how many more there are. */
  throwIfAny(): void {
    const last = this.#shown.at(-1);
    if (last === undefined) return;
    if (this.#hidden === 0) throw new MttcError(this.#shown);
    throw new MttcError([...this.#shown, { code: last.code, message: `and ${this.#hidden} more faults` }]);
  }
}
