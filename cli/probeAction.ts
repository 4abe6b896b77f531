// What `mttc probe` does: trunks and a label table -> how well a linear classifier does on the features of
// each, as tables or JSON.
import { basename, resolve } from "node:path";
import type { FeaturePooling } from "../compiler/export/exportFeatures.ts";
import { visibleText } from "../compiler/visibleText.ts";
import type { Interval } from "../runtime/probes/bootstrap.ts";
import { type ComparedColumn, type ComparedTrunk, compareTrunks } from "../runtime/probes/compareTrunks.ts";
import { type ProbeLabels, readProbeLabels } from "../runtime/probes/probeLabels.ts";
import { interruptSignal } from "./interruptSignal.ts";
import { readTableFacts } from "./labelColumns.ts";
import { predictProgress } from "./predictProgress.ts";
import { runtimeOptions } from "./runtimeOptions.ts";
import { count, decimal, renderTable } from "./tables.ts";
import type { Terminal } from "./terminal.ts";
import { openTrunk, type TrunkArgument, type TrunkFlags } from "./trunkArgument.ts";

/** Options of the command. */
export interface ProbeFlags extends TrunkFlags {
  readonly labels: string;
  readonly columns?: string;
  readonly filepaths?: string;
  readonly imageRoot?: string;
  readonly pool: FeaturePooling;
  readonly json?: boolean;
}

/** Classes that the table of classes shows; of more those in which the trunks differ most. */
const MOST_CLASSES = 30;
const LONG_NAME = 24;

/** Compares the models that `given` names. */
export async function probe(given: readonly string[], flags: ProbeFlags, terminal: Terminal): Promise<void> {
  const labels = await probeLabels(flags);
  for (const note of labels.notes) terminal.note(visibleText(note));
  const trunks: { readonly name: string; readonly trunk: TrunkArgument }[] = [];
  for (const name of given) {
    const trunk = await openTrunk(name, flags);
    for (const note of trunk.notes) terminal.note(visibleText(`${name}: ${note}`));
    trunks.push({ name: shortName(name, given), trunk });
  }
  const { signal, stop } = interruptSignal(terminal, "stopping");
  let bar: ReturnType<typeof predictProgress> | undefined;
  let compared: ComparedTrunk[];
  try {
    compared = await compareTrunks(
      trunks.map(({ name, trunk }) => ({ name, source: trunk.source, layer: trunk.layer })),
      labels,
      {
        ...runtimeOptions(flags),
        ...{ pooling: flags.pool, signal },
        onProgress: (place, done, total) => {
          bar ??= predictProgress(total * trunks.length, false, terminal);
          bar.update(place * total + done);
        },
      },
    );
  } finally {
    bar?.stop();
    stop();
  }
  const result = { labels, trunks: compared, what: trunks.map(({ trunk }) => trunk.what) };
  terminal.out(flags.json ? jsonText(result, flags) : tablesText(result, terminal));
}

/** A long path by its last part, where no other has the same. */
function shortName(name: string, given: readonly string[]): string {
  const last = basename(name);
  const isAlone = given.filter((other) => basename(other) === last).length === 1;
  return name.length > LONG_NAME && isAlone ? last : name;
}

/** The table, its path column found where nobody names it. */
async function probeLabels({ labels, columns, filepaths, imageRoot }: ProbeFlags): Promise<ProbeLabels> {
  const facts = await readTableFacts(labels, filepaths, false);
  return await readProbeLabels({
    file: resolve(labels),
    filepaths: facts.pathColumn ?? "",
    columns: columns?.split(",").map((name) => name.trim()),
    root: imageRoot === undefined ? undefined : resolve(imageRoot),
    folder: process.cwd(),
    ...facts.pathRule,
  });
}

interface Comparison {
  readonly labels: ProbeLabels;
  readonly trunks: readonly ComparedTrunk[];
  /** What each trunk is. */
  readonly what: readonly string[];
}

function jsonText({ labels, trunks, what }: Comparison, { pool }: ProbeFlags): string {
  const columns = labels.columns.map(({ name, classes }) => ({ column: name, classes }));
  const entries = trunks.map(({ name, width, columns: own }, i) => ({
    ...{ name, what: what[i], numbers: width },
    columns: own.map(({ report, ...column }) => ({
      ...column,
      ...{ majority: report.majority, majorityRecall: report.majorityRecall },
      ...(report.confusion ? { confusion: report.confusion } : { confusionPairs: report.confusionPairs }),
    })),
  }));
  const images = labels.rows.paths.length;
  return JSON.stringify({ labels: labels.source, images, pool, columns, trunks: entries }, null, 2);
}

