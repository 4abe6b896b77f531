// What `mttc labels` does: source -> labels by image -> tables, with a report of contradictions.
import { dirname, relative, resolve, sep } from "node:path";
import { MttcError } from "../compiler/diagnostics.ts";
import { visibleText } from "../compiler/visibleText.ts";
import { writeFileAtomically } from "../runtime/files/atomicDirectory.ts";
import { refuseForeignFile } from "../runtime/files/ownOutput.ts";
import type { LabelExport } from "../runtime/labelling/labelExport.ts";
import {
  type Contradiction,
  labelTableText,
  type MergedLabels,
  type MergedRow,
  mergeLabels,
  splitRows,
} from "../runtime/labelling/labelMerge.ts";
import { type ExportOptions, readExport } from "../runtime/labelling/readExport.ts";
import { locateImages } from "./imageSearch.ts";
import { shownPath } from "./pathText.ts";
import { count } from "./tables.ts";
import type { Terminal } from "./terminal.ts";

/** Contradictions that are listed; --json lists all. */
const MAX_LISTED = 20;
const MAX_CLASSES_SHOWN = 8;

/** Options of the command. */
export interface LabelsFlags {
  readonly output: string;
  readonly val?: string;
  readonly valShare: number;
  readonly images?: string;
  readonly filepaths?: string;
  readonly tasks?: string;
  readonly taskColumn?: string;
  readonly labelColumn?: string;
  readonly json?: boolean;
  readonly overwrite?: boolean;
}

/** Writes the label tables of `source`. */
export async function makeTables(source: string, flags: LabelsFlags, terminal: Terminal): Promise<void> {
  for (const file of [flags.output, flags.val])
    if (file !== undefined) await refuseForeignFile(file, undefined, flags.overwrite);
  const tasks = flags.tasks?.split(",").map((name) => name.trim());
  const found = await readExport(source, { ...columnsOf(flags), tasks });
  const folder = resolve(flags.images ?? dirname(source));
  const located = await locateImages(found.images, folder);
  const named = withFiles(found, located);
  const merged = mergeLabels(named, tasks);
  refuseNothing(merged, source);
  const parts =
    flags.val === undefined && named.splits.size === 0
      ? { train: merged.rows, val: [] }
      : splitRows(merged.rows, named.splits, flags.valShare);
  const notes = [...found.notes, ...oddities(merged, named, located, folder)];
  await writeTable(flags.output, merged.tasks, parts.train, located);
  if (flags.val !== undefined) await writeTable(flags.val, merged.tasks, parts.val, located);
  else if (parts.val.length > 0)
    notes.push(`${count(parts.val.length)} images of validation are left out: --val FILE`);
  const report = { form: found.form, images: merged.rows.length, merged, notes, parts };
  terminal.out(flags.json ? reportJson(report, flags) : reportText(report, flags));
  if (!flags.json) listOddities(report, terminal);
}

function columnsOf({ filepaths, taskColumn, labelColumn }: LabelsFlags): ExportOptions {
  return { filepaths, taskColumn, labelColumn };
}

/** The same labels, of images by their files where those were found. */
function withFiles(found: LabelExport, located: ReadonlyMap<string, string>): LabelExport {
  const fileOf = (image: string): string => located.get(image) ?? image;
  return {
    ...found,
    labels: found.labels.map((label) => ({ ...label, image: fileOf(label.image) })),
    images: new Set([...found.images].map(fileOf)),
    splits: new Map([...found.splits].map(([image, split]) => [fileOf(image), split])),
  };
}

function refuseNothing({ rows, contradictions, tasks }: MergedLabels, source: string): void {
  if (
    tasks.length > 0 &&
    (contradictions.length > 0 || rows.some(({ cells }) => cells.some(({ length }) => length > 0)))
  )
    return;
  throw new MttcError({
    code: "E_TASK_EMPTY",
    message: "the source has no label of any image",
    at: { file: source },
  });
}

