// Running evaluate.onnx over rows of a label table, over image files or over images in memory: fixed batches,
// the last one padded. What runs it is a training session or a run that is only read.

import { type EntryOf, type GraphEntry, type Manifest, withRole } from "../../compiler/bundle/manifest.ts";
import { tasksOf } from "../../compiler/bundle/manifestTasks.ts";
import { InternalError } from "../../compiler/diagnostics.ts";
import type { Task } from "../../compiler/tasks/task.ts";
import type { FeatureBatch, FeatureBatches } from "../batches/featureBatches.ts";
import { type BatchShare, type ImageStreams, WHOLE_BATCH } from "../batches/imageStreams.ts";
import { type Batch, evaluationBatches } from "../batches/loader.ts";
import { type ImageReader, imageBytes } from "../images/images.ts";
import { type LabelledRows, labelsByTask } from "../labels/classes.ts";
import { gatherLabels } from "../labels/taskLabels.ts";
import type { ImageRows } from "../tables/imageRows.ts";
import { NO_ROW } from "../tables/rowOrder.ts";
import type { EvaluationReport } from "./evaluationReport.ts";

/** What a batch shows the network: bytes of [batch,H,W,C] numbers, or features computed of them once. */
type Shown = Pick<Batch, "images"> | Pick<FeatureBatch, "features">;

/** What is read of a task: what its evaluation takes, or what its exports give. */
export type WantedOutput = "scored" | "served";

/** The outputs of an evaluate graph that hold it, in the order of the tasks. */
export function wantedOutputs(
  { outputs }: Pick<GraphEntry, "outputs">,
  tasks: readonly Task[],
  wanted: WantedOutput,
): readonly EntryOf<"prediction">[] {
  const predictions = withRole(outputs, "prediction");
  return tasks.map(({ name, scored, served }) => {
    const prediction = wanted === "scored" ? scored : served.name;
    const found = predictions.find((each) => each.task === name && each.prediction === prediction);
    if (!found) throw new InternalError(`the evaluation gives no ${prediction} of ${name}`);
    return found;
  });
}

/** A model at work: images in batches of the manifest's size -> outputs of tasks. */
export interface Scoring {
  readonly manifest: Pick<Manifest, "batchSize" | "tasks">;
  readonly device: {
    /**
     * What is wanted of each task, float32 [batch, width], of one batch. The buffer behind it is transferred
     * and comes back.
     */
    evaluate(
      input: Shown,
      wanted: WantedOutput,
    ): Promise<{ outputs: ReadonlyMap<string, Float32Array>; inputBuffer: ArrayBuffer | undefined }>;
  };
  readonly reader: ImageReader | ImageStreams;
  /** Images decoded at the same time; -1 chooses by the machine. */
  readonly parallel: number;
  /** What is read in place of images, where there is something. */
  readonly features?:
    | { evaluation(rows: ImageRows, batchSize: number): FeatureBatches | undefined }
    | undefined;
  /** Other processes with the same weights, which evaluate some of the batches. */
  readonly peers?:
    | { evaluation(rows: ImageRows, wanted: WantedOutput): PeerEvaluation | undefined }
    | undefined;
}

/** The batches of a table, dealt out between this process and others: whole ones, in turn. */
export interface PeerEvaluation extends AsyncDisposable {
  /** Those that this process has. */
  readonly share: BatchShare;
  /**
   * Has the others evaluate their next batches. What it returns is called once this process's own one is
   * done: what those gave, in order; undefined where there is none left.
   */
  turn(): () => Promise<readonly (ReadonlyMap<string, Float32Array> | undefined)[]>;
}

/** Takes the outputs of one batch in. */
type Take = (batch: Pick<Batch, "rows" | "filled">, outputs: ReadonlyMap<string, Float32Array>) => void;

/**
 * Evaluates the model as it is now on the labelled rows, in the tasks that they have; stops early, with what
 * is done, when `signal` aborts.
 */
export async function evaluateRows(
  scoring: Scoring,
  rows: LabelledRows,
  signal?: AbortSignal,
): Promise<EvaluationReport> {
  const columns = labelsByTask(rows);
  const tasks = tasksOf(scoring.manifest).filter(({ name }) => columns.has(name));
  const evaluations = new Map(tasks.map((task) => [task.name, task.evaluation()]));
  const take: Take = (batch, outputs) => {
    const shown = batch.rows.subarray(0, batch.filled);
    for (const [name, labels] of columns)
      evaluations.get(name)?.add(outputs.get(name) ?? new Float32Array(), gatherLabels(labels, shown));
  };
  await forEachBatch(scoring, rows, { wanted: "scored", signal, take });
  return {
    images: rows.paths.length,
    tasks: Object.fromEntries([...evaluations].map(([name, evaluation]) => [name, evaluation.report()])),
  };
}

