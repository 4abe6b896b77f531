// The text of the spec that `mttc init` writes: what the table says, sensible defaults, and comments to
// choose by.
import { stringify } from "yaml";
import { visibleText } from "../compiler/visibleText.ts";
import type { TableFacts, TaskColumn } from "./labelColumns.ts";

/** What a draft needs besides the table. */
export interface DraftOptions {
  /** Paths relative to the spec's folder. */
  readonly trainLabels: string;
  readonly valLabels: string | undefined;
  /** Name of the run's folder. */
  readonly name: string;
  /** Folder of the images where it has to be named, relative to the spec's if it can be. */
  readonly imageRoot: string | undefined;
  /** Median [height, width] of the images, if any could be read. */
  readonly imageSize: readonly [number, number] | undefined;
}

const MAX_SIDE = 128;
const MIN_SIDE = 16;
const FALLBACK_SIDE = 64;
const WIDTHS = [16, 32, 64, 128];
const SHOWN_CLASSES = 6;
/** So many classes that are all numbers may be measured. */
const MANY_NUMBERS = 12;
const MAX_BATCH = 32;

/** The text of a spec, valid YAML. */
export function draftSpec(facts: TableFacts, options: DraftOptions): string {
  const { imageSize, valLabels } = options;
  const sides = (imageSize ?? [FALLBACK_SIDE, FALLBACK_SIDE]).map(networkSide);
  const several = facts.tasks.length > 1;
  return `${[
    "# An experiment of mttc. Paths are relative to this file's folder. All keys: mttc schema --markdown",
    "",
    "# --- Data",
    `train_labels: ${scalar(options.trainLabels)}  # ${facts.rows} rows`,
    valLabels === undefined
      ? "# split: {val: 0.2}  # rows held out to validate on (or val_labels: val.csv); without, only training figures are shown"
      : `val_labels: ${scalar(valLabels)}`,
    ...(facts.pathColumn === undefined
      ? ["tasks:  # the folders' names are the classes of one task; call it what you like"]
      : [
          `filepaths: ${scalar(facts.pathColumn)}  # the column of image paths`,
          ...pathLines(facts, options),
          "tasks:  # one column, or group of columns, and one head each; empty cells are missing labels and cost nothing",
        ]),
    ...facts.tasks.map((task) => `  - ${entryText(task)}  # ${describeTask(task, facts.rows)}`),
    ...(facts.others.length > 0 ? ["# Columns left out:"] : []),
    ...facts.others.map(({ name, reason }) => comment(`  ${name}: ${reason}`)),
    `imshape: [${sides.join(", ")}]  # height and width that images are resized to${sizeNote(imageSize)}`,
    "balance_probs: true  # draw images so that tasks with few labels are seen as often as others",
    "",
    "# --- Network: a number is a convolution with so many filters, p pooling, d dropout, r a residual block",
    "fcn:",
    `  layers: [${trunkLayers(Math.min(...sides)).join(", ")}]  # the feature extractor, shared by all tasks`,
    "train_fcn: true  # false freezes it",
    "shared_layers: [64]  # between the feature extractor and the heads",
    "task_layers: [64]  # of each head, before global pooling and the dense layer",
    "",
    "# --- Training",
    several
      ? "task_weights: adaptive  # learned (Kendall et al.); null: 1 each; or a list of fixed weights"
      : "task_weights: null  # 1 each",
    `batch_size: ${Math.min(MAX_BATCH, facts.rows)}`,
    "epochs: 10",
    "optimizer: adam",
    "lr: 0.001",
    "seed: 0  # the same seed gives the same weights, bit for bit",
    `logdir: ${scalar(`runs/${options.name}`)}  # log and checkpoints`,
  ].join("\n")}\n`;
}

/** What makes the cells of the path column the paths of images that were found, and allows those. */
function pathLines({ pathRule }: TableFacts, { imageRoot }: DraftOptions): string[] {
  const { path_prefix: prefix, path_suffix: suffix } = pathRule ?? {};
  const entries = typeof prefix === "string" ? [] : Object.entries(prefix ?? {});
  const map = entries.map(([from, to]) => `${scalar(from, true)}: ${scalar(to, true)}`).join(", ");
  return [
    ...(typeof prefix === "string" ? [`path_prefix: ${scalar(prefix)}  # before every path`] : []),
    ...(map === "" ? [] : [`path_prefix: {${map}}  # what paths begin with is replaced`]),
    ...(suffix ? [`path_suffix: ${scalar(suffix)}  # behind every path that does not end so`] : []),
    ...(imageRoot === undefined
      ? []
      : [`image_root: ${scalar(imageRoot)}  # images lie outside of the table's and this file's folders`]),
  ];
}

/** A multiple of 8 between 16 and 128 near the images' own side. */
function networkSide(side: number): number {
  return Math.min(MAX_SIDE, Math.max(MIN_SIDE, 8 * Math.round(side / 8)));
}

/** Convolution and pooling in turn, until about 4 pixels are left. */
function trunkLayers(side: number): (number | string)[] {
  const pools = Math.min(WIDTHS.length, Math.floor(Math.log2(side / 4)));
  return WIDTHS.slice(0, pools).flatMap((width) => [width, "p"]);
}

function sizeNote(imageSize: DraftOptions["imageSize"]): string {
  if (!imageSize) return " (a guess: no image could be read)";
  return `; the images are about ${imageSize[0]} x ${imageSize[1]}`;
}

function entryText({ name, kind, columns = [] }: TaskColumn): string {
  if (!kind) return scalar(name);
  const names = columns.map((column) => scalar(column, true)).join(", ");
  const more = names === "" ? "" : `, columns: [${names}]`;
  return `{name: ${scalar(name, true)}, kind: ${kind.name}${more}}`;
}

function describeTask({ labelled, classes, kind, columns }: TaskColumn, rows: number): string {
  if (kind && columns) return visibleText(`up to ${labelled} of ${rows} rows, ${kind.holds}`);
  if (kind) return visibleText(`${labelled} of ${rows} rows, ${kind.holds}`);
  const shown = classes.slice(0, SHOWN_CLASSES).map((entry) => `${entry.name} ${entry.rows}`);
  const more = classes.length > SHOWN_CLASSES ? `, and ${classes.length - SHOWN_CLASSES} more` : "";
  const areNumbers =
    classes.length >= MANY_NUMBERS && classes.every(({ name }) => Number.isFinite(Number(name)));
  const otherwise = areNumbers ? "; if they are measured: {kind: number}, several with columns: [...]" : "";
  return visibleText(
    `${labelled} of ${rows} rows, ${classes.length} classes: ${shown.join(", ")}${more}${otherwise}`,
  );
}

function comment(text: string): string {
  return `# ${visibleText(text)}`;
}

/** A string as a YAML scalar on one line. */
function scalar(text: string, isQuoted = false): string {
  return stringify(text, {
    lineWidth: 0,
    defaultStringType: isQuoted || visibleText(text) !== text ? "QUOTE_DOUBLE" : "PLAIN",
  }).trim();
}
