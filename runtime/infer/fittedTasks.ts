// Tasks with what the validation labels of an epoch have decided (thresholds of tags): what its weights are
// exported with, and what evaluations of them on other labels go by.
import { z } from "zod";
import type { TaskEntry } from "../../compiler/bundle/manifest.ts";
import { taskOfEntry } from "../../compiler/bundle/manifestTasks.ts";
import type { Task, TaskDescription } from "../../compiler/tasks/task.ts";

const evaluatedSchema = z.object({
  evaluation: z.object({ tasks: z.record(z.string(), z.looseObject({})) }),
});

/** The description of a task with what the evaluation in an epoch's report has decided, where it has one. */
export function fittedDescription(task: Task, epoch: unknown): TaskDescription {
  const reports = evaluatedSchema.safeParse(epoch).data?.evaluation.tasks ?? {};
  const report = Object.hasOwn(reports, task.name) ? reports[task.name] : undefined;
  return (report && task.fitted?.(report)) ?? task.description;
}

/** The same of a task as manifests hold it. */
export function fittedEntry(entry: TaskEntry, epoch: unknown): TaskEntry {
  const { task: name, ...facts } = fittedDescription(taskOfEntry(entry), epoch);
  return { ...entry, ...facts, name };
}
