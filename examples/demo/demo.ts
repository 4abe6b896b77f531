// `npm run demo`: the whole way from labelled images to exported, checked ONNX files, in about two minutes.
// This file is the command: arguments, Ctrl-C, exit code. What it does is in demoRun.ts. Exit codes: 0, 1 if
// an accuracy is below its goal, 2 for an error of input or files, 130 after Ctrl-C, 70 for a fault of mttc.
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { MttcError } from "../../compiler/diagnostics.ts";
import { runDemo } from "./demoRun.ts";

const USAGE = `npm run demo [-- --limit IMAGES --epochs EPOCHS]
  --limit   draw and use only so many emojis; the accuracies are then not held to their goals
  --epochs  instead of the spec's; likewise`;

/** Seen from dist/examples/demo/, where this runs. */
const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "..");

async function main(): Promise<number> {
  const { limit, epochs } = readArguments();
  const controller = new AbortController();
  process.once("SIGINT", () => controller.abort());
  const { missed } = await runDemo({
    root: ROOT,
    limit,
    epochs,
    signal: controller.signal,
    print: (text) => process.stdout.write(`${text}\n`),
  });
  return missed.length === 0 ? 0 : 1;
}

function readArguments(): { limit: number | undefined; epochs: number | undefined } {
  try {
    const options = { limit: { type: "string" }, epochs: { type: "string" } } as const;
    const { values } = parseArgs({ options });
    return { limit: positive(values.limit), epochs: positive(values.epochs) };
  } catch (cause) {
    if (cause instanceof MttcError) throw cause;
    throw new MttcError({ code: "E_USAGE", message: String(cause), hint: USAGE }, { cause });
  }
}

function positive(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new MttcError({ code: "E_USAGE", message: `expected a number above 0, found ${text}`, hint: USAGE });
}

try {
  process.exitCode = await main();
} catch (error) {
  if (error instanceof MttcError) console.error(error.message);
  else console.error("the demo failed by a fault of mttc; please report it:", error);
  process.exitCode = error instanceof MttcError ? error.exitCode : 70;
}
