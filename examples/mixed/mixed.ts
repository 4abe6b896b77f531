// `npm run example:mixed`: classes, tags and a number in one network, by the command line alone: makes the
// tables of mixedTables.ts, then runs the commands that it prints. About a minute. Exit code: that of the
// command that failed, else 0.
import { spawn } from "node:child_process";
import { rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { evenlySpread } from "../../runtime/tables/rowOrder.ts";
import { readSize, runCommand } from "../demo/exampleCommand.ts";
import { prepareOpenmoji } from "../demo/rasterise.ts";
import { writeMixedTables } from "./mixedTables.ts";

const USAGE = "npm run example:mixed [-- --limit IMAGES --epochs EPOCHS]";
/** Seen from dist/examples/mixed/, where this runs. Data and run lie below the working folder. */
const CLI = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "..", "cli", "mttc.cjs");
const SHOWN_IMAGES = 6;

/** Runs a command of mttc as a user would, and says so; its exit code. */
async function mttc(...args: readonly string[]): Promise<number> {
  process.stdout.write(`\n$ npx mttc ${args.join(" ")}\n`);
  const child = spawn(process.execPath, [CLI, ...args], { stdio: "inherit" });
  return await new Promise<number>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (status) => resolve(status ?? 1));
  });
}

async function main(): Promise<number> {
  const { limit, epochs } = readSize(USAGE);
  const demo = await prepareOpenmoji("demo/openmoji", limit === undefined ? {} : { limit });
  const tables = await writeMixedTables(demo);
  const counts = `${demo.trainCount} images to train, ${demo.valCount} to validate`;
  process.stdout.write(`${counts}: ${Object.values(tables).join(", ")}\n`);
  const run = "demo/mixed";
  // Of the last time: a run that exists is not trained over.
  await rm(run, { recursive: true, force: true });
  const images = evenlySpread(SHOWN_IMAGES, demo.valImages.length).map((at) => demo.valImages[at] ?? "");
  const commands = [
    ["train", "examples/mixed/spec.yml", ...(epochs === undefined ? [] : ["--epochs", String(epochs)])],
    ["evaluate", run],
    ["export", run],
    ["predict", `${run}/export/model.onnx`, ...images],
  ];
  for (const command of commands) {
    const code = await mttc(...command);
    if (code !== 0) return code;
  }
  return 0;
}

await runCommand("the example", main);
