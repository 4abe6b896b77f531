// `npm run bench -- epochs [CASE...]`: epochs of `mttc train` beside a training script of PyTorch on the
// same JPEGs: reading, augmentation, steps, evaluation and a checkpoint. mttc runs as a user runs it, with
// its defaults; PyTorch is given what is fastest of contiguous and channels last, spinning and sleeping
// threads, Adam plain and fused, 0, 1 and 2 workers of its DataLoader, found by short trials. Both run
// whole; after each epoch's line a side is stopped with all its workers, and the other one goes on: an
// epoch's time is from line to line without the stops. The first epoch counts in the whole run, which
// begins with nothing, and not among the epochs.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, tmpdir } from "node:os";
import { join } from "node:path";
import Table from "cli-table3";
import { median } from "../../median.ts";
import {
  type BenchFlags,
  benchCommand,
  exitOnSignals,
  mayMeasure,
  needed,
  wantedOf,
} from "../peers/benchCommand.ts";
import { type BlockPair, ratioOfRuns, spreadText } from "../peers/peerNumbers.ts";
import { peerCache, peerModels, peerPython } from "../peers/peerPython.ts";
import { type CaseFiles, EPOCH_CASES, type EpochCase } from "./epochCases.ts";
import { type EpochResult, EpochTrials, type Run } from "./epochTrials.ts";
import { photos, writeTable } from "./photos.ts";

/** Measures and prints; false where mttc is slower, or nothing was measured. */
export async function compareEpochs(args: readonly string[]): Promise<boolean> {
  const names = EPOCH_CASES.map(({ name }) => name);
  const command = benchCommand("epochs", "case", names).parse(args, { from: "user" });
  const { json, anyway } = command.opts<BenchFlags>();
  const { names: wanted, runs } = wantedOf(command, names);
  const cases = EPOCH_CASES.filter(({ name }) => wanted.includes(name));
  const python = needed(command, peerPython);
  const nets = cases.map(({ net }) => net);
  const models = needed(command, () => peerModels(() => python, nets));
  const images = Math.max(...cases.map((one) => one.train + one.val));
  const paths = await photos(join(peerCache(), "photos"), images);
  if (!(await mayMeasure(anyway))) return false;
  exitOnSignals();
  const scratch = mkdtempSync(join(tmpdir(), "mttc-bench-epochs-"));
  try {
    const results: EpochResult[] = [];
    for (const one of cases) {
      const files = writeFiles(one, scratch, { models, paths });
      results.push(await new EpochTrials(one, files, { python, scratch }).measure(runs));
      if (json !== undefined) writeFileSync(json, `${JSON.stringify(describe(results), null, 1)}\n`);
    }
    process.stdout.write(`${tableOf(results)}\n`);
    return results.every(({ runs: all }) => ratioOfRuns(all.map(epochPairs)).middle >= 1);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function writeFiles(
  one: EpochCase,
  scratch: string,
  { models, paths }: { readonly models: string; readonly paths: readonly string[] },
): CaseFiles {
  const files = {
    models,
    train: join(scratch, `${one.name}.csv`),
    val: join(scratch, `${one.name}-val.csv`),
  };
  const { classes } = one.net;
  writeTable(files.train, paths, { first: 0, last: one.train, classes });
  writeTable(files.val, paths, { first: one.train, last: one.train + one.val, classes });
  return files;
}

/** Epochs after the first, side by side. */
function epochPairs({ torch, mttc }: { readonly torch: Run; readonly mttc: Run }): BlockPair[] {
  return mttc.ms.slice(1).map((ms, epoch) => ({ mttc: ms, torch: torch.ms[epoch + 1] ?? Number.NaN }));
}

function wholeRun({ ms }: Run): number {
  return ms.reduce((sum, each) => sum + each, 0);
}

function describe(results: readonly EpochResult[]): object {
  const machine = { cpu: cpus()[0]?.model, threads: availableParallelism() };
  const rows = results.map((result) => ({ ...result, ratio: ratioOfRuns(result.runs.map(epochPairs)) }));
  return { machine, results: rows };
}

function tableOf(results: readonly EpochResult[]): string {
  const table = new Table({
    head: [
      "epochs",
      "mttc s",
      "PyTorch s",
      "PyTorch / mttc",
      "whole run s",
      "ratio",
      "last loss",
      "PyTorch's best",
    ],
    style: { head: [], border: [] },
  });
  const seconds = (ms: readonly number[]): string => (median(ms) / 1000).toFixed(2);
  for (const { what, setting, runs } of results) {
    const pairs = runs.flatMap(epochPairs);
    const [mttc, torch] = [runs.map((run) => wholeRun(run.mttc)), runs.map((run) => wholeRun(run.torch))];
    const lossOf = (run: Run | undefined): string => run?.figures.losses[0]?.toFixed(2) ?? "";
    const { layout, wait, fused, workers } = setting;
    table.push([
      what,
      seconds(pairs.map((pair) => pair.mttc)),
      seconds(pairs.map((pair) => pair.torch)),
      spreadText(ratioOfRuns(runs.map(epochPairs))),
      `${seconds(mttc)} / ${seconds(torch)}`,
      median(runs.map((run) => wholeRun(run.torch) / wholeRun(run.mttc))).toFixed(2),
      `${lossOf(runs[0]?.mttc)} / ${lossOf(runs[0]?.torch)}`,
      `${layout}, ${wait}${fused ? ", fused Adam" : ""}, ${workers} workers`,
    ]);
  }
  return `${table}\nwhole run and last loss (of the first task): mttc / PyTorch`;
}
