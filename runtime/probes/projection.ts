// The vectors of images with their labels and small pictures, as TensorBoard's projector shows them and as
// files that other programs read. Rows in; files, and an event for whoever keeps projections, out.
import { imageSize } from "../../compiler/augment/augmentGraph.ts";
import type { Spec } from "../../compiler/spec/schema.ts";
import type { Task } from "../../compiler/tasks/task.ts";
import { readLevels, shownChannels, shownSize } from "../augment/shownImages.ts";
import type { LabelledRows } from "../labels/classes.ts";
import type { PathList } from "../tables/stringTable.ts";
import { npyFile } from "./npy.ts";
import type { ProbeLabels } from "./probeLabels.ts";
import type { Projection, Vectors } from "./probeResults.ts";
import { downstreamTable, someRows, tsvText, validationTable } from "./probeRows.ts";
import { drawSprites, SPRITE_SIDE } from "./sprites.ts";

/** The projector takes no more in one go, and a sprite image of them has 5,000 pixels a side. */
const MOST_ROWS = 10_000;
const READ_AT_ONCE = 64;

export interface ProjectionOf {
  readonly epoch: number;
  readonly downstream: ProbeLabels | undefined;
  readonly val: LabelledRows | undefined;
  readonly tasks: readonly Task[];
  readonly spec: Spec;
  readonly vectors: Vectors;
  /** Vectors of all downstream rows, where they are there already. */
  readonly known?: Float32Array;
  /** Takes the files, by name. */
  readonly files: Map<string, Uint8Array>;
  readonly note: (text: string) => void;
}

/** Undefined where there are no images. Errors of reading images. */
export async function projectionOf(parts: ProjectionOf): Promise<Projection | undefined> {
  const { epoch, downstream, val, tasks, spec, vectors: model, known, files, note } = parts;
  const all = downstream?.rows ?? val;
  if (!all) return undefined;
  const { rows, places } = someRows(all, MOST_ROWS);
  const count = places.length;
  const vectors = known ? rowsOf(known, known.length / all.paths.length, places) : await model.of(rows);
  const width = vectors.length / count;
  const table = downstream
    ? downstreamTable(downstream, places)
    : val
      ? validationTable(val, tasks, places)
      : { columns: [], values: [] };
  const size = imageSize(spec);
  const images = shownImages(spec, rows.paths);
  const png = await drawSprites(images, count, shownSize(size));
  files.set("projections/vectors.npy", npyFile(vectors, width));
  files.set("projections/metadata.tsv", new TextEncoder().encode(tsvText(table)));
  files.set("projections/sprites.png", png);
  const some = count < all.paths.length ? ` of ${all.paths.length}, evenly spread` : "";
  note(`vectors of ${count} images${some} kept`);
  return { name: "features", epoch, vectors, width, rows: table, sprite: { png, side: SPRITE_SIDE } };
}

/** Read some at a time. */
async function* shownImages(spec: Spec, paths: PathList): AsyncGenerator<Uint8Array> {
  const size = imageSize(spec);
  const all = [...paths];
  for (let first = 0; first < all.length; first += READ_AT_ONCE)
    for (const image of await readLevels(spec, all.slice(first, first + READ_AT_ONCE)))
      yield shownChannels(image, size);
}

function rowsOf(vectors: Float32Array, width: number, places: readonly number[]): Float32Array {
  const chosen = new Float32Array(places.length * width);
  for (const [i, place] of places.entries())
    chosen.set(vectors.subarray(place * width, (place + 1) * width), i * width);
  return chosen;
}
