// The demo's steps: OpenMoji -> label tables -> training by examples/two-heads/spec.yml -> exported files,
// compared with the trainer -> predictions on held-out images, as a table and as a sheet of pictures. Writes
// below <root>/demo only. Reads best from runDemo down.
import { mkdir, readdir, readFile } from "node:fs/promises";
import { dirname, join, relative, resolve } from "node:path";
import { SingleBar } from "cli-progress";
import { tasksOf } from "../../compiler/bundle/manifestTasks.ts";
import { InternalError } from "../../compiler/diagnostics.ts";
import { parseSpec } from "../../compiler/spec/parseSpec.ts";
import { RUN_SHEET } from "../../runtime/augment/runSheet.ts";
import { type ExportReport, exportRun } from "../../runtime/export/exportRun.ts";
import { Predictor } from "../../runtime/export/predictor.ts";
import type { EvaluationRows } from "../../runtime/infer/evaluationLabels.ts";
import type { EvaluationReport } from "../../runtime/infer/evaluationReport.ts";
import { TrainedRun } from "../../runtime/infer/trainedRun.ts";
import { labelsByTask } from "../../runtime/labels/classes.ts";
import { classOf, type TaskLabels } from "../../runtime/labels/taskLabels.ts";
import { writeReport } from "../../runtime/report/runReport.ts";
import { choiceText } from "../../runtime/runs/checkpointChoice.ts";
import { type Experiment, experimentFromSpec } from "../../runtime/train/experiment.ts";
import { MultiTaskTrainer } from "../../runtime/train/multiTaskTrainer.ts";
import {
  type AnsweredImage,
  epochHeader,
  epochLine,
  exportLines,
  goalsMissed,
  predictionTable,
  resultTable,
} from "./demoReport.ts";
import { drawPredictionSheet, SHEET_IMAGES } from "./predictionSheet.ts";
import { prepareOpenmoji } from "./rasterise.ts";

/** Rows of the printed table of predictions. */
const TABLE_IMAGES = 8;

export interface DemoOptions {
  /** The repository: examples/two-heads/spec.yml is read from here, demo/ is written here. */
  readonly root: string;
  /** Use only so many emojis, spread over all of them; the goals are then not asked for. */
  readonly limit?: number | undefined;
  /** Instead of the spec's; the goals are then not asked for. */
  readonly epochs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Receives the report, line by line; progress goes to stderr, where that is a terminal. */
  readonly print: (text: string) => void;
}

export interface DemoResult {
  /** The folder of this run. */
  readonly directory: string;
  readonly evaluation: EvaluationReport;
  readonly exported: ExportReport;
  readonly answers: readonly AnsweredImage[];
  /** The picture of predictions; the same as SVG lies beside it. */
  readonly sheet: string;
  /** The page of the run. */
  readonly report: string;
  /** One sentence per goal that was missed; empty where goals are not asked for. */
  readonly missed: readonly string[];
}

/** Runs the demo in a fresh folder demo/runs/<n>. Throws what data, training and export throw. */
export async function runDemo(options: DemoOptions): Promise<DemoResult> {
  const { root, print, signal } = options;
  const specFile = join(root, "examples", "two-heads", "spec.yml");
  const spec = parseSpec(await readFile(specFile, "utf8"), specFile);
  const directory = await freshDirectory(join(root, "demo", "runs"));
  const experiment = experimentFromSpec({ ...spec, logdir: directory }, specFile);
  const show = (path: string): string => relative(process.cwd(), path) || ".";

  print(`1/4  Data: OpenMoji (openmoji.org, CC BY-SA 4.0), drawn at ${spec.imshape.join("x")} pixels`);
  print(await prepareData(experiment, options));

  print(`\n2/4  Training ${show(specFile)} on the CPU; accuracy on the held-out images after each epoch`);
  await train(experiment, options);
  await using run = await TrainedRun.open(directory);
  const held = await run.labels();
  const evaluation = await run.evaluate(held);
  print(`\nExported are the weights of ${choiceText(run.checkpoint.choice)}:\n${resultTable(evaluation)}`);

  print("\n3/4  Export: every file is opened anew, run on real images and compared with the trainer");
  const exported = await exportRun(run);
  for (const line of exportLines(exported)) print(line);

  print("\n4/4  Predictions of the exported model on images that it was not trained on");
  const answers = await predictHeldOut(run, held, exported);
  print(predictionTable(answers.slice(0, TABLE_IMAGES)));
  const sheet = await drawPredictionSheet(directory, answers, signal);
  const { path: report } = await writeReport(directory, signal === undefined ? {} : { signal });

  const isWhole = options.limit === undefined && options.epochs === undefined;
  const missed = isWhole ? goalsMissed(evaluation) : [];
  print(
    `\n${whereThingsLie({ data: dirname(dataTables(experiment).train), directory, sheet, exported, report }, show)}`,
  );
  for (const sentence of missed) print(`\nMISSED: ${sentence}`);
  return { directory, evaluation, exported, answers, sheet, report, missed };
}

/** The first of demo/runs/1, 2, ... that does not exist; made here. */
async function freshDirectory(parent: string): Promise<string> {
  await mkdir(parent, { recursive: true });
  const numbers = (await readdir(parent)).map(Number).filter(Number.isInteger);
  const directory = join(parent, String(Math.max(0, ...numbers) + 1));
  await mkdir(directory);
  return directory;
}

