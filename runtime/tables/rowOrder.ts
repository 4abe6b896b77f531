// Orders of the rows of a table, batch by batch: what a loader delivers. Those that are drawn stand in
// labels/sampler.ts, since labels decide what is drawn.

/** In an order: a place without a row. Its image is zeros, its labels are missing. */
export const NO_ROW = -1;

/** Full batches of an epoch over `rows` rows: training never pads. */
export function batchesPerEpoch(rows: number, batchSize: number): number {
  return Math.ceil(rows / batchSize);
}

/**
 * Rows 0 .. N-1 in order, the last batch filled up with NO_ROW: what an evaluation reads. Where `ranks` take
 * batches in turn, whole batches of NO_ROW follow until each has as many.
 */
export function evaluationOrder(rows: number, batchSize: number, ranks = 1): Int32Array {
  const places = batchesPerEpoch(rows, batchSize * ranks) * batchSize * ranks;
  return Int32Array.from({ length: places }, (_, place) => (place < rows ? place : NO_ROW));
}

/** Places among `count` things, at most `most` of them at equal distances from the first on, in order. */
export function evenlySpread(most: number, count: number): number[] {
  const chosen = Math.min(most, count);
  return Array.from({ length: chosen }, (_, i) => Math.floor((i * count) / chosen));
}
