// refused.txt: the cases that import refuses by name, under the reason that it gives.
import type { CaseResult } from "./runCase.ts";

/** Reason by case. */
export function readRefusals(text: string): Map<string, string> {
  const refusals = new Map<string, string>();
  let reason = "";
  for (const line of text.split("\n"))
    if (line.startsWith("# ")) reason = line.slice(2);
    else if (line !== "") refusals.set(line.trim(), reason);
  return refusals;
}

export function refusalsText(results: readonly CaseResult[]): string {
  const byReason = new Map<string, string[]>();
  for (const { id, verdict, reason } of results)
    if (verdict === "refused") byReason.set(reason, [...(byReason.get(reason) ?? []), id]);
  return [...byReason]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([reason, ids]) => `# ${reason}\n${ids.map((id) => `  ${id}\n`).join("")}`)
    .join("\n");
}
