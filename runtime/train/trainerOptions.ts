// What a MultiTaskTrainer is constructed with, and how that becomes a resolved spec and label tables.
import { resolve } from "node:path";
import { resolveKeys, resolveWritten } from "../../compiler/spec/parseSpec.ts";
import { type LabelSpec, SECTION_KEYS, type SpecInput, type StepSpec } from "../../compiler/spec/schema.ts";
import { openTasks } from "../../compiler/tasks/openTask.ts";
import { type PreparedLabels, prepareLabels } from "../labels/classes.ts";
import { type ClassWeights, resolveClassWeights } from "../labels/classWeights.ts";
import type { BatchSpec } from "../labels/sampler.ts";
import type { RuntimeOptions } from "../ort/runtimeOptions.ts";
import { type RunSources, readSplits } from "../runs/runSources.ts";
import { type LabelRow, type LabelTable, labelTableFromRows } from "../tables/labelTable.ts";
import type { Experiment } from "./experiment.ts";

/** Label tables may be files or rows in memory. */
export type LabelSource = string | readonly LabelRow[];

/** The keys of a spec, with label tables as files or rows, and how to run. */
export interface TrainerOptions extends Omit<SpecInput, "train_labels" | "val_labels" | "test_labels"> {
  readonly train_labels: LabelSource;
  readonly val_labels?: LabelSource | null | undefined;
  readonly test_labels?: LabelSource | null | undefined;
}

/** Label tables as the options have them: paths under the spec's keys, rows in memory beside it. */
type TableOptions = Pick<TrainerOptions, "train_labels" | "val_labels" | "test_labels">;

/** Resolves the spec part of the options; E_CONFIG with all faults. */
export function experimentFromOptions(options: TrainerOptions, runtime: RuntimeOptions): Experiment {
  const written = resolveWritten({ ...options, ...tablePaths(options) });
  return { ...written, ...memoryRows(options, runtime), classes: undefined };
}

/** The keys of a spec that labels depend on, and what a batch holds of them. */
const LABEL_SOURCE_KEYS = [...SECTION_KEYS.labels, "batch_size", "balance_probs", "balance_classes"] as const;

/** Label tables, as files or rows, and the other keys that they are read by. */
export type LabelSourceOptions = Pick<TrainerOptions, (typeof LABEL_SOURCE_KEYS)[number]>;

/** Label tables without a network: of the other keys nothing is asked. E_CONFIG with all faults. */
export function sourcesFromOptions(options: LabelSourceOptions): LabelSources {
  const spec = resolveKeys(LABEL_SOURCE_KEYS, { ...options, ...tablePaths(options) });
  return { spec, ...memoryRows(options, {}) };
}

function tablePaths({ train_labels, val_labels, test_labels }: TableOptions) {
  const path = (source: LabelSource | null | undefined) => (typeof source === "string" ? source : null);
  return {
    train_labels: path(train_labels),
    val_labels: path(val_labels),
    test_labels: path(test_labels),
  };
}

function memoryRows(
  { train_labels, val_labels, test_labels }: TableOptions,
  { baseDirectory = "." }: RuntimeOptions,
) {
  const rows = (source: LabelSource | null | undefined) =>
    typeof source === "string" ? undefined : (source ?? undefined);
  return {
    baseDirectory: resolve(baseDirectory),
    trainRows: rows(train_labels),
    valRows: rows(val_labels),
    testRows: rows(test_labels),
  };
}

/** The labels of a run, and what its classes weigh. */
export interface RunLabels extends PreparedLabels {
  readonly classWeights: ClassWeights;
}

/** Label tables, and the keys that decide what a batch holds of them. */
export interface LabelSources extends RunSources {
  readonly spec: LabelSpec & BatchSpec;
}

/** Reads and checks the label tables. Throws what readSplits and prepareLabels throw. */
export async function readTables(sources: LabelSources): Promise<PreparedLabels> {
  const { spec } = sources;
  const { tables, whole, record, notes } = await readSplits(sources);
  const train = tables.train ?? noTrainLabels(spec);
  const given = { ...spec.classes, ...sources.classes };
  const prepared = prepareLabels(train, tables.val, given, {
    ...{ unknownVal: spec.unknown_val_classes, batch: spec, kinds: spec.task_kinds },
    ...{ known: sources.knownTasks ?? {}, test: tables.test, whole },
  });
  return { ...prepared, split: record, warnings: [...notes, ...prepared.warnings] };
}

/** The same, and what the classes weigh; E_CONFIG (class_weights), too. */
export async function readLabels(
  sources: LabelSources & { readonly spec: Pick<StepSpec, "class_weights"> },
): Promise<RunLabels> {
  const { spec } = sources;
  const prepared = await readTables(sources);
  const tasks = openTasks(prepared.tasks);
  const classWeights = resolveClassWeights(spec.class_weights, tasks, prepared.train);
  return { ...prepared, classWeights };
}

/** An empty table is what labelTableFromRows refuses with the right message. */
function noTrainLabels(columns: Pick<LabelSpec, "tasks" | "filepaths">): LabelTable {
  return labelTableFromRows([], columns, ".", "train_labels");
}
