// Label tables in memory: image paths in one string table and, per column of labels, the number of a label
// in a dictionary for every row (NO_NAME where it is missing). Nothing is interpreted here beyond the
// missing-value words; classes.ts turns dictionary numbers into class numbers. labelFiles.ts fills tables
// from files. All faults of a table are reported at once, each with its place.
import { type Fault, type Location, MttcError, suggestName } from "../../compiler/diagnostics.ts";
import { FaultList } from "./faultList.ts";
import { type PathRule, rulePath, withSlashes } from "./imagePaths.ts";
import { type Cell, labelOf, MissingCells, textOf } from "./labelCell.ts";
import { FolderPaths, NumberList, type PathList, StringTable } from "./stringTable.ts";

const MAX_PATH_CHARACTERS = 4_096;
const MAX_LABEL_CHARACTERS = 1_000;
/** More different labels than this are no classes: a number to regress, or a text. */
const MAX_LABELS = 65_536;
const MAX_SHOWN = 60;

/** What is said of a cell that is a list or an object. */
export const NESTED_CELL =
  "expected text, a number or null (lists are labels of tasks of the kind `tags`: {name: ..., kind: tags})";

/** In a column's codes: the cell is missing. */
export const NO_NAME = -1;

/** A column of a table that holds labels of a task, or a part of them. */
export interface LabelPlace {
  readonly task: string;
  /** Its name in the table. */
  readonly column: string;
}

/** The labels in a column: `names[codes[row]]`, or NO_NAME. */
export interface LabelColumn extends LabelPlace {
  /** The different labels as spelled, in order of appearance; of plain cells without outer blanks. */
  readonly names: readonly string[];
  readonly codes: Int32Array;
  /** Cells that were taken as missing, by their spelling; "" stands for empty ones. */
  readonly missing: ReadonlyMap<string, number>;
}

/** A label table as read: paths and labels, without classes. */
export interface LabelTable {
  /** Name for messages: the file, or what the caller calls the rows. */
  readonly source: string;
  readonly tasks: readonly string[];
  /** Absolute path of each row's image. */
  readonly paths: PathList;
  /** In the order of `tasks`: one of each, or of a task's group all. */
  readonly columns: readonly LabelColumn[];
  /** Where a row stands: file and line, or the position in the list of rows. */
  readonly locate: (row: number) => Location;
  /** What was left out, one sentence each. */
  readonly notes: readonly string[];
}

/** The columns that hold a task's labels. */
export function columnsOfTask({ columns }: Pick<LabelTable, "columns">, task: string): LabelColumn[] {
  return columns.filter((column) => column.task === task);
}

/** How messages call the labels of a place. */
export function placeText({ task, column }: LabelPlace): string {
  return column === task ? `task "${task}"` : `task "${task}", column "${column}"`;
}

/** Which columns of a table matter, and how their cells are read. */
export interface TableColumns extends PathRule {
  readonly tasks: readonly string[];
  /** Columns of each task whose labels lie in a group of them; others are called as their task is. */
  readonly groups?: Readonly<Record<string, readonly string[]>>;
  /** Column of image paths. */
  readonly filepaths: string;
  /** What means a missing label, instead of the usual words (the spec's `missing`). */
  readonly missing?: readonly (string | number)[];
  /** Classes by task that are labels even where they are missing-value words. */
  readonly classes?: Readonly<Record<string, readonly string[]>>;
  /** Tasks whose labels may all differ: they are no classes. */
  readonly measured?: readonly string[];
  /** Tasks whose cells may be lists: a list is a label as JSON writes it. */
  readonly lists?: readonly string[];
  /** Missing-value words in any case, and no cell as it stands: quotes decide nothing (see MissingCells). */
  readonly foldsMissing?: boolean;
}

/** The columns that hold labels, in the order of the tasks. */
export function labelPlaces({ tasks, groups = {} }: Pick<TableColumns, "tasks" | "groups">): LabelPlace[] {
  return tasks.flatMap((task) => {
    const columns = (Object.hasOwn(groups, task) ? groups[task] : undefined) ?? [task];
    return columns.map((column) => ({ task, column }));
  });
}

/**
 * A row in memory: the path under the name of the path column, a label, a list of tags or nothing under each
 * task's name, or, of a task of several columns, a label or nothing under each of theirs.
 */
