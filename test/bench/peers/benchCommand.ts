// The command line that `npm run bench -- peers` and `-- epochs` share: which of several things to
// measure, how often, where to write the numbers, and whether on a busy machine.
import { Command } from "commander";
import { measureLoad } from "./machineLoad.ts";
import { loadFault } from "./peerNumbers.ts";

export interface BenchFlags {
  readonly json?: string;
  readonly anyway?: boolean;
}

/** `npm run bench -- name [kind...]`; `names` are what it measures. */
export function benchCommand(name: string, kind: string, names: readonly string[]): Command {
  return new Command(`npm run bench -- ${name}`)
    .argument(`[${kind}...]`, `of ${names.join(", ")}; all by default`)
    .option("--runs <count>", "measure so often, in fresh processes, and take the median", "1")
    .option("--json <file>", "write all numbers to a file")
    .option("--anyway", "measure on a busy machine");
}

/** For faults of the command line and of what it needs. */
export const REFUSED = { exitCode: 2 };

/** What of `names` is asked for, and how often. Ends the process where that is nothing. */
export function wantedOf(command: Command, names: readonly string[]): { names: string[]; runs: number } {
  const runs = countOf(command, "--runs", command.opts<{ readonly runs: string }>().runs);
  const unknown = command.args.find((name) => !names.includes(name));
  if (unknown !== undefined) command.error(`there is no "${unknown}": ${names.join(", ")}`, REFUSED);
  const wanted = names.filter((name) => command.args.length === 0 || command.args.includes(name));
  return { names: wanted, runs };
}

/** A flag's count of at least one. Ends the process where it is none. */
export function countOf(command: Command, flag: string, text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1) command.error(`${flag}: a count, found "${text}"`, REFUSED);
  return count;
}

/** What `body` gives; ends the process with its message where it cannot be had: a Python without torch, say. */
export function needed<T>(command: Command, body: () => T): T {
  try {
    return body();
  } catch (error) {
    return command.error(error instanceof Error ? error.message : String(error), REFUSED);
  }
}

/** Says what else the machine does; false where that is too much, unless it is measured `anyway`. */
export async function mayMeasure(anyway = false): Promise<boolean> {
  if (process.platform !== "linux") {
    process.stderr.write("loads, memory and stopped processes are Linux's: nothing is measured elsewhere\n");
    return false;
  }
  const fault = loadFault(await measureLoad());
  if (fault === undefined) return true;
  const hint = anyway ? "" : ": nothing is measured (--anyway measures all the same)";
  process.stderr.write(`${fault}${hint}\n`);
  return anyway;
}

/** Lets Ctrl-C run what ends stopped processes. */
export function exitOnSignals(): void {
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));
}
