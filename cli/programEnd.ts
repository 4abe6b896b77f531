// The last moments of the program. Signals that end it must not reach it there as the system has them: what
// they would overwrite is the exit code, which says whether a run is whole, saved or lost.
import { ENDING_SIGNALS, INTERRUPTED_EXIT } from "./errorReport.ts";

/**
 * Has `onSignal` called for every signal that ends a program, in place of that. The function that it returns
 * gives them back a moment later, when whoever ends the program has taken them over.
 */
export function heedSignals(onSignal: (name: NodeJS.Signals) => void): () => void {
  for (const name of ENDING_SIGNALS) process.on(name, onSignal);
  return () =>
    void setImmediate(() => {
      for (const name of ENDING_SIGNALS) process.off(name, onSignal);
    });
}

/**
 * Ends the program with an exit code once all that it wrote is taken: what a command did is done, and a
 * signal that comes now changes nothing, but for one that finds results which nobody reads.
 */
export function endProgram(code: number): void {
  process.exitCode = code;
  heedSignals(() => process.exit(process.stdout.writableLength > 0 ? INTERRUPTED_EXIT : undefined));
  // Without it Node.js would take its handlers away first and end afterwards: a signal in between would kill
  // the program, with no exit code at all.
  process.once("beforeExit", () => process.exit());
}
