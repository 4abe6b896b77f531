// Running evaluate.onnx over rows of a label table or over image files: fixed batches, the last one padded.

import type { LabelledRows } from "../data/classes.ts";
import type { FeatureBatch } from "../data/featureBatches.ts";
import { type Batch, BatchLoader } from "../data/loader.ts";
import { evaluationOrder } from "../data/sampler.ts";
import { type EvaluationReport, TaskEvaluation } from "./evaluationReport.ts";
import type { TrainingSession } from "./trainingSession.ts";

/**
 * Evaluates the model as it is now on the labelled rows; stops early, with what it has, when `signal` aborts.
 */
export async function evaluateRows(
  session: TrainingSession,
  rows: LabelledRows,
  signal?: AbortSignal,
): Promise<EvaluationReport> {
  const { tasks } = session.manifest;
  const evaluations = new Map(tasks.map(({ name, classes }) => [name, new TaskEvaluation(classes)]));
  await forEachBatch(session, rows, signal, (batch, logits) => {
    tasks.forEach(({ name }, t) => {
      const labels = Int32Array.from(
        { length: batch.filled },
        (_, row) => batch.labels[row * tasks.length + t] ?? -1,
      );
      evaluations.get(name)?.add(logits.get(name) ?? new Float32Array(), labels);
    });
  });
  return {
    images: rows.paths.length,
    tasks: Object.fromEntries([...evaluations].map(([name, evaluation]) => [name, evaluation.report()])),
  };
}

/** Class probabilities per task, float32 [paths, classes] row-major. */
export async function predictPaths(
  session: TrainingSession,
  paths: readonly string[],
): Promise<Map<string, Float32Array>> {
  const { tasks } = session.manifest;
  const rows: LabelledRows = {
    tasks: tasks.map(({ name }) => name),
    paths,
    labels: new Int32Array(paths.length * tasks.length).fill(-1),
    locate: (row) => ({ file: paths[row] ?? "" }),
  };
  const results = new Map(
    tasks.map(({ name, classes }) => [name, new Float32Array(paths.length * classes.length)]),
  );
  await forEachBatch(session, rows, undefined, (batch, logits) => {
    const first = batch.rows[0] ?? 0;
    for (const { name, classes } of tasks) {
      const values = softmaxRows(logits.get(name) ?? new Float32Array(), classes.length, batch.filled);
      results.get(name)?.set(values, first * classes.length);
    }
  });
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
  session: TrainingSession,
  rows: LabelledRows,
  signal: AbortSignal | undefined,
  take: (batch: Batch | FeatureBatch, logits: ReadonlyMap<string, Float32Array>) => void,
): Promise<void> {
  const { batchSize, spec } = session.manifest;
  await using loader =
    session.features?.evaluation(rows, batchSize) ??
    new BatchLoader({
      rows,
      order: evaluationOrder(rows.paths.length, batchSize),
      batchSize,
      reader: session.reader,
      parallel: spec.num_parallel_calls,
    });
  for (let batch = await loader.next(); batch && !signal?.aborted; batch = await loader.next()) {
    const { logits, inputBuffer } = await session.device.evaluate(batch);
    if (inputBuffer) loader.release(inputBuffer);
    take(batch, logits);
  }
}
