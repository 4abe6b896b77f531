// What an export is made of, and compared with.
import type { Manifest } from "../../compiler/bundle/manifest.ts";
import type { ImportedTrunk } from "../../compiler/model/importedTrunk.ts";
import type { ModelSpec, RunSpec } from "../../compiler/spec/schema.ts";
import type { EvaluationRows } from "../infer/evaluationLabels.ts";
import type { WantedOutput } from "../infer/scoring.ts";
import type { ImageRows } from "../tables/imageRows.ts";

/** What an export is made of: a trainer, or a run that is read. */
export interface ExportSource {
  readonly spec: ModelSpec & Pick<RunSpec, "logdir" | "unsure">;
  readonly directory: string | undefined;
  /** The checkpoint whose weights these are, where there is one. */
  readonly checkpoint?: { readonly path: string } | undefined;
  /** An entry for each finished epoch. */
  readonly history: readonly unknown[];
  manifest(): Promise<Manifest>;
  parameters(): Promise<ReadonlyMap<string, Float32Array>>;
  trunk(): Promise<ImportedTrunk | undefined>;
  /** Images to compare on; more than `most` may come. */
  evaluationRows(most: number): Promise<ImageRows>;
  /** The validation rows and their labels; undefined where there are none. */
  validation(): Promise<EvaluationRows | undefined>;
  /** What is wanted of each task, float32 [rows, width], of the images of rows. */
  outputsOf(rows: ImageRows, wanted: WantedOutput): Promise<ReadonlyMap<string, Float32Array>>;
  /** The same (default: what is served) of images in memory: bytes of [count,H,W,C] numbers. */
  predictImages(images: Uint8Array, wanted?: WantedOutput): Promise<ReadonlyMap<string, Float32Array>>;
}
