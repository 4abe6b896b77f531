// Which images look alike to a network: for one image of each class the others whose vectors are nearest to
// its own by cosine.

/** A row and how near it is: the cosine of the angle between two vectors, from -1 to 1. */
export interface Neighbour {
  readonly row: number;
  readonly cosine: number;
}

/** The first row of each class that has any, by class number; at most `most` of them, evenly spread. */
export function queryRows(labels: Int32Array, classes: number, most: number): number[] {
  const first = new Map<number, number>();
  for (const [row, label] of labels.entries()) if (label >= 0 && !first.has(label)) first.set(label, row);
  const rows = Array.from({ length: classes }, (_, label) => first.get(label)).filter(
    (row) => row !== undefined,
  );
  const count = Math.min(most, rows.length);
  return Array.from({ length: count }, (_, i) => rows[Math.floor((i * rows.length) / count)] ?? 0);
}

/**
 * The `count` rows nearest to `query` among `vectors`, row-major [rows, width], itself left out; the nearest
 * first, of equally near ones the first. A vector of zeros is near to nothing: cosine 0.
 */
export function nearestRows(vectors: Float32Array, width: number, query: number, count: number): Neighbour[] {
  const rows = vectors.length / width;
  const own = lengthOf(vectors, query, width);
  const found: Neighbour[] = [];
  for (let row = 0; row < rows; row++) {
    if (row === query) continue;
    let product = 0;
    for (let i = 0; i < width; i++)
      product += (vectors[query * width + i] as number) * (vectors[row * width + i] as number);
    const lengths = own * lengthOf(vectors, row, width);
    found.push({ row, cosine: lengths === 0 ? 0 : product / lengths });
  }
  return found.sort((a, b) => b.cosine - a.cosine || a.row - b.row).slice(0, count);
}

function lengthOf(vectors: Float32Array, row: number, width: number): number {
  let squares = 0;
  for (let i = row * width; i < (row + 1) * width; i++) squares += (vectors[i] as number) ** 2;
  return Math.sqrt(squares);
}
