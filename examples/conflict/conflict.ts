// `npm run example:conflict`: two tasks that fight over one number, and two that both fit where one counts
// ten times, trained with several methods; tables and a picture, about five minutes. All it writes lies in
// demo/conflict. Exit codes: 0, 2 for an error of input or files, 130 after Ctrl-C, 70 for a fault of mttc.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseSpec } from "../../compiler/spec/parseSpec.ts";
import type { Spec } from "../../compiler/spec/schema.ts";
import { writeFileAtomically } from "../../runtime/files/atomicDirectory.ts";
import { readSize, runCommand } from "../demo/exampleCommand.ts";
import { drawConflict } from "./conflictChart.ts";
import { writeConflictTable } from "./conflictData.ts";
import {
  BOTH_FIT,
  type ConflictRun,
  fightingRuns,
  LEARNED,
  lastMove,
  learnedAfter,
  trainRuns,
} from "./conflictRuns.ts";

const USAGE = "npm run example:conflict [-- --limit IMAGES --epochs EPOCHS]";
const SPECS = ["spec.yml", "both.yml"].map((name) => join("examples", "conflict", name));
const FOLDER = join("demo", "conflict");
const IMAGES = 144;
/** Pictures along one side of the table that is validated, as a part of that which is trained. */
const VALIDATED = 2 / 3;

const print = (text: string): unknown => process.stdout.write(`${text}\n`);
const row = (cells: readonly string[]): unknown =>
  print(
    cells
      .map((cell, i) => cell.padEnd(i === 0 ? 12 : 9))
      .join("")
      .trimEnd(),
  );

async function trainFighting(spec: Spec, file: string, signal: AbortSignal): Promise<ConflictRun[]> {
  print(`${file}: two tasks that fight; losses on the validation images after ${spec.epochs} epochs`);
  row(["", "red", "blue", "moved", "apart"]);
  const runs = await trainRuns(fightingRuns(spec), spec, file, signal);
  for (const { name, path, conflict } of runs) {
    const last = (path.at(-1) ?? []).map((loss) => (Number.isNaN(loss) ? "-" : loss.toFixed(3)));
    const apart = conflict === undefined ? "-" : `${Math.round(100 * conflict)} %`;
    row([name, ...last, lastMove(path).toFixed(3), apart]);
  }
  print("moved: how far a loss still went in the last fifth of the epochs");
  print("apart: share of the steps in which the gradients of red and blue had a cosine below 0");
  return runs;
}

/** Of each method the runs of all seeds at its best rate. */
async function trainBoth(spec: Spec, file: string, signal: AbortSignal): Promise<ConflictRun[][]> {
  print(`\n${file}: both fit, red counts ten times; epochs until both losses are below ${LEARNED}`);
  row(["lr", ...BOTH_FIT.rates.map(String)]);
  const best: ConflictRun[][] = [];
  for (const { name, changes } of BOTH_FIT.methods) {
    const byRate: ConflictRun[][] = [];
    for (const lr of BOTH_FIT.rates) {
      const planned = BOTH_FIT.seeds.map((seed) => ({ name, changes: { ...changes, lr, seed } }));
      byRate.push(await trainRuns(planned, spec, file, signal));
    }
    row([name, ...byRate.map((runs) => epochsText(middleOf(runs)))]);
    best.push(byRate.toSorted((one, other) => middleOf(one) - middleOf(other))[0] ?? []);
  }
  print(`medians of seeds ${BOTH_FIT.seeds.join(", ")}; -: not within ${spec.epochs} epochs`);
  return best;
}

/** The median of the epochs until both tasks were learned; infinite where most runs did not. */
function middleOf(runs: readonly ConflictRun[]): number {
  const epochs = runs.map(({ path }) => learnedAfter(path) ?? Number.POSITIVE_INFINITY);
  return epochs.toSorted((a, b) => a - b)[Math.floor(runs.length / 2)] ?? Number.POSITIVE_INFINITY;
}

function epochsText(epochs: number): string {
  return Number.isFinite(epochs) ? String(epochs) : "-";
}

async function main(): Promise<number> {
  const { limit = IMAGES, epochs } = readSize(USAGE);
  const controller = new AbortController();
  process.once("SIGINT", () => controller.abort());
  const side = Math.max(3, Math.floor(Math.sqrt(limit)));
  await writeConflictTable(FOLDER, "train", side);
  await writeConflictTable(FOLDER, "val", Math.ceil(VALIDATED * side));
  const read = async (file: string): Promise<Spec> => {
    const spec = parseSpec(await readFile(file, "utf8"), file);
    return { ...spec, epochs: epochs ?? spec.epochs, batch_size: side * side };
  };
  const [fighting = "", both = ""] = SPECS;
  const runs = await trainFighting(await read(fighting), fighting, controller.signal);
  const best = await trainBoth(await read(both), both, controller.signal);
  const picture = join(FOLDER, "conflict.png");
  await writeFileAtomically(picture, await drawConflict(runs, best));
  print(`\nPicture: ${picture}`);
  print(`Next:    npx mttc train ${fighting}   (its report says which tasks fight)`);
  return 0;
}

await runCommand("the example", main);
