// Labels of a source -> rows of one image each, and tables of them. Labels of one image and task that differ
// are a contradiction: the cell stays empty and they are listed. Those that add up share a cell.
import { createHash } from "node:crypto";
import { csvCell, csvName } from "../tables/csvText.ts";
import type { LabelExport, SourceLabel, Split } from "./labelExport.ts";

/** What stands between several labels of a cell. */
const BETWEEN = "|";

/** An image with its labels, in the order of the tasks. */
export interface MergedRow {
  readonly image: string;
  readonly cells: readonly (readonly string[])[];
}

/** Labels of one image and task that differ. */
export interface Contradiction {
  readonly image: string;
  readonly task: string;
  /** Each with its place in the source. */
  readonly labels: readonly { readonly names: readonly string[]; readonly place: string }[];
}

export interface MergedLabels {
  readonly tasks: readonly string[];
  readonly rows: readonly MergedRow[];
  readonly contradictions: readonly Contradiction[];
  /** Tasks with several labels in a cell: tags. */
  readonly tagTasks: readonly string[];
}

/** Rows of all images of a source; `tasks` limits the tasks. */
export function mergeLabels({ labels, images }: LabelExport, tasks?: readonly string[]): MergedLabels {
  const names = tasks ?? [...new Set(labels.map(({ task }) => task))];
  const byImage = new Map<string, Map<string, SourceLabel[]>>();
  for (const image of images) byImage.set(image, new Map());
  for (const label of labels) {
    const ofImage = byImage.get(label.image) ?? new Map<string, SourceLabel[]>();
    byImage.set(label.image, ofImage);
    ofImage.set(label.task, [...(ofImage.get(label.task) ?? []), label]);
  }
  const contradictions: Contradiction[] = [];
  const rows = Array.from(byImage, ([image, ofImage]) => ({
    image,
    cells: names.map((task) => {
      const found = ofImage.get(task) ?? [];
      const sets = found.every(({ adds }) => adds)
        ? [found.flatMap((label) => label.names)]
        : found.map((label) => label.names);
      const keys = new Map(
        sets.map((set) => [JSON.stringify([...new Set(set)].sort()), [...new Set(set)].sort()]),
      );
      if (keys.size <= 1) return [...keys.values()][0] ?? [];
      contradictions.push({ image, task, labels: found });
      return [];
    }),
  }));
  const tagTasks = names.filter((_, index) => rows.some(({ cells }) => (cells[index]?.length ?? 0) > 1));
  return { tasks: names, rows, contradictions, tagTasks };
}

/** A CSV of rows; `pathOf` says how an image is written. */
export function labelTableText(
  tasks: readonly string[],
  rows: readonly MergedRow[],
  pathOf: (image: string) => string,
): string {
  const head = ["filepath", ...tasks].map(csvName);
  const lines = rows.map(({ image, cells }) => [
    csvCell(pathOf(image)),
    ...cells.map((names) => csvCell(names.join(BETWEEN))),
  ]);
  return [head, ...lines].map((cells) => `${cells.join(",")}\n`).join("");
}

/**
 * The rows for training and for validation: as the source has them, else about `share` of the images, chosen by
 * the hash of their names, so that no class loses its last row of training to it.
 */
export function splitRows(
  rows: readonly MergedRow[],
  splits: ReadonlyMap<string, Split>,
  share: number,
): Readonly<Record<Split, MergedRow[]>> {
  const isVal =
    splits.size > 0 ? (row: MergedRow) => splits.get(row.image) === "val" : chosenByHash(rows, share);
  return { train: rows.filter((row) => !isVal(row)), val: rows.filter(isVal) };
}

function chosenByHash(rows: readonly MergedRow[], share: number): (row: MergedRow) => boolean {
  const left = new Map<string, number>();
  const keysOf = ({ cells }: MergedRow): string[] =>
    cells.flatMap((names, task) => names.map((name) => `${task} ${name}`));
  for (const key of rows.flatMap(keysOf)) left.set(key, (left.get(key) ?? 0) + 1);
  const hashOf = ({ image }: MergedRow): string => createHash("sha256").update(image).digest("hex");
  const order = rows.map((row) => ({ row, hash: hashOf(row) })).sort((a, b) => (a.hash < b.hash ? -1 : 1));
  const wanted = Math.round(share * rows.length);
  const chosen = new Set<MergedRow>();
  for (const { row } of order) {
    if (chosen.size >= wanted) break;
    const keys = keysOf(row);
    if (keys.length === 0 || keys.some((key) => (left.get(key) ?? 0) < 2)) continue;
    for (const key of keys) left.set(key, (left.get(key) ?? 0) - 1);
    chosen.add(row);
  }
  return (row) => chosen.has(row);
}