/** What each task serves, float32 [paths, width] row-major: probabilities of classes, say. */
export async function predictPaths(
  scoring: Scoring,
  paths: readonly string[],
): Promise<Map<string, Float32Array>> {
  const rows: ImageRows = { paths, locate: (row) => ({ file: paths[row] ?? "" }) };
  return await outputsOfRows(scoring, rows, "served");
}

/**
 * What is wanted of each task, float32 [rows, width] row-major, of the images of a table's rows; zeros of
 * what was not reached when `signal` aborts.
 */
export async function outputsOfRows(
  scoring: Scoring,
  rows: ImageRows,
  wanted: WantedOutput,
  signal?: AbortSignal,
): Promise<Map<string, Float32Array>> {
  const tasks = tasksOf(scoring.manifest);
  const results = new Map(
    tasks.map(({ name, width }) => [name, new Float32Array(rows.paths.length * width)]),
  );
  const take: Take = (batch, outputs) => {
    const first = batch.rows[0] ?? 0;
    for (const { name, width } of tasks) {
      const values = outputs.get(name)?.subarray(0, batch.filled * width);
      if (values) results.get(name)?.set(values, first * width);
    }
  };
  await forEachBatch(scoring, rows, { wanted, signal, take });
  return results;
}

/**
 * What is wanted of each task, float32 [count, width] row-major, of images in memory: bytes of [count,H,W,C]
 * numbers as the reader would give them.
 */
export async function predictImages(
  scoring: Scoring,
  images: Uint8Array,
  wanted: WantedOutput = "served",
): Promise<Map<string, Float32Array>> {
  const { batchSize } = scoring.manifest;
  const tasks = tasksOf(scoring.manifest);
  const size = imageBytes(scoring.reader.format);
  const count = images.length / size;
  const results = new Map(tasks.map(({ name, width }) => [name, new Float32Array(count * width)]));
  for (let first = 0; first < count; first += batchSize) {
    const filled = Math.min(batchSize, count - first);
    const batch = new Uint8Array(batchSize * size);
    batch.set(images.subarray(first * size, (first + filled) * size));
    const { outputs } = await scoring.device.evaluate({ images: batch }, wanted);
    for (const { name, width } of tasks) {
      const values = outputs.get(name)?.subarray(0, filled * width);
      if (values) results.get(name)?.set(values, first * width);
    }
  }
  return results;
}

async function forEachBatch(
  scoring: Scoring,
  rows: ImageRows,
  {
    wanted,
    signal,
    take,
  }: {
    readonly wanted: WantedOutput;
    readonly signal?: AbortSignal | undefined;
    readonly take: Take;
  },
): Promise<void> {
  const { batchSize } = scoring.manifest;
  const { reader, parallel } = scoring;
  await using peers = scoring.peers?.evaluation(rows, wanted);
  const share = peers?.share ?? WHOLE_BATCH;
  await using loader =
    scoring.features?.evaluation(rows, batchSize) ??
    evaluationBatches({ rows, batchSize, reader, parallel, share });
  let turn = peers?.turn();
  for (let batch = await loader.next(); batch && !signal?.aborted; batch = await loader.next()) {
    const [others, following] = [turn, peers?.turn()];
    turn = following;
    const { outputs, inputBuffer } = await scoring.device.evaluate(batch, wanted);
    if (inputBuffer) loader.release(inputBuffer);
    take(batch, outputs);
    for (const [i, ofOther] of ((await others?.()) ?? []).entries()) {
      const first = (batch.index * share.size + i + 1) * batchSize;
      if (ofOther) take(rowsFrom(first, batchSize, rows.paths.length), ofOther);
    }
  }
}

/** The batch whose first row it is, as evaluationOrder has it. */
function rowsFrom(first: number, batchSize: number, count: number): Pick<Batch, "rows" | "filled"> {
  const row = (place: number): number => (first + place < count ? first + place : NO_ROW);
  return {
    rows: Int32Array.from({ length: batchSize }, (_, place) => row(place)),
    filled: Math.min(batchSize, count - first),
  };
}
