// The tasks of a manifest: its entries, plain JSON, opened as objects of their kinds. A file of its own: who
// only names targets and versions need not load the kinds.
import { openTask } from "../tasks/openTask.ts";
import type { Task } from "../tasks/task.ts";
import type { Manifest, TaskEntry } from "./manifest.ts";

/** The task of an entry; InternalError for facts that are not those of its kind. */
export function taskOfEntry({ name, weight: _, ...facts }: TaskEntry): Task {
  return openTask({ task: name, ...facts });
}

/** The tasks of a manifest, in their order. */
export function tasksOf({ tasks }: Pick<Manifest, "tasks">): Task[] {
  return tasks.map(taskOfEntry);
}
