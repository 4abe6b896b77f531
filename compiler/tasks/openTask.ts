// Descriptions of tasks -> tasks, through the table of kinds.
import { InternalError } from "../diagnostics.ts";
import type { Task, TaskDescription, TaskKind } from "./task.ts";
import { TASK_KINDS } from "./taskTable.ts";

/** The kind of that name, that of tasks which name none by default; undefined where there is no such kind. */
export function kindNamed(name: string | undefined): TaskKind | undefined {
  return name === undefined ? TASK_KINDS[0] : TASK_KINDS.find(({ kind }) => kind === name);
}

/** The task of a description. InternalError for a kind that there is not, or facts that are not its own. */
export function openTask(description: TaskDescription): Task {
  const kind = kindNamed(description.kind);
  if (!kind) throw new InternalError(`there is no kind of tasks "${description.kind}"`);
  return kind.open(description);
}

/** The same of several, in their order. */
export function openTasks(descriptions: readonly TaskDescription[]): Task[] {
  return descriptions.map(openTask);
}
