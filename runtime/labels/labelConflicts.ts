// Images that have two labels of one task, which no model can learn: rows of one path, and, where it costs
// little to know, files of the same content. In: labelled rows. Out: sentences that name them.
import { relative } from "node:path";
import { openTasks } from "../../compiler/tasks/openTask.ts";
import type { Task } from "../../compiler/tasks/task.ts";
import type { ImageRows } from "../tables/imageRows.ts";
import { rowsOfOneContent, rowsOfOnePath } from "../tables/sameImages.ts";
import { type LabelledRows, labelsByTask, type PreparedLabels } from "./classes.ts";
import { listNames } from "./labelWarnings.ts";
import { hasClasses, hasFlags, hasLabel, type TaskLabels } from "./taskLabels.ts";

/** Images with several labels of a task, a sentence for each task and table that has any. */
export async function conflictWarnings({ tasks, train, val, test }: PreparedLabels): Promise<string[]> {
  const opened = openTasks(tasks);
  const found: string[] = [];
  for (const rows of [train, val, test].filter((each) => each !== undefined))
    found.push(...(await conflictsOf(rows, opened)));
  return found;
}

async function conflictsOf(rows: LabelledRows, tasks: readonly Task[]): Promise<string[]> {
  const ofContent = await rowsOfOneContent(rows.paths);
  const covered = new Set(ofContent.flat());
  const ofPath = [...rowsOfOnePath(rows.paths)].filter(([row = -1]) => !covered.has(row));
  const groups = [...ofPath, ...ofContent].sort(([a = 0], [b = 0]) => a - b);
  return [...labelsByTask(rows)].flatMap(([task, labels]) => {
    const textOf = labelTexts(labels, tasks.find(({ name }) => name === task)?.groups);
    const conflicts = groups.flatMap((group) => {
      const different = [...new Set(group.flatMap(textOf))];
      if (different.length < 2) return [];
      return [`${placesText(rows, group)}: ${different.join(" or ")}`];
    });
    if (conflicts.length === 0) return [];
    const images = conflicts.length === 1 ? "an image has" : `${conflicts.length} images have`;
    return [`task "${task}": ${images} several labels: ${listNames(conflicts)}`];
  });
}

/** The text of a row's label, by its class or tags, else by its numbers; none where it is missing. */
function labelTexts(
  labels: TaskLabels,
  groups: Task["groups"] | undefined,
): (row: number) => readonly string[] {
  return (row) => {
    if (!hasLabel(labels, row)) return [];
    const numbers = labels.values.subarray(row * labels.width, (row + 1) * labels.width);
    if (!groups || !(hasClasses(labels) || hasFlags(labels))) return [numbers.join(" ")];
    return [
      groups
        .of(numbers)
        .map((place) => groups.names[place])
        .join("|"),
    ];
  };
}

function placesText({ paths, locate }: ImageRows, group: readonly number[]): string {
  const names = [...new Set(group.map((row) => paths.at(row) ?? ""))].map(shortPath);
  const places = group.map((row) => locate(row).line).filter((line) => line !== undefined);
  const lines = places.length > 0 ? ` (lines ${listNames(places.map(String))})` : "";
  return `${listNames(names)}${names.length > 1 ? ", the same image" : ""}${lines}`;
}

/** From the working directory on, where the path lies in it. */
function shortPath(path: string): string {
  const way = relative("", path);
  return way === "" || way.startsWith("..") ? path : way;
}
