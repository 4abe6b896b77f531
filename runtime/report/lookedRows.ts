// What the model of a run says of its validation images, for the parts of a report that need every row's
// answer: as many rows as the time allows, evenly spread over the table. (run, seconds) -> answers and
// labels.
import type { TrainedRun } from "../infer/trainedRun.ts";
import type { LabelledRows } from "../labels/classes.ts";
import { labelsOfRows } from "../labels/taskLabels.ts";
import { choiceText } from "../runs/checkpointChoice.ts";

/** Rows that were looked at, and what the model serves for them. */
export interface LookedRows {
  readonly rows: LabelledRows;
  /** Rows of the whole table. */
  readonly total: number;
  /** "val", or where there is none "train". */
  readonly split: string;
  /** Which checkpoint answered: "epoch 6, the best of 10". */
  readonly model: string;
  /** By task, float32 [rows, width] row-major. */
  readonly served: ReadonlyMap<string, Float32Array>;
  /** What is to be said of the labels, one sentence each. */
  readonly warnings: readonly string[];
}

/** How long rows are looked at, and who hears of it. */
export interface LookOptions {
  readonly seconds: number;
  /** Stops with what there is. */
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/** Seconds that one portion is to take: the time is looked at between portions. */
const PORTION_SECONDS = 1;
const MOST_PORTION = 4_096;

/** Runs the model on rows in an even order until all are done or the time is over. Errors as `labels`. */
export async function lookAtRows(run: TrainedRun, options: LookOptions): Promise<LookedRows> {
  const { rows, split, warnings } = await run.labels();
  const { batchSize } = await run.manifest();
  const total = rows.paths.length;
  const order = evenOrder(total);
  const found = new Map<string, Float32Array[]>();
  const start = performance.now();
  const elapsed = (): number => (performance.now() - start) / 1000;
  let [done, portion] = [0, batchSize];
  while (done < total && elapsed() < options.seconds && !options.signal?.aborted) {
    const from = elapsed();
    const chosen = order.subarray(done, done + portion);
    for (const [task, served] of await run.outputsOf(rowsAt(rows, chosen), "served"))
      found.set(task, [...(found.get(task) ?? []), served]);
    done += chosen.length;
    options.onProgress?.(done, total);
    const fitting = (PORTION_SECONDS * chosen.length) / Math.max(1e-3, elapsed() - from);
    portion = Math.max(batchSize, Math.min(MOST_PORTION, Math.round(fitting / batchSize) * batchSize));
  }
  const looked = rowsAt(rows, order.subarray(0, done));
  const served = new Map([...found].map(([task, pieces]) => [task, joined(pieces)] as const));
  return { rows: looked, total, split, served, warnings, model: choiceText(run.checkpoint.choice) };
}

/** Numbers 0 .. count-1, each once, so that the first of them are evenly spread whatever their number is. */
export function evenOrder(count: number): Int32Array {
  const golden = (Math.sqrt(5) - 1) / 2;
  let step = Math.max(1, Math.round(count * golden));
  while (commonDivisor(step, count) > 1) step++;
  return Int32Array.from({ length: count }, (_, i) => Number((BigInt(i) * BigInt(step)) % BigInt(count)));
}

function commonDivisor(a: number, b: number): number {
  return b === 0 ? a : commonDivisor(b, a % b);
}

/** Some rows as a table of their own. */
function rowsAt(rows: LabelledRows, chosen: Int32Array): LabelledRows {
  const stamps = rows.stamps;
  return {
    tasks: rows.tasks,
    paths: Array.from(chosen, (row) => rows.paths.at(row) ?? ""),
    labels: rows.labels.map((labels) => labelsOfRows(labels, chosen)),
    locate: (place) => rows.locate(chosen[place] ?? 0),
    ...(stamps ? { stamps: Uint32Array.from(chosen, (row) => stamps[row] ?? 0) } : {}),
  };
}

function joined(pieces: readonly Float32Array[]): Float32Array {
  const whole = new Float32Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
