// Lines for people on where a run was logged to, and how it is looked at.
import type { Spec } from "../compiler/spec/schema.ts";
import { factsOf } from "../runtime/logs/runLogs.ts";
import { configuredSink } from "../runtime/logs/sinkTable.ts";
import { shownPath } from "./pathText.ts";

/** Width of the words before what they name in a command's last lines. */
const WORDS = 13;

/** A line for each sink of the spec: an address, or the command that shows the folder. */
export async function sinkLines(spec: Spec, directory: string): Promise<string[]> {
  const lines: string[] = [];
  for (const entry of spec.log_to) {
    const { title, viewer, place } = await configuredSink(entry);
    const where = place({ environment: process.env, facts: factsOf(directory, spec) });
    lines.push(`${`${title}:`.padEnd(WORDS)}${viewer ? `${viewer} ${shownPath(where)}` : where}`);
  }
  return lines;
}
