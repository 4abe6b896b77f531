// Running evaluate.onnx over rows of a label table, over image files or over images in memory: fixed batches,
// the last one padded. What runs it is a training session or a run that is only read.
import type { Manifest } from "../../compiler/bundle/manifest.ts";
import type { FeatureBatch, FeatureBatches } from "../batches/featureBatches.ts";
import type { ImageStreams } from "../batches/imageStreams.ts";
import { type Batch, BatchLoader } from "../batches/loader.ts";
import { evaluationOrder } from "../draws/sampler.ts";
import { type ImageReader, imageBytes } from "../images/images.ts";
import type { LabelledRows } from "../labels/classes.ts";
import { type EvaluationReport, TaskEvaluation } from "./evaluationReport.ts";

/** What a batch shows the network: bytes of [batch,H,W,C] numbers, or features computed of them once. */
type Shown = Pick<Batch, "images"> | Pick<FeatureBatch, "features">;

/** A model at work: images in batches of the manifest's size -> logits. */
export interface Scoring {
  readonly manifest: Pick<Manifest, "batchSize" | "tasks">;
  readonly device: {
    /**
     * Logits per task, float32 [batch, classes], of one batch. The buffer behind it is transferred and comes
     * back.
     */
    evaluate(
      input: Shown,
    ): Promise<{ logits: ReadonlyMap<string, Float32Array>; inputBuffer: ArrayBuffer | undefined }>;
  };
  readonly reader: ImageReader | ImageStreams;
  /** Images decoded at the same time; -1 chooses by the machine. */
  readonly parallel: number;
  /** What is read in place of images, where there is something. */
  readonly features?:
    | { evaluation(rows: LabelledRows, batchSize: number): FeatureBatches | undefined }
    | undefined;
}

/** Takes the logits of one batch in. */
type Take = (batch: Batch | FeatureBatch, logits: ReadonlyMap<string, Float32Array>) => void;

/**
 * Evaluates the model as it is now on the labelled rows; stops early, with what it has, when `signal` aborts.
 */
export async function evaluateRows(
  scoring: Scoring,
  rows: LabelledRows,
  signal?: AbortSignal,
): Promise<EvaluationReport> {
  const { tasks } = scoring.manifest;
  const evaluations = new Map(tasks.map(({ name, classes }) => [name, new TaskEvaluation(classes)]));
  const take: Take = (batch, logits) => {
    for (const [t, { name }] of tasks.entries()) {
      const labels = Int32Array.from(
        { length: batch.filled },
        (_, row) => batch.labels[row * tasks.length + t] ?? -1,
      );
      evaluations.get(name)?.add(logits.get(name) ?? new Float32Array(), labels);
    }
  };
  await forEachBatch(scoring, rows, signal, take);
  return {
    images: rows.paths.length,
    tasks: Object.fromEntries([...evaluations].map(([name, evaluation]) => [name, evaluation.report()])),
  };
}

/** Class probabilities per task, float32 [paths, classes] row-major. */
export async function predictPaths(
  scoring: Scoring,
  paths: readonly string[],
): Promise<Map<string, Float32Array>> {
  const { tasks } = scoring.manifest;
  const rows: LabelledRows = {
    tasks: tasks.map(({ name }) => name),
    paths,
    labels: new Int32Array(paths.length * tasks.length).fill(-1),
    locate: (row) => ({ file: paths[row] ?? "" }),
  };
  const results = new Map(
    tasks.map(({ name, classes }) => [name, new Float32Array(paths.length * classes.length)]),
  );
  const take: Take = (batch, logits) => {
    const first = batch.rows[0] ?? 0;
    for (const { name, classes } of tasks) {
      const values = softmaxRows(logits.get(name) ?? new Float32Array(), classes.length, batch.filled);
      results.get(name)?.set(values, first * classes.length);
    }
  };
  await forEachBatch(scoring, rows, undefined, take);
  return results;
}

/**
 * Class probabilities per task, float32 [count, classes] row-major, of images in memory: bytes of
 * [count,H,W,C] numbers as the reader would give them.
 */
export async function predictImages(
  scoring: Scoring,
  images: Uint8Array,
): Promise<Map<string, Float32Array>> {
  const { tasks, batchSize } = scoring.manifest;
  const size = imageBytes(scoring.reader.format);
  const count = images.length / size;
  const results = new Map(tasks.map(({ name, classes }) => [name, new Float32Array(count * classes.length)]));
  for (let first = 0; first < count; first += batchSize) {
    const filled = Math.min(batchSize, count - first);
    const batch = new Uint8Array(batchSize * size);
    batch.set(images.subarray(first * size, (first + filled) * size));
    const { logits } = await scoring.device.evaluate({ images: batch });
    for (const { name, classes } of tasks) {
      const values = softmaxRows(logits.get(name) ?? new Float32Array(), classes.length, filled);
      results.get(name)?.set(values, first * classes.length);
    }
  }
  return results;
}

/** Softmax of the first `rows` rows of `logits` [n, width]. */
function softmaxRows(logits: Float32Array, width: number, rows: number): Float32Array {
  const result = logits.slice(0, rows * width);
  for (let row = 0; row < rows; row++) {
    const values = result.subarray(row * width, (row + 1) * width);
    const largest = Math.max(...values);
    const sum = values.reduce((total, value) => total + Math.exp(value - largest), 0);
    values.forEach((value, i) => {
      values[i] = Math.exp(value - largest) / sum;
    });
  }
  return result;
}

async function forEachBatch(
  scoring: Scoring,
  rows: LabelledRows,
  signal: AbortSignal | undefined,
  take: Take,
): Promise<void> {
  const { batchSize } = scoring.manifest;
  await using loader =
    scoring.features?.evaluation(rows, batchSize) ??
    new BatchLoader({
      rows,
      order: evaluationOrder(rows.paths.length, batchSize),
      batchSize,
      reader: scoring.reader,
      parallel: scoring.parallel,
    });
  for (let batch = await loader.next(); batch && !signal?.aborted; batch = await loader.next()) {
    const { logits, inputBuffer } = await scoring.device.evaluate(batch);
    if (inputBuffer) loader.release(inputBuffer);
    take(batch, logits);
  }
}
