// From trained parameters to deployable ONNX files: build -> fold batch norms -> simplify, lower -> encode.
// The counterpart of compile.ts for a finished run; pure, and the same parameters give the same bytes.

import { encodeGraph, PRODUCER } from "../codec/encodeGraph.ts";
import { finishGraph } from "../lower/finishGraph.ts";
import type { ImportedTrunk } from "../model/importedTrunk.ts";
import type { TaskClasses } from "../model/network.ts";
import { OPS } from "../ops/table.ts";
import type { Trace } from "../passes/pass.ts";
import type { ModelSpec } from "../spec/schema.ts";
import { openTasks } from "../tasks/openTask.ts";
import { buildExportGraphs } from "./exportGraphs.ts";
import { encodeMetadata, type MetadataContent, type ModelOrigin } from "./modelMetadata.ts";

export interface ExportOptions {
  /** Also write trunk, shared layers and heads as files that compose. Default false. */
  readonly split?: boolean;
  /** Fold batch norms into the convolutions before them. Default true; false is for comparison. */
  readonly fold?: boolean;
  /** The imported network of the spec's fcn. */
  readonly trunk?: ImportedTrunk | undefined;
  /** Where the model comes from, for the metadata. */
  readonly origin?: ModelOrigin | undefined;
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
 * row-major float32; a missing one is an InternalError.
 */
export function exportModel(
  spec: ModelSpec,
  classes: TaskClasses,
  values: ReadonlyMap<string, Float32Array>,
  { split = false, fold = true, trunk, origin, trace }: ExportOptions = {},
): ExportedFile[] {
  const model = { spec, tasks: openTasks(classes), values, trunk, ops: OPS, producer: PRODUCER, origin };
  return buildExportGraphs(model, split).map(({ name, graph, metadata }) => {
    const finished = finishGraph(graph, { foldNorms: fold, ...(trace ? { trace } : {}) });
    return {
      file: `${name}.onnx`,
      bytes: encodeGraph(finished, { metadata: encodeMetadata(metadata), kernelShapes: true }),
      metadata,
    };
  });
}
