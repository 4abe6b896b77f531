// The spec's `downstream_labels`, read before training begins: what a probe would miss hours later is refused
// at the start.
import { resolve } from "node:path";
import type { LabelSpec, RunSpec } from "../../compiler/spec/schema.ts";
import { type ProbeLabels, readProbeLabels } from "./probeLabels.ts";

/** Where the table is looked for, and how it is read. */
export interface DownstreamSource {
  readonly spec: Pick<RunSpec, "downstream_labels"> &
    Pick<LabelSpec, "filepaths" | "missing" | "path_prefix" | "path_suffix" | "image_root">;
  /** Folder that relative paths of the spec start from. */
  readonly baseDirectory: string;
}

/** Undefined where the spec names none. Errors as readProbeLabels's. */
export async function readDownstream(source: DownstreamSource): Promise<ProbeLabels | undefined> {
  const { spec, baseDirectory } = source;
  const { downstream_labels: wanted, image_root: root, filepaths, missing, path_prefix, path_suffix } = spec;
  if (wanted === null) return undefined;
  return await readProbeLabels({
    ...{ filepaths, missing, path_prefix, path_suffix },
    file: resolve(baseDirectory, wanted.table),
    columns: wanted.columns ?? undefined,
    root: root === null ? undefined : resolve(baseDirectory, root),
    folder: baseDirectory,
  });
}
