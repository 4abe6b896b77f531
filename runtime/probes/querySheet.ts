// The query sheet, as patchwork's query_fig: a row for each class with one of its images and, beside it, the
// images whose vectors are nearest, each with its own label. Vectors and labels in, PNG out.
import { drawContactSheet, type SheetRow } from "../augment/contactSheet.ts";
import { readShownImages, type ShownSpec } from "../augment/shownImages.ts";
import type { PathList } from "../tables/stringTable.ts";
import { nearestRows, queryRows } from "./nearest.ts";
import type { ProbeColumn } from "./probeLabels.ts";

/** Classes that have a row; of more they are evenly spread. */
const MOST_CLASSES = 24;

export interface QuerySheet {
  readonly spec: ShownSpec;
  readonly paths: PathList;
  /** Row-major [rows, width]. */
  readonly vectors: Float32Array;
  readonly width: number;
  readonly column: Pick<ProbeColumn, "name" | "classes" | "labels">;
  /** Nearest images beside each. */
  readonly nearest: number;
  readonly title: string;
}

/** The sheet as a PNG. Errors of reading images. */
export async function drawQuerySheet(sheet: QuerySheet): Promise<Buffer> {
  const { spec, paths, vectors, width, column, nearest, title } = sheet;
  const queries = queryRows(column.labels, column.classes.length, MOST_CLASSES);
  const found = queries.map((query) => ({ query, near: nearestRows(vectors, width, query, nearest) }));
  const rows = [...new Set(found.flatMap(({ query, near }) => [query, ...near.map(({ row }) => row)]))];
  const { images, size } = await readShownImages(
    spec,
    rows.map((row) => paths.at(row) ?? ""),
  );
  const pixelsOf = new Map(rows.map((row, i) => [row, images[i] ?? new Uint8Array()]));
  const nameOf = (row: number): string => column.classes[column.labels[row] ?? -1] ?? "no label";
  const sheetRows = found.map(({ query, near }): SheetRow => {
    const labelled = near.filter(({ row }) => (column.labels[row] ?? -1) >= 0);
    const hits = labelled.filter(({ row }) => column.labels[row] === column.labels[query]).length;
    return {
      label: nameOf(query),
      note: `${hits} of ${labelled.length}${labelled.length < near.length ? " labelled" : ""} of its class`,
      cells: [
        { pixels: pixelsOf.get(query) ?? new Uint8Array(), caption: "" },
        ...near.map(({ row, cosine }) => ({
          pixels: pixelsOf.get(row) ?? new Uint8Array(),
          caption: `${cosine.toFixed(3)} ${nameOf(row)}`,
        })),
      ],
    };
  });
  return await drawContactSheet(title, ["of the class", "nearest by cosine"], sheetRows, size);
}
