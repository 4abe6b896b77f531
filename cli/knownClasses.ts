// The classes that an experiment compiles with.
import { MttcError } from "../compiler/diagnostics.ts";
import type { TaskClasses } from "../compiler/model/network.ts";
import type { TaskDescription } from "../compiler/tasks/task.ts";
import type { Experiment } from "../runtime/train/experiment.ts";
import { readLabels } from "../runtime/train/trainerOptions.ts";

/** Classes that are known to compile with, and what is odd about the labels. */
export interface KnownClasses {
  readonly classes: TaskClasses;
  readonly warnings: readonly string[];
  /** Of the training table; undefined where it was not read. */
  readonly rows: number | undefined;
}

/**
 * Classes of every task: from the run or the spec where they list them all and there is no label table, else
 * from the label tables. E_CONFIG where there is neither; E_CSV_*, E_LABEL, E_TASK_EMPTY, E_FILE.
 */
export async function loadClasses(experiment: Experiment): Promise<KnownClasses> {
  const { spec, trainRows } = experiment;
  const classesOf = new Map(Object.entries({ ...spec.classes, ...experiment.classes }));
  const others = new Map(Object.entries(experiment.knownTasks ?? {}));
  const known = spec.tasks.flatMap((task): TaskDescription[] => {
    const classes = classesOf.get(task);
    const other = others.get(task);
    return other ? [other] : classes ? [{ task, classes }] : [];
  });
  const isComplete = known.length === spec.tasks.length;
  if (isComplete && (experiment.classes !== undefined || (spec.train_labels === null && !trainRows)))
    return { classes: known, warnings: [], rows: undefined };
  if (spec.train_labels === null && !trainRows)
    throw new MttcError({
      code: "E_CONFIG",
      message: "the classes are not known",
      at: { path: "train_labels" },
      hint: "give train_labels (tasks of numbers need them), or list the classes of every task under `classes`",
    });
  const { tasks, warnings, train } = await readLabels(experiment);
  return { classes: tasks, warnings, rows: train.paths.length };
}