export type LabelRow = Readonly<
  Record<string, string | number | boolean | null | undefined | readonly string[]>
>;

/** A column's labels as they come. */
interface GrowingColumn extends LabelPlace {
  readonly numbers: Map<string, number>;
  /** What plain cells and words of a spelling were found to be: a number in `numbers`, or NO_NAME. */
  readonly plain: Map<string, number>;
  readonly words: Map<string, number>;
  readonly codes: NumberList;
  readonly missing: Map<string, number>;
  readonly missingCells: MissingCells;
  /** How many different labels there may be. */
  readonly mostLabels: number;
  readonly takesLists: boolean;
}

/** A table that grows row by row; what is wrong with a row is kept as a fault. */
export class LabelTableBuilder {
  readonly faults = new FaultList();
  readonly #paths = new StringTable();
  readonly #columns: readonly GrowingColumn[];
  readonly #places = new NumberList();
  readonly #source: string;
  readonly #tasks: readonly string[];
  readonly #locate: (place: number) => Location;
  readonly #rule: PathRule;
  readonly #isFolded: boolean;
  #hasBackslash = false;

  /** `locate` says where a row stands by the place (a line, say) that it was added with. */
  constructor(source: string, columns: TableColumns, locate: (place: number) => Location) {
    const { tasks, missing, classes = {}, measured = [], lists = [], foldsMissing } = columns;
    this.#source = source;
    this.#tasks = tasks;
    this.#locate = locate;
    this.#rule = columns;
    this.#isFolded = foldsMissing === true;
    this.#columns = labelPlaces(columns).map(({ task, column }) => ({
      ...{ task, column },
      numbers: new Map(),
      plain: new Map(),
      words: new Map(),
      codes: new NumberList(),
      missing: new Map(),
      mostLabels: measured.includes(task) ? Number.POSITIVE_INFINITY : MAX_LABELS,
      takesLists: lists.includes(task),
      missingCells: new MissingCells(
        missing,
        Object.hasOwn(classes, task) ? classes[task] : [],
        foldsMissing,
      ),
    }));
  }

  get rows(): number {
    return this.#places.length;
  }

  /** Adds a row: `cells` in the order of labelPlaces. Faults: E_CSV_PATH, E_PATH_ESCAPE, E_LABEL. */
  add(written: string, cells: readonly Cell[], place: number): void {
    this.#places.push(place);
    const path = rulePath(written, this.#rule);
    this.#hasBackslash ||= path.includes("\\");
    const fault = pathFault(path);
    if (fault !== undefined) this.faults.add({ ...fault, at: this.#locate(place) });
    this.#paths.push(fault === undefined ? path : "");
    for (const [at, column] of this.#columns.entries()) {
      const cell = cells[at] ?? "";
      column.codes.push(this.#code(column, this.#isFolded ? textOf(cell) : cell, place));
    }
  }

  fault(code: Fault["code"], message: string, place: number): void {
    this.faults.add({ code, message, at: this.#locate(place) });
  }

  /** The table, its paths made absolute from `folder`; throws what was collected, E_CSV_SHAPE for no rows. */
  finish(folder: string, notes: readonly string[] = []): LabelTable {
    this.faults.throwIfAny();
    if (this.rows === 0)
      throw new MttcError({
        code: "E_CSV_SHAPE",
        message: "the label table has no rows",
        at: this.#locate(0),
      });
    const places = this.#places.values();
    const paths = this.#hasBackslash ? withSlashes(this.#paths, folder) : this.#paths;
    return {
      source: this.#source,
      tasks: this.#tasks,
      paths: new FolderPaths(paths, folder),
      columns: this.#columns.map(({ task, column, numbers, codes, missing }) => ({
        ...{ task, column },
        names: [...numbers.keys()],
        codes: codes.values(),
        missing,
      })),
      locate: (row) => this.#locate(places[row] ?? 0),
      notes,
    };
  }

  #code(column: GrowingColumn, cell: Cell, place: number): number {
    const codes = typeof cell === "string" ? column.plain : column.words;
    const text = textOf(cell);
    let code = codes.get(text) ?? codes.get(labelOf(cell));
    if (code === undefined) {
      const label = labelOf(cell);
      code = column.missingCells.has(cell) ? NO_NAME : this.#number(column, label, place);
      if (code === undefined) return NO_NAME;
      // A copy: a slice of the text that was read would keep all of it in memory.
      codes.set(Buffer.from(label).toString(), code);
    }
    if (code === NO_NAME) {
      const spelling = text.trim();
      column.missing.set(spelling, (column.missing.get(spelling) ?? 0) + 1);
    }
    return code;
  }

  /** The number of a label in the column's dictionary; undefined, and a fault, where it cannot be one. */
  #number(column: GrowingColumn, label: string, place: number): number | undefined {
    const { numbers, mostLabels, takesLists } = column;
    const known = numbers.get(label);
    if (known !== undefined) return known;
    const fault = labelFault(label, numbers.size, mostLabels, takesLists);
    if (fault !== undefined) {
      this.fault("E_LABEL", `${placeText(column)}: ${fault}`, place);
      return undefined;
    }
    numbers.set(Buffer.from(label).toString(), numbers.size);
    return numbers.size - 1;
  }
}

