// One thing that `mttc doctor` looked at.
import { type Fault, MttcError } from "../../compiler/diagnostics.ts";

export interface Finding {
  readonly what: string;
  /** ok: there and working; absent: not there; fault: there, and does not work. */
  readonly state: "ok" | "absent" | "fault";
  /** What was found, or why not. */
  readonly found: string;
  /** What mends it. */
  readonly hint?: string | undefined;
}

/** What a typed error says, as a finding; anything else is a fault of mttc and goes on. */
export function faultFinding(what: string, error: unknown): Finding {
  if (!(error instanceof MttcError)) throw error;
  const hints = new Set(error.faults.flatMap(({ hint }: Fault) => (hint === undefined ? [] : [hint])));
  const found = error.faults.map(({ message }) => message).join("; ");
  return { what, state: "fault", found, hint: hints.size > 0 ? [...hints].join("; ") : undefined };
}