function oddities(
  { tagTasks }: MergedLabels,
  { images }: LabelExport,
  located: ReadonlyMap<string, string>,
  folder: string,
): string[] {
  const files = new Set(located.values());
  const absent = [...images].filter((image) => !files.has(image));
  const tags =
    "several labels in a cell (a|b): as classes each set is one, with kind: tags in the spec each is a tag";
  return [
    ...(absent.length === 0
      ? []
      : [
          `${count(absent.length)} of ${count(images.size)} images are not found below ${folder}, such as ${absent[0]}; ` +
            "--images names another folder, path_prefix in the spec completes paths",
        ]),
    ...tagTasks.map((task) => `${task}: ${tags}`),
  ];
}

/** What was found is relative to the table; what was not stays as the source has it. */
async function writeTable(
  file: string,
  tasks: readonly string[],
  rows: readonly MergedRow[],
  located: ReadonlyMap<string, string>,
): Promise<void> {
  const files = new Set(located.values());
  const pathOf = (image: string): string =>
    files.has(image) ? relative(dirname(resolve(file)), image).replaceAll(sep, "/") : image;
  await writeFileAtomically(resolve(file), labelTableText(tasks, rows, pathOf));
}

interface Report {
  readonly form: string;
  readonly images: number;
  readonly merged: MergedLabels;
  readonly notes: readonly string[];
  readonly parts: { readonly train: readonly MergedRow[]; readonly val: readonly MergedRow[] };
}

function reportText({ form, images, merged, parts }: Report, flags: LabelsFlags): string {
  const lines = merged.tasks.map((task, index) => `  ${task}: ${taskText(merged.rows, index)}`);
  const written = [
    `Written to ${shownPath(resolve(flags.output))}: ${count(parts.train.length)} rows`,
    ...(flags.val === undefined
      ? []
      : [`Written to ${shownPath(resolve(flags.val))}: ${count(parts.val.length)} rows`]),
  ];
  const val = flags.val === undefined ? "" : ` --val ${shownPath(resolve(flags.val))}`;
  const next = `Next: mttc init ${shownPath(resolve(flags.output))}${val}`;
  return [`${form}: ${count(images)} images`, ...lines, ...written, next].map(visibleText).join("\n");
}

/** "12 labelled, 3 classes: fox 5, cat 4, owl 3". */
function taskText(rows: readonly MergedRow[], index: number): string {
  const counts = new Map<string, number>();
  for (const { cells } of rows)
    for (const name of cells[index] ?? []) counts.set(name, (counts.get(name) ?? 0) + 1);
  const labelled = rows.filter(({ cells }) => (cells[index]?.length ?? 0) > 0).length;
  const sorted = [...counts].sort(([, a], [, b]) => b - a);
  const shown = sorted.slice(0, MAX_CLASSES_SHOWN).map(([name, rows]) => `${name} ${rows}`);
  const rest = sorted.length - shown.length;
  return `${count(labelled)} labelled, ${sorted.length} classes: ${shown.join(", ")}${rest > 0 ? ` and ${rest} more` : ""}`;
}

function listOddities({ merged, notes }: Report, terminal: Terminal): void {
  for (const note of notes) terminal.note(visibleText(note));
  const { contradictions } = merged;
  if (contradictions.length === 0) return;
  terminal.note(`${count(contradictions.length)} contradictions, whose cells are left empty:`);
  for (const one of contradictions.slice(0, MAX_LISTED))
    terminal.note(visibleText(`  ${contradictionText(one)}`));
  const rest = contradictions.length - MAX_LISTED;
  if (rest > 0) terminal.note(`  and ${count(rest)} more (--json lists all)`);
}

function contradictionText({ image, task, labels }: Contradiction): string {
  const texts = labels.map(({ names, place }) => `${names.join("|")} (${place})`);
  return `${shownPath(image)}: ${task}: ${texts.join(" or ")}`;
}

function reportJson({ form, images, merged, notes, parts }: Report, flags: LabelsFlags): string {
  const { tasks, contradictions } = merged;
  const written = { train: resolve(flags.output), val: flags.val === undefined ? null : resolve(flags.val) };
  const rows = { train: parts.train.length, val: parts.val.length };
  return JSON.stringify({ form, images, tasks, rows, written, contradictions, notes }, null, 2);
}
