// The kinds of tasks: the only list of them. A new kind is a file of its own and a line here.
import { CLASSES } from "./classTask.ts";
import { NUMBER } from "./numberTask.ts";
import { TAGS } from "./tagTask.ts";
import type { TaskKind } from "./task.ts";

/** All kinds, the one of tasks that name none first. */
export const TASK_KINDS: readonly TaskKind[] = [CLASSES, NUMBER, TAGS];
