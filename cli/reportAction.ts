// What `mttc report` does: a run's folder -> its page, and where it lies.
import { resolve } from "node:path";
import { visibleText } from "../compiler/visibleText.ts";
import { type WrittenReport, writeReport } from "../runtime/report/runReport.ts";
import { interruptSignal } from "./interruptSignal.ts";
import { shownPath } from "./pathText.ts";
import { type RuntimeFlags, runtimeOptions } from "./runtimeOptions.ts";
import type { Terminal } from "./terminal.ts";

/** Options of the command. */
export interface ReportFlags extends RuntimeFlags {
  readonly output?: string;
  readonly seconds?: number;
  readonly overwrite?: boolean;
}

/** Writes the report of the run in `folder`; Ctrl-C ends the looking, and the page is made of what there is. */
export async function reportRun(folder: string, flags: ReportFlags, terminal: Terminal): Promise<void> {
  const { signal, stop } = interruptSignal(terminal, "the page is made of what was looked at");
  try {
    const { path, notes } = await writeReport(folder, {
      ...{ output: flags.output, seconds: flags.seconds, overwrite: flags.overwrite ?? false },
      ...{ runtime: runtimeOptions(flags), signal, onProgress: imagesLooked(terminal) },
    });
    for (const note of notes) terminal.note(visibleText(note));
    terminal.out(`Written to ${shownPath(resolve(path))}: open it in a browser`);
  } finally {
    stop();
  }
}

/** Says now and then how many images were looked at: a line that a terminal writes over itself. */
function imagesLooked(terminal: Terminal): ((done: number, total: number) => void) | undefined {
  if (!terminal.drawsProgress) return undefined;
  return (done, total) => {
    process.stderr.write(`\r${done} of ${total} images looked at`);
    if (done === total) process.stderr.write("\r\u001b[K");
  };
}

/** Pages of runs that were just trained: seconds of looking, after an interruption fewer. */
const [TRAINED_SECONDS, INTERRUPTED_SECONDS] = [10, 2];

/**
 * The report of a run that was just trained, or stopped; what keeps it from being made is said in a line and
 * changes nothing of how training ended.
 */
export async function reportTrained(
  directory: string,
  flags: RuntimeFlags,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<WrittenReport | undefined> {
  const seconds = signal.aborted ? INTERRUPTED_SECONDS : TRAINED_SECONDS;
  try {
    return await writeReport(directory, {
      ...{ seconds, runtime: runtimeOptions(flags) },
      ...(signal.aborted ? {} : { signal }),
    });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    terminal.note(visibleText(`no report is written: ${reason}`));
    return undefined;
  }
}
