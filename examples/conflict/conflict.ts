// `npm run example:conflict`: two tasks that fight over one number, trained with `combine: sum` and with
// `combine: upgrad`; a table and a picture of both, about half a minute. All it writes lies in demo/conflict.
// Exit codes: 0, 2 for an error of input or files, 130 after Ctrl-C, 70 for a fault of mttc.
import { readFile, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { parseSpec } from "../../compiler/spec/parseSpec.ts";
import type { Spec } from "../../compiler/spec/schema.ts";
import { writeFileAtomically } from "../../runtime/files/atomicDirectory.ts";
import { experimentFromSpec } from "../../runtime/train/experiment.ts";
import { MultiTaskTrainer } from "../../runtime/train/multiTaskTrainer.ts";
import { readSize, runCommand } from "../demo/exampleCommand.ts";
import { drawConflict, type LossCurves } from "./conflictChart.ts";
import { writeConflictTable } from "./conflictData.ts";

const USAGE = "npm run example:conflict [-- --limit IMAGES --epochs EPOCHS]";
const SPEC = join("examples", "conflict", "spec.yml");
const FOLDER = join("demo", "conflict");
const IMAGES = 384;

/** The losses of a run of `spec` by epoch, in a folder of its own. */
async function train(spec: Spec, epochs: number, signal: AbortSignal): Promise<LossCurves> {
  const { method } = spec.combine;
  const logdir = resolve(FOLDER, method);
  // Of the last time: a run that exists is not trained over.
  await rm(logdir, { recursive: true, force: true });
  await using trainer = new MultiTaskTrainer(experimentFromSpec({ ...spec, logdir }, SPEC));
  const losses = new Map<string, number[]>(spec.tasks.map((task) => [task, []]));
  trainer.on("epoch", ({ evaluation }) => {
    for (const [task, { loss }] of Object.entries(evaluation?.tasks ?? {})) losses.get(task)?.push(loss);
  });
  await trainer.fit(epochs, { signal });
  return { method, losses: Object.fromEntries(losses) };
}

async function main(): Promise<number> {
  const { limit = IMAGES, epochs } = readSize(USAGE);
  const controller = new AbortController();
  process.once("SIGINT", () => controller.abort());
  const print = (text: string): unknown => process.stdout.write(`${text}\n`);
  await writeConflictTable(FOLDER, "train", limit);
  await writeConflictTable(FOLDER, "val", Math.ceil(limit / 2));
  const spec = parseSpec(await readFile(SPEC, "utf8"), SPEC);
  const runs: LossCurves[] = [];
  for (const combine of [{ method: "sum" }, spec.combine]) {
    print(`training ${SPEC} with combine: ${combine.method}`);
    runs.push(await train({ ...spec, combine }, epochs ?? spec.epochs, controller.signal));
  }
  print(`\nloss on the validation images after the last epoch; 1 is always answering the mean`);
  print(["combine", ...spec.tasks].map((text) => text.padEnd(10)).join(""));
  for (const { method, losses } of runs) {
    const last = spec.tasks.map((task) => (losses[task]?.at(-1) ?? Number.NaN).toFixed(3));
    print([method, ...last].map((text) => text.padEnd(10)).join(""));
  }
  const picture = join(FOLDER, "conflict.png");
  await writeFileAtomically(picture, await drawConflict(runs, "Two tasks, one number between them"));
  print(`\nCurves: ${picture}`);
  print(`Next:   npx mttc compare ${runs.map(({ method }) => join(FOLDER, method)).join(" ")}`);
  return 0;
}

await runCommand("the example", main);
