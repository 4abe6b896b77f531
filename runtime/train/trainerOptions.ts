// What a MultiTaskTrainer is constructed with, and how that becomes a resolved spec and label tables.
import { resolve } from "node:path";
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import type { Spec, SpecInput } from "../../compiler/spec/schema.ts";
import { type PreparedLabels, prepareLabels } from "../labels/classes.ts";
import { type ClassWeights, resolveClassWeights } from "../labels/classWeights.ts";
import type { RuntimeOptions } from "../ort/runtimeOptions.ts";
import { readSplit } from "../runs/runSources.ts";
import { type LabelRow, type LabelTable, labelTableFromRows } from "../tables/labelTable.ts";
import type { Experiment } from "./experiment.ts";

/** Label tables may be files or rows in memory. */
export type LabelSource = string | readonly LabelRow[];

/** The keys of a spec, with label tables as files or rows, and how to run. */
export interface TrainerOptions extends Omit<SpecInput, "train_labels" | "val_labels"> {
  readonly train_labels: LabelSource;
  readonly val_labels?: LabelSource | null | undefined;
}

/** Resolves the spec part of the options; E_CONFIG with all faults. */
export function experimentFromOptions(options: TrainerOptions, runtime: RuntimeOptions): Experiment {
  const { train_labels, val_labels, ...keys } = options;
  const path = (source: LabelSource | null | undefined) => (typeof source === "string" ? source : null);
  const spec = resolveSpec({ ...keys, train_labels: path(train_labels), val_labels: path(val_labels) });
  return {
    spec,
    baseDirectory: resolve(runtime.baseDirectory ?? "."),
    trainRows: typeof train_labels === "string" ? undefined : train_labels,
    valRows: typeof val_labels === "string" ? undefined : (val_labels ?? undefined),
    classes: undefined,
  };
}

/** The labels of a run, and what its classes weigh. */
export interface RunLabels extends PreparedLabels {
  readonly classWeights: ClassWeights;
}

/** Reads and checks the label tables. E_FILE, E_CSV_*, E_LABEL, E_TASK_EMPTY, E_CONFIG (class_weights). */
export async function readLabels(experiment: Experiment): Promise<RunLabels> {
  const { spec } = experiment;
  const train = (await readSplit(experiment, "train")) ?? noTrainLabels(spec);
  const val = await readSplit(experiment, "val");
  const given = { ...spec.classes, ...experiment.classes };
  const prepared = prepareLabels(train, val, given, { unknownVal: spec.unknown_val_classes, batch: spec });
  const classWeights = resolveClassWeights(spec.class_weights, prepared.classes, prepared.train);
  return { ...prepared, classWeights };
}

/** An empty table is what labelTableFromRows refuses with the right message. */
function noTrainLabels(columns: Pick<Spec, "tasks" | "filepaths">): LabelTable {
  return labelTableFromRows([], columns, ".", "train_labels");
}