function tablesText({ labels, trunks, what }: Comparison, terminal: Terminal): string {
  const { bold } = terminal.colours;
  const parts = [
    `${count(labels.rows.paths.length)} images; a third of them is held out, the same ones for all`,
    ...trunks.map(({ name, width }, i) =>
      visibleText(`${name}: ${what[i]}, ${count(width)} numbers an image`),
    ),
  ];
  for (const [place, column] of labels.columns.entries()) {
    const own = trunks.map(({ name, columns }) => ({ name, column: columns[place] }));
    parts.push(`\n${bold(visibleText(column.name))}`, figuresTable(own, terminal));
    parts.push(classTable(own, column.classes, terminal));
  }
  return parts.join("\n");
}

type Named = readonly { readonly name: string; readonly column: ComparedColumn | undefined }[];

function figuresTable(own: Named, terminal: Terminal): string {
  // One alone has nothing to be compared with.
  const isCompared = own.length > 1;
  const head = ["trunk", "held out", "accuracy", "95 %", "macro recall", "95 %"];
  const rows = own.map(({ name, column }) => {
    const end = column?.isConverged === false ? " (not at its optimum)" : "";
    return [
      `${name}${end}`,
      count(column?.heldOutRows ?? 0),
      ...intervalCells(column?.accuracy),
      ...intervalCells(column?.macroRecall),
      ...(isCompared ? [againstBest(column)] : []),
    ];
  });
  const report = own[0]?.column?.report;
  rows.push([
    "always the commonest",
    "",
    decimal(report?.majority),
    "",
    decimal(report?.majorityRecall),
    ...(isCompared ? ["", ""] : [""]),
  ]);
  const heads = isCompared ? [...head, "above the best in"] : head;
  return renderTable(
    terminal,
    heads,
    rows,
    heads.slice(1).map((_, i) => i + 1),
  );
}

/** Share of the resamples in which a trunk's macro recall is above the best one's. */
function againstBest(column: ComparedColumn | undefined): string {
  return column?.aboveBest === undefined ? "(the best)" : `${(100 * column.aboveBest).toFixed(1)} %`;
}

function intervalCells(interval: Interval | undefined): [string, string] {
  return [decimal(interval?.value), `${decimal(interval?.low)} to ${decimal(interval?.high)}`];
}

/** Recall of each class; of many classes those that the trunks differ in most. */
function classTable(own: Named, classes: readonly string[], terminal: Terminal): string {
  const recallsOf = (number: number): number[] =>
    own.map(({ column }) => column?.recalls[number] ?? Number.NaN);
  const known = classes.flatMap((name, number) => {
    const recalls = recallsOf(number);
    return recalls.every(Number.isNaN) ? [] : [{ name, number, recalls }];
  });
  const spread = ({ recalls }: (typeof known)[number]): number => Math.max(...recalls) - Math.min(...recalls);
  const shown = known
    .toSorted((a, b) => spread(b) - spread(a))
    .slice(0, MOST_CLASSES)
    .sort((a, b) => a.number - b.number);
  const heldOut = heldOutRowsOf(own);
  const head = ["class", "held out", ...own.map(({ name }) => `recall, ${name}`)];
  const rows = shown.map(({ name, number, recalls }) => [
    name,
    count(heldOut(number)),
    ...recalls.map((recall) => decimal(recall)),
  ]);
  const rest = known.length - shown.length;
  const end = rest > 0 ? `\nand ${rest} more classes, in which they differ less (--json has all)` : "";
  return `${renderTable(
    terminal,
    head,
    rows,
    head.slice(1).map((_, i) => i + 1),
  )}${end}`;
}

/** Held-out rows of a class, by the confusions of the first trunk. */
function heldOutRowsOf(own: Named): (number: number) => number {
  const report = own[0]?.column?.report;
  const rows = new Map<number, number>();
  const add = (number: number, more: number) => rows.set(number, (rows.get(number) ?? 0) + more);
  for (const [actual, line] of report?.confusion?.entries() ?? [])
    add(
      actual,
      line.reduce((sum, one) => sum + one, 0),
    );
  for (const [actual, , times] of report?.confusionPairs ?? []) add(actual, times);
  return (number) => rows.get(number) ?? 0;
}
