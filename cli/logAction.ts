// What `mttc log` does: a run's log -> its sinks, and what they have now.
import { MttcError } from "../compiler/diagnostics.ts";
import { namedTargets } from "../compiler/spec/logKeys.ts";
import type { SinkName } from "../compiler/spec/sinkNames.ts";
import { visibleText } from "../compiler/visibleText.ts";
import { RunFolder } from "../runtime/runs/runFolder.ts";
import { sendLog } from "../runtime/train/sendLog.ts";
import { count } from "./tables.ts";
import type { Terminal } from "./terminal.ts";

/** Options of the command. */
export interface LogFlags {
  readonly to?: readonly SinkName[];
}

/** Sends the log of the run in `folder`, which the user named `given`. E_SINK where not all arrives. */
export async function sendRunLog(
  given: string,
  folder: string,
  flags: LogFlags,
  terminal: Terminal,
): Promise<void> {
  const { spec } = await RunFolder.open(folder);
  const to = flags.to ? namedTargets(flags.to, spec.log_to) : spec.log_to;
  if (to.length === 0)
    throw new MttcError({
      code: "E_USAGE",
      message: "the run's spec names nothing in log_to",
      at: { file: given },
      hint: "say where: --to tensorboard, --to mlflow or both, with a comma between",
    });
  const tell = (message: string): void => terminal.note(visibleText(message));
  const sent = await sendLog(folder, { to, environment: process.env, tell });
  const faults = sent.flatMap(({ title, place, epochs, missing }) => {
    if (!missing) terminal.out(visibleText(`${title} (${place}) has all ${count(epochs)} epochs`));
    if (!missing) return [];
    const message = `${title} has not had all: ${missing.reason}`;
    return [
      { code: "E_SINK", message, at: { file: place }, hint: "the run keeps it: try again later" } as const,
    ];
  });
  if (faults.length > 0) throw new MttcError(faults);
}
