// What the examples that run as commands share: how large they are, and how they end. Exit codes: 2 for an
// error of input or files, 130 after Ctrl-C, 70 for a fault of mttc.
import { parseArgs } from "node:util";
import { MttcError } from "../../compiler/diagnostics.ts";

/** Images and epochs that the command line asks for; undefined where it leaves them alone. */
export interface ExampleSize {
  readonly limit: number | undefined;
  readonly epochs: number | undefined;
}

/** `--limit` and `--epochs` of this process; E_USAGE, with `usage`, for anything else. */
export function readSize(usage: string): ExampleSize {
  try {
    const options = { limit: { type: "string" }, epochs: { type: "string" } } as const;
    const { values } = parseArgs({ options });
    return { limit: positive(values.limit, usage), epochs: positive(values.epochs, usage) };
  } catch (cause) {
    if (cause instanceof MttcError) throw cause;
    throw new MttcError({ code: "E_USAGE", message: String(cause), hint: usage }, { cause });
  }
}

function positive(text: string | undefined, usage: string): number | undefined {
  if (text === undefined) return undefined;
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new MttcError({ code: "E_USAGE", message: `expected a number above 0, found ${text}`, hint: usage });
}

/** Runs `main`, whose number is this process's exit code; `what` failed where mttc is at fault. */
export async function runCommand(what: string, main: () => Promise<number>): Promise<void> {
  try {
    process.exitCode = await main();
  } catch (error) {
    if (error instanceof MttcError) console.error(error.message);
    else console.error(`${what} failed by a fault of mttc; please report it:`, error);
    process.exitCode = error instanceof MttcError ? error.exitCode : 70;
  }
}
