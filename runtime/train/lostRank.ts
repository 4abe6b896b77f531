// What is said where a run ends because another of its processes is lost.
import { MttcError } from "../../compiler/diagnostics.ts";

/**
 * The error with what is saved: the checkpoint in the folder `path`, of training as it was at `reached`
 * ("epoch 2, step 7"), or, without that, one from before, since which nothing is new.
 */
export function withSaved(lost: MttcError, path: string, reached?: string): MttcError {
  const saved = reached === undefined ? `saved is ${path}` : `saved as it was at ${reached}, in ${path}`;
  const faults = lost.faults.map((fault) => ({ ...fault, message: `${fault.message}; ${saved}` }));
  return new MttcError(faults, { cause: lost });
}
