// A command of mttc in this process: what it writes and its exit code, as runCli gives them, without the
// second that a process of its own takes to start. For tests that run one command many times.
import { Command } from "commander";
import { reportError } from "../../cli/errorReport.ts";
import { type Terminal, terminalOn } from "../../cli/terminal.ts";
import type { ProgramResult } from "./runCli.ts";

/** Adds a command to a program. */
type AddCommand = (program: Command, terminal: Terminal) => void;

/** Runs `args`, a command that `add` adds, in `folder`; nothing else may run in this process meanwhile. */
export async function runCommand(
  add: AddCommand,
  folder: string,
  args: readonly string[],
): Promise<ProgramResult> {
  let [stdout, stderr] = ["", ""];
  const out = (text: string): void => {
    stdout += text;
  };
  const note = (text: string): void => {
    stderr += text;
  };
  const terminal = terminalOn({ write: out }, { write: note }, false);
  const program = new Command("mttc").exitOverride().configureOutput({ writeOut: out, writeErr: note });
  add(program, terminal);
  const before = process.cwd();
  process.chdir(folder);
  try {
    await program.parseAsync(args, { from: "user" });
    return { code: 0, stdout, stderr };
  } catch (error) {
    const code = reportError(error, terminal);
    return { code, stdout, stderr };
  } finally {
    process.chdir(before);
  }
}