/** Where the spec expects its label tables. */
function dataTables({ spec, baseDirectory }: Experiment): { train: string; val: string } {
  const { train_labels: train, val_labels: val } = spec;
  if (train === null || val === null) throw new InternalError("the demo's spec names no label tables");
  return { train: resolve(baseDirectory, train), val: resolve(baseDirectory, val) };
}

/** Draws the images, or finds them drawn; returns a sentence about them. */
async function prepareData(experiment: Experiment, { limit, signal }: DemoOptions): Promise<string> {
  const tables = dataTables(experiment);
  const bar = new SingleBar({ format: "     drawing {bar} {value}/{total}", clearOnComplete: true });
  const prepared = await prepareOpenmoji(dirname(tables.train), {
    size: experiment.spec.imshape[0],
    ...(limit === undefined ? {} : { limit }),
    ...(signal === undefined ? {} : { signal }),
    onProgress: (done, total) => (bar.isActive ? bar.update(done) : bar.start(total, done)),
  }).finally(() => bar.stop());
  if (prepared.trainLabels !== tables.train || prepared.valLabels !== tables.val)
    throw new InternalError("the demo's spec names other label tables than the demo makes");
  const { trainCount, valCount, reused } = prepared;
  const found = reused ? " (drawn by an earlier run)" : "";
  return `     ${trainCount} images to train on, ${valCount} held out; no glyph is in both${found}`;
}

async function train(
  experiment: Experiment,
  { print, signal, epochs = experiment.spec.epochs }: DemoOptions,
): Promise<void> {
  await using trainer = new MultiTaskTrainer(experiment);
  const format = "     epoch {epoch} {bar} {value}/{total} steps, {rate} images/s";
  const bar = new SingleBar({ format, clearOnComplete: true });
  trainer.on("log", ({ message }) => print(`     ${message}`));
  trainer.on("step", ({ epoch, step, steps, imagesPerSecond }) => {
    const shown = { epoch, rate: Math.round(imagesPerSecond) };
    if (bar.isActive) bar.update(step, shown);
    else bar.start(steps, step, shown);
  });
  trainer.on("epoch", (report) => {
    bar.stop();
    if (report.epoch === 1) print(epochHeader(trainer.spec.tasks));
    print(epochLine(report));
  });
  await trainer.fit(epochs, signal === undefined ? {} : { signal }).finally(() => bar.stop());
}

/** What the exported whole model answers for held-out images, evenly spread, beside their labels. */
async function predictHeldOut(
  run: TrainedRun,
  { rows: held }: EvaluationRows,
  exported: ExportReport,
): Promise<AnsweredImage[]> {
  const { paths } = held;
  const labels = labelsByTask(held);
  const tasks = tasksOf(await run.manifest());
  const count = Math.min(SHEET_IMAGES, paths.length);
  const rows = Array.from({ length: count }, (_, i) => Math.floor((i * paths.length) / count));
  const whole = exported.files.find(({ kind }) => kind === "model");
  if (!whole) throw new InternalError("the export has no whole model");
  await using model = await Predictor.open(join(exported.directory, whole.file));
  const predictions = new Map<string, string>();
  const file = (row: number): string => paths.at(row) ?? "";
  for await (const answer of model.predict(rows.map(file)))
    predictions.set(`${answer.task}\n${answer.file}`, String(answer.class));
  return rows.map((row) => ({
    path: file(row),
    answers: tasks.map(({ name, numbers: classes }) => ({
      task: name,
      predicted: predictions.get(`${name}\n${file(row)}`) ?? "",
      label: classNameOf(classes, labels.get(name), row),
    })),
  }));
}

function classNameOf(classes: readonly string[], labels: TaskLabels | undefined, row: number) {
  const label = labels && classOf(labels, row);
  return label === undefined ? undefined : classes[label];
}

function whereThingsLie(
  {
    data,
    directory,
    sheet,
    exported,
    report,
  }: { data: string; directory: string; sheet: string; exported: ExportReport; report: string },
  show: (path: string) => string,
): string {
  const run = show(directory);
  const head = exported.files.find(({ kind }) => kind === "task")?.file ?? "";
  const file = show(join(exported.directory, head));
  return `Everything lies in ${show(join(directory, "..", ".."))}/:
  ${show(data)}/  images and label tables (train.csv, val.csv)
  ${run}/  this run: spec.yml, log.jsonl, checkpoints/, bundle/ (the compiled graphs)
  ${show(join(directory, RUN_SHEET))}  training images beside what the augmentation makes of them
  ${show(exported.directory)}/  ONNX files that any ONNX Runtime runs: uint8 images in, probabilities out
  ${show(report)}  everything about this run on one page: open it in a browser
  ${show(sheet)}  held-out images with predictions (with .svg it opens in a browser)
Next:
  npx mttc predict ${file} ${show(join(data, "images"))}/1F60*.png
  npx mttc inspect examples/two-heads/spec.yml
  npx mttc init YOUR_LABELS.csv -o spec.yml    and then: npx mttc train spec.yml`;
}
