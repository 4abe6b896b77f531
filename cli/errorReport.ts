// What an error becomes at the end of the program: text for the person, and an exit code for the script. 0
// done, 2 the input or the command line is not usable, 130 interrupted after saving, 70 a fault of mttc
// itself.
import { CommanderError } from "commander";
import { formatFault, MttcError } from "../compiler/diagnostics.ts";
import type { Terminal } from "./terminal.ts";

export const INTERNAL_EXIT = 70;
export const INTERRUPTED_EXIT = 130;
const USAGE_EXIT = 2;
/** What ends a program from outside: Ctrl-C, a request, a terminal that is closed. */
export const ENDING_SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Ends the program with a code; another process has said why. */
export class AlreadySaid extends Error {
  override readonly name = "AlreadySaid";
  readonly exitCode: number;
  constructor(exitCode: number) {
    super("said by another process");
    this.exitCode = exitCode;
  }
}

/** Prints the error to stderr and returns the exit code. */
export function reportError(error: unknown, terminal: Terminal): number {
  const { red, dim } = terminal.noteColours;
  if (error instanceof AlreadySaid) return error.exitCode;
  if (error instanceof CommanderError) {
    // Commander has printed its message already; help and version are no errors.
    return error.exitCode === 0 ? 0 : USAGE_EXIT;
  }
  if (error instanceof MttcError) {
    const label = error.exitCode === 130 ? "interrupted:" : "error:";
    for (const fault of error.faults) terminal.note(`${red(label)} ${formatFault(fault)}`);
    return error.exitCode;
  }
  if (isLackOfFiles(error)) {
    const hint = "allow more: `ulimit -n 1024` in the shell that starts mttc";
    const fault = { code: "E_FILE", message: `too many files are open (${String(error)})`, hint } as const;
    return reportError(new MttcError(fault), terminal);
  }
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
  terminal.note(`${red("internal error:")} ${message}`);
  terminal.note("This is a fault of mttc. Please report it with the command, the spec and the lines above.");
  terminal.note(dim(`mttc on node ${process.version}, ${process.platform} ${process.arch}`));
  return INTERNAL_EXIT;
}

/** Whether the limit of open files ended something that expected no fault of the system. */
function isLackOfFiles(error: unknown): boolean {
  return /\b(EMFILE|ENFILE)\b/.test(String(error));
}
