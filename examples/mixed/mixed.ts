// `npm run example:mixed`: classes, tags and a number in one network, by the command line alone: makes the
// tables of mixedTables.ts, then runs the commands that it prints. About a minute. Exit code: that of the
// command that failed, else 0.
import { spawn } from "node:child_process";
import { rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { MttcError } from "../../compiler/diagnostics.ts";
import { prepareOpenmoji } from "../demo/rasterise.ts";
import { writeMixedTables } from "./mixedTables.ts";

const USAGE = "npm run example:mixed [-- --limit IMAGES --epochs EPOCHS]";
/** Seen from dist/examples/mixed/, where this runs. Data and run lie below the working folder. */
const CLI = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "..", "cli", "mttc.cjs");
const SHOWN_IMAGES = 6;

/** Runs a command of mttc as a user would, and says so. */
async function mttc(...args: readonly string[]): Promise<void> {
  process.stdout.write(`\n$ npx mttc ${args.join(" ")}\n`);
  const child = spawn(process.execPath, [CLI, ...args], { stdio: "inherit" });
  const code = await new Promise<number>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (status) => resolve(status ?? 1));
  });
  if (code !== 0) process.exit(code);
}

/** Numbers above 0, as they are passed on. */
function readArguments(): { readonly limit: number | undefined; readonly epochs: number | undefined } {
  const fail = (message: string): MttcError => new MttcError({ code: "E_USAGE", message, hint: USAGE });
  const positive = (text: string | undefined): number | undefined => {
    if (text !== undefined && !/^[1-9]\d{0,8}$/.test(text))
      throw fail(`expected a number above 0, found ${text}`);
    return text === undefined ? undefined : Number(text);
  };
  const options = { limit: { type: "string" }, epochs: { type: "string" } } as const;
  let values: { limit?: string; epochs?: string };
  try {
    values = parseArgs({ options }).values;
  } catch (cause) {
    throw fail(String(cause));
  }
  return { limit: positive(values.limit), epochs: positive(values.epochs) };
}

async function main(): Promise<void> {
  const { limit, epochs } = readArguments();
  const demo = await prepareOpenmoji("demo/openmoji", limit === undefined ? {} : { limit });
  const tables = await writeMixedTables(demo);
  const counts = `${demo.trainCount} images to train, ${demo.valCount} to validate`;
  process.stdout.write(`${counts}: ${Object.values(tables).join(", ")}\n`);
  const spec = "examples/mixed/spec.yml";
  const [run, model] = ["demo/mixed", "demo/mixed/export/model.onnx"];
  // Of the last time: a run that exists is not trained over.
  await rm(run, { recursive: true, force: true });
  await mttc("train", spec, ...(epochs === undefined ? [] : ["--epochs", String(epochs)]));
  await mttc("evaluate", run);
  await mttc("export", run);
  const step = Math.max(1, Math.floor(demo.valImages.length / SHOWN_IMAGES));
  const images = demo.valImages.filter((_, index) => index % step === 0).slice(0, SHOWN_IMAGES);
  await mttc("predict", model, ...images);
}

try {
  await main();
} catch (error) {
  if (error instanceof MttcError) console.error(error.message);
  else console.error("the example failed by a fault of mttc; please report it:", error);
  process.exitCode = error instanceof MttcError ? error.exitCode : 70;
}
