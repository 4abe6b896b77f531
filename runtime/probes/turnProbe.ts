// The rotation test of an epoch: images turned by a quarter or not at all, and a linear classifier that tells
// from their features which.
import type { Spec } from "../../compiler/spec/schema.ts";
import { imageBytes, imageFormat } from "../images/images.ts";
import type { ImageRows } from "../tables/imageRows.ts";
import { heldOutRows, linearProbe } from "./linearProbe.ts";
import type { ProbeResults, Vectors } from "./probeResults.ts";
import { someRows } from "./probeRows.ts";
import { drawTurns, TURNS, turnImage } from "./rotation.ts";

/** More images change the figure by less than a hundredth, and take longer. */
const MOST_IMAGES = 3_000;

export interface TurnProbe {
  readonly rows: ImageRows;
  readonly vectors: Vectors;
  readonly spec: Spec;
  readonly signal?: AbortSignal | undefined;
}

/** Adds its figures and a file to `results`. E_INTERRUPTED; errors of reading images. */
export async function probeTurns(results: ProbeResults, probe: TurnProbe): Promise<void> {
  const { vectors, spec, signal } = probe;
  const { rows } = someRows(probe.rows, MOST_IMAGES);
  const count = rows.paths.length;
  const labels = drawTurns(spec.seed, count);
  const format = imageFormat(spec);
  const side = format.height;
  const pixelBytes = imageBytes(format) / (side * side);
  const turned = await vectors.of(rows, (image, row) => turnImage(image, side, pixelBytes, labels[row] ?? 0));
  const heldOut = heldOutRows(rows.paths);
  const data = { vectors: turned, width: vectors.width, labels, classes: TURNS, heldOut };
  const seen = new Set(labels.filter((_, row) => heldOut[row] === 0));
  if (seen.size < 2) {
    results.told.push(`no rotation test: ${count} images are too few`);
    return;
  }
  const { report, trainedRows } = await linearProbe(data, signal);
  const { accuracy, labelled, confusion } = report;
  results.scalars["probe/rotation/accuracy"] = accuracy;
  const some = count < probe.rows.paths.length ? ` of ${count} images evenly spread` : "";
  results.told.push(
    `rotation ${accuracy.toFixed(3)}, by chance ${1 / TURNS.length} (${labelled} held out${some})`,
  );
  results.json("rotation.json", {
    ...{ epoch: results.epoch, images: count, trainedRows, heldOutRows: labelled, accuracy },
    ...{ classes: TURNS, confusion },
  });
}
