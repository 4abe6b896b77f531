// Several trunks head to head: the features of each on the same images, a linear classifier of each column
// on the same rows, judged on the same held-out ones, with intervals by the same resamples.
import type { FeatureLayer, FeaturePooling } from "../../compiler/export/exportFeatures.ts";
import type { ClassReport } from "../../compiler/tasks/classEvaluation.ts";
import { LoaderThread } from "../batches/loaderThread.ts";
import { OrtHost } from "../ort/ortHost.ts";
import { ortOptions, type RuntimeOptions } from "../ort/runtimeOptions.ts";
import { type Interval, intervalOf, type Resampled, resample, shareAbove } from "./bootstrap.ts";
import { FeatureModel, type FeatureSource } from "./featureModel.ts";
import { linearProbe } from "./linearProbe.ts";
import type { ProbeColumn, ProbeLabels } from "./probeLabels.ts";

/** A trunk by the name that it has in the comparison. */
export interface NamedTrunk {
  readonly name: string;
  readonly source: FeatureSource;
  readonly layer?: FeatureLayer | undefined;
}

export interface CompareOptions extends RuntimeOptions {
  readonly pooling?: FeaturePooling | undefined;
  /** Of the resamples; default 0. */
  readonly seed?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Told of the trunk by its place, and how many of its images are done. */
  readonly onProgress?: ((place: number, done: number, total: number) => void) | undefined;
}

/** What a linear classifier on a trunk's features reached in one column. */
export interface ComparedColumn {
  readonly column: string;
  readonly trainedRows: number;
  readonly heldOutRows: number;
  readonly accuracy: Interval;
  readonly macroRecall: Interval;
  /** Share of the resamples in which its macro recall is above that of the best trunk; absent of that one. */
  readonly aboveBest?: number;
  /** Recall of each class on the held-out rows; NaN without any. */
  readonly recalls: readonly number[];
  readonly isConverged: boolean;
  readonly report: ClassReport;
}

export interface ComparedTrunk {
  readonly name: string;
  /** Numbers of a vector. */
  readonly width: number;
  readonly columns: readonly ComparedColumn[];
}

/** The trunks in their order. Errors of reading images, E_ORT, E_INTERRUPTED. */
export async function compareTrunks(
  trunks: readonly NamedTrunk[],
  labels: ProbeLabels,
  options: CompareOptions = {},
): Promise<ComparedTrunk[]> {
  const { seed = 0, signal } = options;
  const compared: { name: string; width: number; columns: JudgedColumn[] }[] = [];
  for (const [place, trunk] of trunks.entries()) {
    const { onProgress } = options;
    const tell = onProgress && ((done: number, total: number) => onProgress(place, done, total));
    const { vectors, width } = await vectorsOf(trunk, labels, options, tell);
    const columns: JudgedColumn[] = [];
    for (const column of labels.columns) {
      const data = {
        vectors,
        width,
        labels: column.labels,
        classes: column.classes,
        heldOut: labels.heldOut,
      };
      columns.push(judged(column, await linearProbe(data, signal), seed));
    }
    compared.push({ name: trunk.name, width, columns });
  }
  return compared.map(({ name, width, columns }) => ({
    ...{ name, width },
    columns: columns.map(({ resampled, ...column }, place) => {
      const rivals = compared.map((other) => other.columns[place]);
      const best = rivals.reduce((most, rival) =>
        (rival?.macroRecall.value ?? 0) > (most?.macroRecall.value ?? 0) ? rival : most,
      );
      const isBest = best?.resampled === resampled;
      if (isBest || !best) return column;
      return { ...column, aboveBest: shareAbove(resampled.macroRecall, best.resampled.macroRecall) };
    }),
  }));
}

interface JudgedColumn extends Omit<ComparedColumn, "aboveBest"> {
  readonly resampled: Resampled;
}

function judged(
  { name, labels, classes }: ProbeColumn,
  found: Awaited<ReturnType<typeof linearProbe>>,
  seed: number,
): JudgedColumn {
  const { report, rows, predicted, trainedRows, isConverged } = found;
  const own = rows.map((row) => labels[row] ?? -1);
  const resampled = resample({ labels: own, predicted }, classes.length, seed);
  const recalls = classes.map((_, number) => {
    const places = Array.from(own.keys()).filter((place) => own[place] === number);
    return places.filter((place) => predicted[place] === number).length / places.length;
  });
  return {
    ...{ column: name, trainedRows, heldOutRows: report.labelled, recalls, isConverged, report, resampled },
    accuracy: intervalOf(report.accuracy, resampled.accuracy),
    macroRecall: intervalOf(report.macroRecall, resampled.macroRecall),
  };
}

async function vectorsOf(
  { source, layer }: NamedTrunk,
  { rows }: ProbeLabels,
  { pooling, signal, ...runtime }: CompareOptions,
  onProgress: ((done: number, total: number) => void) | undefined,
): Promise<{ vectors: Float32Array; width: number }> {
  await using host = await OrtHost.start(ortOptions(runtime, false));
  await using model = await FeatureModel.open(host, source, { layer, pooling });
  await using streams = new LoaderThread({ format: model.format, cacheBytes: 0 });
  const vectors = await model.vectors(rows, { streams, signal, onProgress });
  return { vectors, width: model.width };
}
