// A table with several rows of one image: a row for each label. Either each row names a task and a label in
// two columns of their own, or tasks are columns and each row fills some of them.
import { ExportBuilder, type LabelExport } from "./labelExport.ts";
import { choicesOf, jsonIn } from "./labelStudio.ts";
import type { TableRows } from "./tableRows.ts";

const TASK_NAME = /^(task|attribute|question|property|label_?type|category_?type|key)$/i;
const LABEL_NAME = /^(label|value|answer|class|choice|category)$/i;

/** Which columns are what, where it is known. */
export interface LongFormColumns {
  readonly tasks?: readonly string[] | undefined;
  readonly taskColumn?: string | undefined;
  readonly labelColumn?: string | undefined;
}

/** Reads the rows of a table; `pathColumn` holds the images. */
export function readLongForm(
  { columns, rows }: TableRows,
  pathColumn: string,
  given: LongFormColumns = {},
): LabelExport {
  const builder = new ExportBuilder();
  const others = columns.filter((name) => name !== pathColumn);
  const taskColumn = given.taskColumn ?? others.find((name) => TASK_NAME.test(name));
  const labelColumn = given.labelColumn ?? others.find((name) => LABEL_NAME.test(name));
  const isPair = taskColumn !== undefined && labelColumn !== undefined && given.tasks === undefined;
  for (const { values, place } of rows) {
    const image = textOf(values.get(pathColumn));
    if (image === undefined) {
      builder.passOver("rows without an image");
      continue;
    }
    builder.image(image);
    const filled = isPair
      ? [[textOf(values.get(taskColumn)) ?? "", values.get(labelColumn)] as const]
      : others.map((name) => [name, values.get(name)] as const);
    for (const [task, value] of filled) {
      const names = namesIn(value);
      if (names === undefined) builder.passOver(`cells of ${task} that are no text or number`);
      else if (task !== "") builder.label({ image, task, names, place });
    }
  }
  return builder.finish(isPair ? `a table with a row a label (${taskColumn}, ${labelColumn})` : "a table");
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" || typeof value === "number" ? String(value) : undefined;
}

/** A cell is a label; a list of JSON, or choices of Label Studio, hold several; nothing is none. */
function namesIn(value: unknown): string[] | undefined {
  if (value === undefined) return [];
  return typeof value === "boolean" ? [String(value)] : choicesOf(jsonIn(value));
}
