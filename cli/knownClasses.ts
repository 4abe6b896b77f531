// The classes that an experiment compiles with.
import { MttcError } from "../compiler/diagnostics.ts";
import type { TaskClasses } from "../compiler/model/network.ts";
import type { Experiment } from "../runtime/train/experiment.ts";
import { readLabels } from "../runtime/train/trainerOptions.ts";

/** Classes that are known to compile with, and what is odd about the labels. */
export interface KnownClasses {
  readonly classes: TaskClasses;
  readonly warnings: readonly string[];
}

/**
 * Classes of every task: from the run or the spec where they list them all and there is no label table, else
 * from the label tables. E_CONFIG where there is neither; E_CSV_*, E_LABEL, E_TASK_EMPTY, E_FILE.
 */
export async function loadClasses(experiment: Experiment): Promise<KnownClasses> {
  const { spec, trainRows } = experiment;
  const listed: Readonly<Record<string, readonly string[]>> = { ...spec.classes, ...experiment.classes };
  const named = (classes: Readonly<Record<string, readonly string[]>>) =>
    spec.tasks.map((task) => ({ task, classes: classes[task] ?? [] }));
  const isComplete = spec.tasks.every((task) => Object.hasOwn(listed, task));
  if (isComplete && (experiment.classes !== undefined || (spec.train_labels === null && !trainRows)))
    return { classes: named(listed), warnings: [] };
  if (spec.train_labels === null && !trainRows)
    throw new MttcError({
      code: "E_CONFIG",
      message: "the classes are not known",
      at: { path: "train_labels" },
      hint: "give train_labels, or list the classes of every task under `classes`",
    });
  const { classes, warnings } = await readLabels(experiment);
  return { classes: named(classes), warnings };
}
