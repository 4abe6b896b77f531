// What a label table seems to hold, for `mttc init`: which column names images, which ones look like tasks,
// which do not.
import { readFile } from "node:fs/promises";
import { CsvError, parse } from "csv-parse/sync";
import sharp from "sharp";
import { MttcError } from "../compiler/diagnostics.ts";
import { resolveSpec } from "../compiler/spec/parseSpec.ts";
import { fileError } from "../runtime/checkpoint/fileSystem.ts";
import { sortClasses } from "../runtime/data/classes.ts";
import { readImageFile } from "../runtime/data/imageFile.ts";
import { isMissing } from "../runtime/data/labelTable.ts";

const IMAGE_NAME = /\.(png|jpe?g|webp)$/i;
const MAX_CLASSES = 200;
/** A column with fewer rows per value than this is text, not classes. */
const MIN_ROWS_PER_CLASS = 2;
const SAMPLED_IMAGES = 16;

/** A column that looks like a task. */
export interface TaskColumn {
  readonly name: string;
  readonly labelled: number;
  /** Classes with their rows, in the order that training gives them. */
  readonly classes: readonly { readonly name: string; readonly rows: number }[];
}

export interface TableFacts {
  readonly rows: number;
  readonly pathColumn: string;
  readonly paths: readonly string[];
  readonly tasks: readonly TaskColumn[];
  /** Columns that are no tasks, and why. */
  readonly others: readonly { readonly name: string; readonly reason: string }[];
}

/**
 * Reads a label table. E_FILE, E_CSV_SHAPE, and E_CSV_HEADER where no column names images or none can be a
 * task.
 */
export async function readTableFacts(file: string): Promise<TableFacts> {
  const [header = [], ...rows] = await readCsv(file);
  const names = header.map((name) => name.trim());
  const columns = names.map((name, i) => ({ name, cells: rows.map((row) => row[i] ?? "") }));
  const shareOfPaths = (cells: readonly string[]): number =>
    cells.filter((cell) => IMAGE_NAME.test(cell.trim())).length / Math.max(1, rows.length);
  const [best] = columns.toSorted((a, b) => shareOfPaths(b.cells) - shareOfPaths(a.cells));
  const refuse = (message: string, hint: string): never => {
    throw new MttcError({ code: "E_CSV_HEADER", message, at: { file, line: 1 }, hint });
  };
  if (!best || shareOfPaths(best.cells) < 0.5)
    return refuse(
      "no column looks like image paths",
      `half of its cells should end in .png, .jpg, .jpeg or .webp; columns: ${names.join(", ")}`,
    );
  const judged = columns.filter((column) => column !== best).map(({ name, cells }) => judge(name, cells));
  const tasks = judged.flatMap((column) => ("classes" in column ? [column] : []));
  const others = judged.flatMap((column) => ("reason" in column ? [column] : []));
  if (tasks.length === 0)
    return refuse(
      "no column looks like a task",
      others.map(({ name, reason }) => `${name}: ${reason}`).join("; ") || "there is no other column",
    );
  return {
    rows: rows.length,
    pathColumn: best.name,
    paths: best.cells.map((cell) => cell.trim()),
    tasks,
    others,
  };
}

function judge(name: string, cells: readonly string[]): TaskColumn | TableFacts["others"][number] {
  const counts = new Map<string, number>();
  for (const cell of cells.filter((text) => !isMissing(text)))
    counts.set(cell.trim(), (counts.get(cell.trim()) ?? 0) + 1);
  const labelled = [...counts.values()].reduce((sum, rows) => sum + rows, 0);
  if (labelled === 0) return { name, reason: "empty" };
  if (counts.size === 1) return { name, reason: `one value only (${[...counts.keys()][0]})` };
  if (counts.size > MAX_CLASSES || labelled / counts.size < MIN_ROWS_PER_CLASS)
    return { name, reason: `${counts.size} different values in ${labelled} rows` };
  const fault = taskNameFault(name);
  if (fault !== undefined) return { name, reason: fault };
  const classes = sortClasses([...counts.keys()]).map((label) => ({
    name: label,
    rows: counts.get(label) ?? 0,
  }));
  return { name, labelled, classes };
}

/** Why the spec would refuse a task of that name; undefined if it takes it. */
function taskNameFault(name: string): string | undefined {
  try {
    resolveSpec({ tasks: [name], filepaths: `not ${name}`.slice(0, 200), fcn: { layers: [1] } });
    return undefined;
  } catch (error) {
    if (!(error instanceof MttcError)) throw error;
    return error.faults[0]?.message ?? "not a task's name";
  }
}

async function readCsv(file: string): Promise<string[][]> {
  let bytes: Buffer;
  try {
    bytes = await readFile(file);
  } catch (error) {
    throw fileError(error, file, "read the label table");
  }
  try {
    const records = parse(bytes, { bom: true, relax_column_count: true, skip_empty_lines: true });
    if (records.length > 1) return records;
  } catch (cause) {
    if (!(cause instanceof CsvError)) throw cause;
    throw new MttcError({ code: "E_CSV_SHAPE", message: cause.message, at: { file } }, { cause });
  }
  throw new MttcError({ code: "E_CSV_SHAPE", message: "the label table has no rows", at: { file } });
}

/** Median [height, width] of the first images that can be read; undefined where none can. */
export async function medianImageSize(paths: readonly string[]): Promise<[number, number] | undefined> {
  const sizes: { height: number; width: number }[] = [];
  for (const path of paths.slice(0, SAMPLED_IMAGES)) {
    try {
      const { autoOrient } = await sharp(await readImageFile(path)).metadata();
      sizes.push(autoOrient);
    } catch {
      // A draft needs a typical size only; training names every image that it cannot read.
    }
  }
  if (sizes.length === 0) return undefined;
  const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1] ?? 0;
  return [median(sizes.map(({ height }) => height)), median(sizes.map(({ width }) => width))];
}