/**
 * A table from rows in memory, for the API; relative paths start from `folder`, `source` names it in
 * messages. Throws E_CSV_SHAPE for no rows, E_CSV_HEADER where no row has a column's key, E_CSV_PATH,
 * E_LABEL.
 */
export function labelTableFromRows(
  rows: readonly LabelRow[],
  columns: TableColumns,
  folder: string = process.cwd(),
  source = "rows",
): LabelTable {
  if (rows.length === 0)
    throw new MttcError({ code: "E_CSV_SHAPE", message: "no rows", at: { path: source } });
  const builder = new LabelTableBuilder(source, columns, (row) => ({ path: `${source}[${row}]` }));
  const keys = new Set(rows.flatMap((row) => Object.keys(row)));
  const places = labelPlaces(columns).map(({ column }) => column);
  for (const name of places) {
    if (keys.has(name)) continue;
    const hint = suggestName(name, [...keys]);
    const message = `no row has a label "${name}"`;
    builder.faults.add({ code: "E_CSV_HEADER", message, at: { path: source }, hint });
  }
  const cellOf = (row: LabelRow, name: string, place: number): string => {
    const value = Object.hasOwn(row, name) ? row[name] : undefined;
    if (value === undefined || value === null) return "";
    if (typeof value !== "object") return String(value);
    if (!columns.lists?.includes(name)) builder.fault("E_CSV_SHAPE", `"${name}": ${NESTED_CELL}`, place);
    return JSON.stringify(value);
  };
  for (const [place, row] of rows.entries()) {
    const cells = places.map((name) => cellOf(row, name, place));
    builder.add(cellOf(row, columns.filepaths, place), cells, place);
  }
  return builder.finish(folder);
}

function labelFault(label: string, known: number, most: number, takesLists: boolean): string | undefined {
  if (label.length > MAX_LABEL_CHARACTERS) return `a label of over ${MAX_LABEL_CHARACTERS} characters`;
  const isNumber =
    /^[+-]?(\.?\d|inf(inity)?$)/i.test(label) && !Number.isNaN(Number(label.replace(/^.?inf.*$/i, "0")));
  if (isNumber && !Number.isFinite(Number(label))) return `"${label}" is not a finite number`;
  if (!takesLists && /^\{\s*"choices"\s*:/.test(label))
    return `several choices in one cell, labels of tasks of the kind \`tags\`: ${label.slice(0, MAX_SHOWN)}`;
  if (known >= most) return `more than ${MAX_LABELS} different labels: these are no classes`;
  return undefined;
}

function pathFault(path: string): Omit<Fault, "at"> | undefined {
  const unusable = (message: string): Omit<Fault, "at"> => ({ code: "E_CSV_PATH", message });
  if (path.trim() === "") return unusable("the image path is empty");
  if (path.length > MAX_PATH_CHARACTERS)
    return unusable(`the image path is longer than ${MAX_PATH_CHARACTERS} characters`);
  if (/\p{Cc}/u.test(path)) return unusable(`the image path has control characters: ${JSON.stringify(path)}`);
  if (!/^[a-z][a-z0-9+.-]+:/i.test(path)) return undefined;
  const message = `expected the path of a file, found an address: ${path}`;
  const hint = "`path_prefix: {from: to}` in the spec makes paths of what addresses begin with";
  return { code: "E_PATH_ESCAPE", message, hint };
}
