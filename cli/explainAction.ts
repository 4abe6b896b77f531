// What `mttc explain` does: a run or an exported file, and images -> a sheet of heat maps.
import { stat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { tasksOf } from "../compiler/bundle/manifestTasks.ts";
import { MttcError } from "../compiler/diagnostics.ts";
import type { HeatmapWish } from "../compiler/export/heatmaps.ts";
import { visibleText } from "../compiler/visibleText.ts";
import { PNG_MARK } from "../runtime/drawing/pngMark.ts";
import { explainRun } from "../runtime/export/explainRun.ts";
import { drawExplainSheet, explainLine, type SheetLine } from "../runtime/export/explainSheet.ts";
import { LIST_FILE } from "../runtime/export/exportedModel.ts";
import { type ImageFault, Predictor } from "../runtime/export/predictor.ts";
import { writeFileAtomically } from "../runtime/files/atomicDirectory.ts";
import { refuseForeignFile } from "../runtime/files/ownOutput.ts";
import { TrainedRun } from "../runtime/infer/trainedRun.ts";
import { choiceText } from "../runtime/runs/checkpointChoice.ts";
import { evenlySpread } from "../runtime/tables/rowOrder.ts";
import { readOptions } from "./checkpointFlag.ts";
import { imageArguments } from "./imageArguments.ts";
import { interruptSignal } from "./interruptSignal.ts";
import { shownPath } from "./pathText.ts";
import { predictProgress } from "./predictProgress.ts";
import { type CheckpointFlags, type RuntimeFlags, runtimeOptions } from "./runtimeOptions.ts";
import { runFolderOf } from "./specFile.ts";
import { count } from "./tables.ts";
import type { Terminal } from "./terminal.ts";

/** Options of the command, with its defaults. */
export interface ExplainFlags extends RuntimeFlags, CheckpointFlags {
  readonly output: string;
  readonly task?: readonly string[];
  readonly class?: string;
  readonly layer?: string;
  readonly images: number;
  readonly filepaths: string;
  readonly overwrite?: boolean;
}

/** A sheet is one picture, drawn in memory. */
const MOST_IMAGES = 200;

/** Explains what `path` answers on the images that `args` name, and writes the sheet. */
export async function explain(
  path: string,
  args: readonly string[],
  flags: ExplainFlags,
  terminal: Terminal,
): Promise<void> {
  await refuseForeignFile(flags.output, PNG_MARK, flags.overwrite);
  if (flags.images > MOST_IMAGES)
    throw new MttcError({
      code: "E_USAGE",
      message: `--images is ${flags.images}, a sheet holds ${MOST_IMAGES} at most`,
    });
  const { images, notes } = await imageArguments(args, flags.filepaths);
  const chosen = Array.from(evenlySpread(flags.images, images.length), (place) => images[place]);
  const shown = chosen.filter((image) => image !== undefined);
  await using opened = await openModel(path, flags, terminal);
  const { predictor, classes } = opened;
  for (const note of notes) terminal.note(visibleText(note));
  if (shown.length < images.length)
    terminal.note(`${shown.length} of ${count(images.length)} images, evenly chosen (--images)`);
  const { lines, faults } = await drawLines(predictor, shown, { flags, classes, terminal });
  if (lines.length > 0) {
    const png = await drawExplainSheet(titleOf(path, predictor), lines);
    await writeFileAtomically(flags.output, png);
    terminal.note(
      `heat maps of ${count(lines.length)} images written to ${shownPath(resolve(flags.output))}`,
    );
  }
  if (faults.length === 0) return;
  const message = `${faults.length} of ${shown.length} images could not be read: they are not in the sheet`;
  const listed = faults.flatMap(({ error }) => error.faults);
  throw new MttcError([...listed, { code: listed[0]?.code ?? "E_FILE", message }]);
}

interface OpenedModel extends AsyncDisposable {
  readonly predictor: Predictor;
  readonly classes: ReadonlyMap<string, string>;
}

/** The model behind a path: an exported file as it is, or that of a run with the maps that are asked for. */
async function openModel(path: string, flags: ExplainFlags, terminal: Terminal): Promise<OpenedModel> {
  const runtime = runtimeOptions(flags);
  if (await isExport(path)) {
    refuseOfExport(flags);
    const predictor = await Predictor.open(path, runtime);
    return { predictor, classes: new Map(), [Symbol.asyncDispose]: () => predictor.close() };
  }
  await using run = await TrainedRun.open(await runFolderOf(path), runtime, readOptions(flags));
  terminal.note(`the model of ${choiceText(run.checkpoint.choice)}`);
  for (const warning of run.warnings) terminal.note(visibleText(warning));
  const names = tasksOf(await run.manifest()).map(({ name }) => name);
  const classes = wantedClasses(flags, names);
  const wish: HeatmapWish = { classes, layer: flags.layer };
  const predictor = await explainRun(run, wish, runtime);
  return { predictor, classes, [Symbol.asyncDispose]: () => predictor.close() };
}

/** Whether a path is an exported file, or the folder of an export; a run is taken as the run. */
async function isExport(path: string): Promise<boolean> {
  if (path.endsWith(".onnx")) return true;
  const list = await stat(join(path, LIST_FILE)).catch(() => undefined);
  return list?.isFile() ?? false;
}

function refuseOfExport({ class: name, layer, checkpoint }: ExplainFlags): void {
  const flags = { "--class": name, "--layer": layer, "--checkpoint": checkpoint };
  const given = Object.entries(flags).find(([, value]) => value !== undefined)?.[0];
  if (given === undefined) return;
  throw new MttcError({
    code: "E_USAGE",
    message: `${given} is of a run: what an exported file explains is in its graph`,
    hint: "mttc explain RUN IMAGES...",
  });
}

/** The class that is asked for, by its task. E_USAGE where it is not said which. */
function wantedClasses(
  { class: name, task = [] }: ExplainFlags,
  names: readonly string[],
): ReadonlyMap<string, string> {
  if (name === undefined) return new Map();
  const [only, other] = task.length > 0 ? task : names;
  if (only !== undefined && other === undefined) return new Map([[only, name]]);
  throw new MttcError({
    code: "E_USAGE",
    message: "--class is of one task, and there are several",
    hint: `name it: --task ${names[0] ?? "TASK"} --class ${name}`,
  });
}

async function drawLines(
  predictor: Predictor,
  images: Parameters<Predictor["explain"]>[0],
  {
    flags,
    classes,
    terminal,
  }: {
    readonly flags: ExplainFlags;
    readonly classes: ReadonlyMap<string, string>;
    readonly terminal: Terminal;
  },
): Promise<{ lines: SheetLine[]; faults: ImageFault[] }> {
  const progress = predictProgress(images.length, true, terminal);
  const { signal, stop } = interruptSignal(terminal, "stopping; nothing is written");
  const [lines, faults]: [SheetLine[], ImageFault[]] = [[], []];
  const { preprocessing } = predictor.metadata;
  const model = { tasks: predictor.tasks, preprocessing, classes };
  const options = { tasks: flags.task, signal, onFault: (fault: ImageFault) => void faults.push(fault) };
  try {
    for await (const explanation of predictor.explain(images, options)) {
      lines.push(await explainLine(explanation, model));
      progress.update(lines.length + faults.length);
    }
  } finally {
    progress.stop();
    stop();
  }
  return { lines, faults };
}

function titleOf(path: string, { metadata }: Predictor): string {
  const layer = metadata.tasks.find(({ heatmap }) => heatmap)?.heatmap?.layer ?? "";
  return `${basename(resolve(path))}: where the answers come from, at ${layer}`;
}
