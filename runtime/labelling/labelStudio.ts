// Exports of Label Studio: JSON (tasks with their annotations), JSON-MIN and CSV (a row an annotation, a
// column for each control). Labels are what its Choices, Rating and Number controls hold; a column is named
// as the control. Annotations of several people that differ are contradictions, predictions are no labels.
import { z } from "zod";
import { IMAGE_NAME } from "../tables/folderTable.ts";
import { ExportBuilder, type LabelExport, notAnExport } from "./labelExport.ts";
import type { TableRows } from "./tableRows.ts";

/** Columns that Label Studio adds to every row. */
const BOOKKEEPING: ReadonlySet<string> = new Set([
  "annotation_id",
  "annotator",
  "created_at",
  "id",
  "lead_time",
  "updated_at",
]);

const result = z.looseObject({
  type: z.string().optional(),
  from_name: z.string().optional(),
  value: z.looseObject({}).optional(),
});
const annotation = z.looseObject({
  was_cancelled: z.boolean().nullish(),
  result: z.array(result).default([]),
});
const task = z.looseObject({
  id: z.union([z.number(), z.string()]).optional(),
  data: z.looseObject({}),
  annotations: z.array(annotation).optional(),
  completions: z.array(annotation).optional(),
});

/** Whether parsed JSON is an export of tasks: the first element has data and annotations. */
export function isLabelStudioJson(value: unknown): value is unknown[] {
  const [first]: unknown[] = Array.isArray(value) ? value : [];
  if (typeof first !== "object" || first === null || !("data" in first)) return false;
  return "annotations" in first || "completions" in first;
}

/** Reads an export of tasks. E_CSV_SHAPE where a task is none. */
export function readLabelStudioJson(tasks: readonly unknown[], file: string): LabelExport {
  const builder = new ExportBuilder();
  for (const [index, element] of tasks.entries()) {
    const parsed = task.safeParse(element);
    if (!parsed.success)
      throw notAnExport(file, "no task of Label Studio", {
        path: `[${index}].${parsed.error.issues[0]?.path.join(".")}`,
      });
    const { id = index, data, annotations, completions } = parsed.data;
    const image = imageOf(data);
    if (image === undefined) {
      builder.passOver("tasks without an image");
      continue;
    }
    builder.image(image);
    for (const { was_cancelled: isCancelled, result: results } of annotations ?? completions ?? []) {
      if (isCancelled === true) builder.passOver("annotations that were cancelled");
      else for (const one of results) takeResult(builder, one, image, `task ${id}`);
    }
  }
  return builder.finish("Label Studio's JSON");
}

function takeResult(
  builder: ExportBuilder,
  { type = "", from_name: name = type, value = {} }: z.output<typeof result>,
  image: string,
  place: string,
): void {
  const names = choicesOf(value.choices ?? value.rating ?? value.number);
  if (names === undefined) builder.passOver(`results of the type ${type || "unknown"}`);
  else builder.label({ image, task: name, names, place });
}

/** What a control or a cell holds: one name or number, or a list of names; undefined for anything else. */
export function choicesOf(value: unknown): string[] | undefined {
  if (typeof value === "string" || typeof value === "number") return [String(value)];
  if (Array.isArray(value) && value.every((name) => typeof name === "string")) return value;
  if (typeof value === "object" && value !== null && "choices" in value) return choicesOf(value.choices);
  return undefined;
}

/** The image of a task: the value that ends as an image does, else one under a usual name. */
function imageOf(data: Readonly<Record<string, unknown>>): string | undefined {
  const texts = Object.entries(data).filter(
    (entry): entry is [string, string] => typeof entry[1] === "string",
  );
  const named = texts.find(([, text]) => IMAGE_NAME.test(text.replace(/[?#](?!d=).*$/, "")));
  const usual = named ?? texts.find(([key]) => /^(image|img|url|photo|picture)$/i.test(key));
  return usual && plainPath(usual[1]);
}

/** The path in an address of local files (`/data/local-files/?d=photos/1.jpg`); others stay. */
function plainPath(text: string): string {
  const local = /\/local-files\/\?d=([^&]+)/.exec(text)?.[1];
  if (local === undefined) return text;
  try {
    return decodeURIComponent(local);
  } catch (error) {
    if (!(error instanceof URIError)) throw error;
    return local;
  }
}

/** Whether rows are of JSON-MIN or CSV: they have Label Studio's columns. */
export function isLabelStudioTable(columns: readonly string[]): boolean {
  return columns.includes("annotation_id") && columns.includes("annotator");
}

/** Reads JSON-MIN or CSV; `pathColumn` holds the images. */
export function readLabelStudioTable({ columns, rows }: TableRows, pathColumn: string): LabelExport {
  const builder = new ExportBuilder();
  const controls = columns.filter((name) => name !== pathColumn && !BOOKKEEPING.has(name));
  for (const { values, place } of rows) {
    const path = values.get(pathColumn);
    if (typeof path !== "string" || path === "") {
      builder.passOver("rows without an image");
      continue;
    }
    const image = plainPath(path);
    builder.image(image);
    for (const control of controls) {
      const value = values.get(control) ?? "";
      const names = choicesOf(jsonIn(value));
      if (names === undefined) builder.passOver(`cells of ${control} that hold no choices`);
      else builder.label({ image, task: control, names, place });
    }
  }
  return builder.finish("Label Studio's table");
}

/** The list or object that a cell of a CSV holds as JSON; any other cell as it is. */
export function jsonIn(value: unknown): unknown {
  if (typeof value !== "string" || !/^\s*[[{]/.test(value)) return value;
  try {
    return JSON.parse(value);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return value;
  }
}
