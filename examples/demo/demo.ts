// `npm run demo`: the whole way from labelled images to exported, checked ONNX files, in about two minutes.
// This file is the command: arguments, Ctrl-C, exit code. What it does is in demoRun.ts. Exit codes: 0, 1 if
// an accuracy is below its goal, 2 for an error of input or files, 130 after Ctrl-C, 70 for a fault of mttc.
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { runDemo } from "./demoRun.ts";
import { readSize, runCommand } from "./exampleCommand.ts";

const USAGE = `npm run demo [-- --limit IMAGES --epochs EPOCHS]
  --limit   draw and use only so many emojis; the accuracies are then not held to their goals
  --epochs  instead of the spec's; likewise`;

/** Seen from dist/examples/demo/, where this runs. */
const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "..");

async function main(): Promise<number> {
  const { limit, epochs } = readSize(USAGE);
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

await runCommand("the demo", main);
