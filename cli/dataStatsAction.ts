// What `mttc data stats` does: label tables -> counts, as tables, JSON or a picture.
import { basename, resolve } from "node:path";
import type { SpecInput } from "../compiler/spec/schema.ts";
import { visibleText } from "../compiler/visibleText.ts";
import { PNG_MARK } from "../runtime/drawing/pngMark.ts";
import { drawStatisticsSheet } from "../runtime/drawing/statisticsSheet.ts";
import { writeFileAtomically } from "../runtime/files/atomicDirectory.ts";
import { refuseForeignFile } from "../runtime/files/ownOutput.ts";
import { chanceText } from "../runtime/labels/chanceText.ts";
import type { LabelStatistics } from "../runtime/labels/labelStatistics.ts";
import { type DataStatistics, labelsStatistics } from "../runtime/train/dataStats.ts";
import { type LabelSources, sourcesFromOptions } from "../runtime/train/trainerOptions.ts";
import { readTableFacts, taskEntry } from "./labelColumns.ts";
import { shownPath } from "./pathText.ts";
import { count, decimal, renderTable } from "./tables.ts";
import type { Terminal } from "./terminal.ts";

/** Options of the command. */
export interface StatsFlags {
  readonly val?: string;
  readonly test?: string;
  readonly tasks?: string;
  readonly filepaths?: string;
  readonly batchSize?: number;
  readonly output?: string;
  readonly json?: boolean;
  readonly overwrite?: boolean;
}

/** Shows what the tables of an experiment hold, or the label table `path` where there is none. */
export async function showStatistics(
  path: string,
  given: LabelSources | undefined,
  flags: StatsFlags,
  terminal: Terminal,
): Promise<void> {
  if (flags.output !== undefined) await refuseForeignFile(flags.output, PNG_MARK, flags.overwrite);
  const sources = given ?? (await tableSources(path, flags, terminal));
  const { batchSize = sources.spec.batch_size } = flags;
  const statistics = await labelsStatistics({ ...sources, spec: { ...sources.spec, batch_size: batchSize } });
  for (const warning of statistics.warnings) terminal.note(visibleText(`warning: ${warning}`));
  terminal.out(flags.json ? JSON.stringify(statistics) : statisticsText(statistics, terminal));
  if (flags.output === undefined) return;
  await writeFileAtomically(flags.output, await drawStatisticsSheet(statistics, basename(resolve(path))));
  terminal.note(`written to ${shownPath(resolve(flags.output))}`);
}

/** A label table without a spec. E_FILE, E_CSV_*, E_CONFIG for names of no tasks. */
export async function tableSources(
  path: string,
  flags: Pick<StatsFlags, "tasks" | "filepaths"> & { readonly val?: unknown; readonly test?: unknown },
  terminal: Terminal,
): Promise<LabelSources> {
  let tasks: SpecInput["tasks"] | undefined = flags.tasks?.split(",").map((name) => name.trim());
  let filepaths = flags.filepaths;
  let pathRule = {};
  if (tasks === undefined || filepaths === undefined) {
    const facts = await readTableFacts(path, filepaths, tasks === undefined);
    filepaths ??= facts.pathColumn;
    pathRule = facts.pathRule ?? {};
    if (tasks === undefined)
      for (const { name, reason } of facts.others)
        terminal.note(visibleText(`not counted: ${name} (${reason})`));
    tasks ??= facts.tasks.map(taskEntry);
  }
  const table = (file: unknown): string | null => (typeof file === "string" ? resolve(file) : null);
  const labels = {
    train_labels: resolve(path),
    ...{ val_labels: table(flags.val), test_labels: table(flags.test) },
  };
  const columns = filepaths === undefined ? {} : { filepaths };
  return sourcesFromOptions({ ...labels, ...columns, ...pathRule, tasks });
}

function statisticsText(statistics: DataStatistics, terminal: Terminal): string {
  const { train, val, test, classes, together, batch, batchSize, missing, rows } = statistics;
  const tasks = batch.map(({ task }) => task);
  const cellOf = (counts: LabelStatistics["val"], task: string, i: number): string =>
    counts ? count(counts[task]?.[i] ?? 0) : "-";
  const ofClasses = tasks.flatMap((task) =>
    (classes[task] ?? []).map((name, i) => [
      ...[task, name, cellOf(train, task, i), cellOf(val, task, i)],
      ...(test ? [cellOf(test, task, i)] : []),
    ]),
  );
  const parts = (["train", "val", "test"] as const).filter((part) => part !== "test" || test);
  const sizes = parts.map((part) => count(rows[part]));
  const pairs = tasks.map((task, a) => [task, ...(together[a] ?? []).map(count)]);
  const shares = batch.map(({ task, labelled, perBatch, chanceOfNone }) => [
    task,
    count(labelled),
    decimal(perBatch, 1),
    chanceText(chanceOfNone),
  ]);
  const places = tasks.map((_, i) => i + 1);
  const head = ["task", "labelled", `in a batch of ${batchSize}`, "chance of none"];
  const absent = missing.map(({ task, column, split, spelling, cells }) => [
    column === undefined ? task : `${task}: ${column}`,
    split,
    spelling || "(empty)",
    count(cells),
  ]);
  return [
    ...(test ? [renderTable(terminal, ["", ...parts], [["rows", ...sizes]], [1, 2, 3])] : []),
    renderTable(terminal, ["task", "class", ...parts], ofClasses, [2, 3, 4].slice(0, parts.length)),
    ...(absent.length > 0
      ? [renderTable(terminal, ["task", "table", "missing as", "cells"], absent, [3])]
      : []),
    ...(tasks.length > 1 ? [renderTable(terminal, ["labelled together", ...tasks], pairs, places)] : []),
    renderTable(terminal, head, shares, [1, 2, 3]),
  ].join("\n\n");
}
