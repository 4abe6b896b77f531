// `mttc data stats SPEC|RUN|TABLE`: what label tables hold and what a batch will hold of them, as tables, JSON
// or a picture. Of a table without a spec the columns that look like tasks are counted.

import { basename, resolve } from "node:path";
import type { Command } from "commander";
import { resolveSpec } from "../compiler/spec/parseSpec.ts";
import { visibleText } from "../compiler/visibleText.ts";
import { writeFileAtomically } from "../runtime/checkpoint/atomicDirectory.ts";
import { refuseForeignFile } from "../runtime/checkpoint/ownOutput.ts";
import { PNG_MARK } from "../runtime/drawing/pngMark.ts";
import { drawStatisticsSheet } from "../runtime/drawing/statisticsSheet.ts";
import { type DataStatistics, experimentStatistics } from "../runtime/train/dataStats.ts";
import { type Experiment, experimentFromSpec } from "../runtime/train/trainerOptions.ts";
import { readTableFacts } from "./labelColumns.ts";
import { shownPath } from "./pathText.ts";
import { parsePngName, parsePositive, withOverwriteOption } from "./runtimeOptions.ts";
import { isLabelTable, loadSpecOrRun } from "./specFile.ts";
import { count, decimal, renderTable } from "./tables.ts";
import type { Terminal } from "./terminal.ts";

interface Flags {
  readonly val?: string;
  readonly tasks?: string;
  readonly filepaths?: string;
  readonly batchSize?: number;
  readonly output?: string;
  readonly json?: boolean;
  readonly overwrite?: boolean;
}

/** Chances below this are all the same to a person. */
const LEAST_CHANCE = 1e-9;

/** Adds `stats` to `mttc data`. */
export function addDataStatsCommand(data: Command, terminal: Terminal): void {
  const command = data
    .command("stats")
    .description("counts of the labels, tasks labelled together, and what a batch holds of each task")
    .argument(
      "<spec>",
      "spec file, a run's folder, or a label table (CSV, TSV, JSON Lines, Parquet, a folder)",
    )
    .option("--val <labels>", "validation labels, for a label table")
    .option("--tasks <names>", "columns to count, separated by commas, for a label table")
    .option("--filepaths <column>", "column of image paths, for a label table")
    .option("--batch-size <n>", "rows of a batch (default: the spec's)", parsePositive)
    .option("-o, --output <png>", "write a picture of it", parsePngName)
    .option("--json", "print JSON");
  withOverwriteOption(command).action((path: string, flags: Flags) => showStatistics(path, flags, terminal));
}

async function showStatistics(path: string, flags: Flags, terminal: Terminal): Promise<void> {
  if (flags.output !== undefined) await refuseForeignFile(flags.output, PNG_MARK, flags.overwrite);
  const experiment = (await isLabelTable(path))
    ? await tableExperiment(path, flags, terminal)
    : await loadSpecOrRun(path);
  const { spec } = experiment;
  const statistics = await experimentStatistics(experiment, {
    ...spec,
    batch_size: flags.batchSize ?? spec.batch_size,
  });
  for (const warning of statistics.warnings) terminal.note(visibleText(`warning: ${warning}`));
  terminal.out(flags.json ? JSON.stringify(statistics) : statisticsText(statistics, terminal));
  if (flags.output === undefined) return;
  await writeFileAtomically(flags.output, await drawStatisticsSheet(statistics, basename(resolve(path))));
  terminal.note(`written to ${shownPath(resolve(flags.output))}`);
}

/** A label table as an experiment without a network. E_FILE, E_CSV_*, E_CONFIG for names of no tasks. */
async function tableExperiment(path: string, flags: Flags, terminal: Terminal): Promise<Experiment> {
  let tasks = flags.tasks?.split(",").map((name) => name.trim());
  let filepaths = flags.filepaths;
  let pathRule = {};
  if (tasks === undefined || filepaths === undefined) {
    const facts = await readTableFacts(path, filepaths, tasks === undefined);
    filepaths ??= facts.pathColumn;
    pathRule = facts.pathRule ?? {};
    if (tasks === undefined)
      for (const { name, reason } of facts.others)
        terminal.note(visibleText(`not counted: ${name} (${reason})`));
    tasks ??= facts.tasks.map(({ name }) => name);
  }
  const labels = { train_labels: resolve(path), val_labels: flags.val ? resolve(flags.val) : null };
  const columns = filepaths === undefined ? {} : { filepaths };
  const spec = resolveSpec({ ...labels, ...columns, ...pathRule, tasks, fcn: { layers: [1] } });
  return experimentFromSpec(spec, path);
}

function statisticsText(statistics: DataStatistics, terminal: Terminal): string {
  const { train, val, classes, together, batch, batchSize, missing } = statistics;
  const tasks = batch.map(({ task }) => task);
  const ofClasses = tasks.flatMap((task) =>
    (classes[task] ?? []).map((name, i) => [
      task,
      name,
      count(train[task]?.[i] ?? 0),
      val ? count(val[task]?.[i] ?? 0) : "-",
    ]),
  );
  const pairs = tasks.map((task, a) => [task, ...(together[a] ?? []).map(count)]);
  const shares = batch.map(({ task, labelled, perBatch, chanceOfNone }) => [
    task,
    count(labelled),
    decimal(perBatch, 1),
    chanceText(chanceOfNone),
  ]);
  const places = tasks.map((_, i) => i + 1);
  const head = ["task", "labelled", `in a batch of ${batchSize}`, "chance of none"];
  const absent = missing.map(({ task, split, spelling, cells }) => [
    task,
    split,
    spelling || "(empty)",
    count(cells),
  ]);
  return [
    renderTable(terminal, ["task", "class", "train", "val"], ofClasses, [2, 3]),
    ...(absent.length > 0
      ? [renderTable(terminal, ["task", "table", "missing as", "cells"], absent, [3])]
      : []),
    ...(tasks.length > 1 ? [renderTable(terminal, ["labelled together", ...tasks], pairs, places)] : []),
    renderTable(terminal, head, shares, [1, 2, 3]),
  ].join("\n\n");
}

/** A probability; what nobody will see is not told from its like. */
function chanceText(chance: number): string {
  if (chance === 0) return "never";
  return chance < LEAST_CHANCE ? `< ${LEAST_CHANCE}` : chance.toPrecision(2);
}
