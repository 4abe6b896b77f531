// From trained parameters to deployable ONNX files: build -> fold batch norms -> simplify, lower -> encode.
// The counterpart of compile.ts for a finished run; pure, and the same parameters give the same bytes.

import { encodeGraph, PRODUCER } from "../codec/encodeGraph.ts";
import { finishGraph, simplifyGraph } from "../lower/finishGraph.ts";
import type { ImportedTrunk } from "../model/importedTrunk.ts";
import type { TaskClasses } from "../model/network.ts";
import { OPS } from "../ops/table.ts";
import type { Trace } from "../passes/pass.ts";
import type { ModelSpec } from "../spec/schema.ts";
import { openTasks } from "../tasks/openTask.ts";
import { refuseAnySize, withAnySize } from "./anySize.ts";
import { buildExportGraphs, buildWholeGraph, networkImage } from "./exportGraphs.ts";
import { type HeatmapWish, withHeatmaps } from "./heatmaps.ts";
import { encodeMetadata, type MetadataContent, type ModelOrigin } from "./modelMetadata.ts";

export interface ExportOptions {
  /** Also write trunk, shared layers and heads as files that compose. Default false. */
  readonly split?: boolean;
  /** Write no file but the whole model. Default false. */
  readonly wholeOnly?: boolean;
  /** Fold batch norms into the convolutions before them. Default true; false is for comparison. */
  readonly fold?: boolean;
  /** The imported network of the spec's fcn. */
  readonly trunk?: ImportedTrunk | undefined;
  /** Where the model comes from, for the metadata. */
  readonly origin?: ModelOrigin | undefined;
  /** Heat maps to be outputs of the files that take images; default: none. */
  readonly heatmaps?: HeatmapWish | undefined;
  /** Put the resize in front of the graphs: files that take RGB of any size. Default false. */
  readonly anySize?: boolean | undefined;
  /** Sees every graph after every stage and pass. */
  readonly trace?: Trace | undefined;
}

/** One ONNX file to be written. */
export interface ExportedFile {
  /** A safe file name, "<name>.onnx". */
  readonly file: string;
  readonly bytes: Uint8Array;
  readonly metadata: MetadataContent;
}

/**
 * The files of an export, whole model first. `values` holds every parameter by name (running statistics too),
 * row-major float32; a missing one is an InternalError. Errors of markHeatmaps, withHeatmaps and
 * refuseAnySize.
 */
export function exportModel(
  spec: ModelSpec,
  classes: TaskClasses,
  values: ReadonlyMap<string, Float32Array>,
  {
    split = false,
    wholeOnly = false,
    fold = true,
    trunk,
    origin,
    heatmaps,
    anySize,
    trace,
  }: ExportOptions = {},
): ExportedFile[] {
  if (anySize) refuseAnySize(spec, split);
  const fixed = { spec, trunk, values, ops: OPS, producer: PRODUCER };
  const model = { ...fixed, tasks: openTasks(classes), origin, heatmaps, anySize };
  const graphs = wholeOnly ? [buildWholeGraph(model)] : buildExportGraphs(model, split);
  return graphs.map(({ name, graph, metadata, marks }) => {
    const options = { foldNorms: fold, ...(trace ? { trace } : {}) };
    // Norms are folded before the backward is appended: no filter is in the file twice, folded and as it was.
    const whole = marks ? withHeatmaps(simplifyGraph(graph, options), marks, OPS) : graph;
    const finished = finishGraph(whole, options);
    const bytes = encodeGraph(finished, { metadata: encodeMetadata(metadata), kernelShapes: true });
    return {
      file: `${name}.onnx`,
      bytes: anySize ? withAnySize(bytes, networkImage(spec)) : bytes,
      metadata,
    };
  });
}
