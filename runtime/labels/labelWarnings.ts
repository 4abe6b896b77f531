// What label tables hold that is legal but probably not meant, one sentence each with its numbers: words that
// were taken as missing, classes that look alike, that mean no label elsewhere, that have a single row.
import { classKey } from "../../compiler/spec/classKey.ts";
import {
  columnsOfTask,
  type LabelColumn,
  type LabelTable,
  NO_NAME,
  placeText,
} from "../tables/labelTable.ts";
import { type BatchSpec, sampleProbabilities } from "./sampler.ts";
import { classOf, rowCount, type TaskLabels } from "./taskLabels.ts";

const MAX_NAMED = 5;
/** Spellings that other programs write for "no label", which are classes here unless `missing` lists them. */
const NO_LABEL =
  /^[<[(#]?(n\/?a\.?|n\.a\.?|nan|none|null|nil|undefined|missing|unlabell?ed)[>\])]?$|^[-?.]+$/i;

/** What is known of a run's labels. */
export interface ReadLabels {
  readonly classes: Readonly<Record<string, readonly string[]>>;
  /** Tasks whose classes the spec lists: how they are spelled was decided. */
  readonly listed: ReadonlySet<string>;
  readonly train: LabelTable;
  readonly val: LabelTable | undefined;
  readonly test?: LabelTable | undefined;
  /** The table that the others are parts of, where one was split: missing words are known of it alone. */
  readonly whole?: LabelTable | undefined;
  /** Labels of the training rows, by task. */
  readonly labels: readonly TaskLabels[];
  /** What a batch is; undefined where none is made. */
  readonly batch: BatchSpec | undefined;
}

/** What is legal but probably not meant, one sentence each. */
export function labelWarnings(read: ReadLabels): string[] {
  const { train, val, test, whole } = read;
  const tables = (whole ? [whole] : [train, val, test]).filter((table) => table !== undefined);
  const warnings = train.tasks.flatMap((task, index) => {
    const columns = columnsOfTask(train, task);
    return [
      ...tables.flatMap((table) =>
        columnsOfTask(table, task).flatMap((column) => missingWarnings(table, column)),
      ),
      ...groupWarnings(columns),
      ...spellingWarnings(read, task, columns[0]),
      ...classWarnings(read, task),
      ...singleRowWarnings(read, task, index),
    ];
  });
  warnings.push(...balanceWarnings(read));
  const empty = rowsWithoutLabel(train);
  if (empty > 0) warnings.push(`${empty} training rows have no label at all`);
  for (const [table, held, name, of] of [
    [train, val, "validation", "training"],
    [train, test, "test", "training"],
    [val, test, "test", "validation"],
  ] as const) {
    const shared = table && held && !whole ? sharedRows(table, held) : 0;
    if (shared > 0) warnings.push(`${shared} ${name} rows name images that are ${of} images too`);
  }
  return [...tables.flatMap(({ notes }) => notes), ...warnings];
}

/** Balancing goes by classes: rows of a task that has none are drawn alike. */
function balanceWarnings({ classes, train, batch }: ReadLabels): string[] {
  const others = train.tasks.filter((task) => !Object.hasOwn(classes, task));
  if (!batch?.balance_probs || !batch.balance_classes || others.length === 0) return [];
  const names = listNames(others.map((task) => `"${task}"`));
  return [`balance_classes does nothing for ${names}: no classes, so that labelled rows are drawn alike`];
}

/** Cells of a column that were taken as missing, by spelling: `2 NA, 1 None, 7 empty`; "" where there are none. */
export function missingText({ missing }: Pick<LabelColumn, "missing">): string {
  const words = [...missing].filter(([word]) => word !== "").sort(([, a], [, b]) => b - a);
  const empty = missing.get("") ?? 0;
  return [...words.map(([word, rows]) => `${rows} ${word}`), ...(empty > 0 ? [`${empty} empty`] : [])].join(
    ", ",
  );
}

/** The first few of a list as text, and how many more there are. */
export function listNames(names: readonly string[]): string {
  const rest = names.length - MAX_NAMED;
  return `${names.slice(0, MAX_NAMED).join(", ")}${rest > 0 ? ` and ${rest} more` : ""}`;
}

/** Words alone: that empty cells are missing is what everybody means. */
function missingWarnings({ source }: LabelTable, column: LabelColumn): string[] {
  if ([...column.missing.keys()].every((word) => word === "")) return [];
  return [
    `${placeText(column)}: taken as missing in ${source}: ${missingText(column)} (\`missing\` in the spec lists the words)`,
  ];
}

/** Columns of a group from which there is nothing to learn. */
function groupWarnings(columns: readonly LabelColumn[]): string[] {
  if (columns.length === 1) return [];
  return columns.flatMap((column) => {
    const [first, ...others] = rowsByKey(column).keys();
    if (first === undefined) return [`${placeText(column)} has no training label`];
    if (others.length > 0) return [];
    return [`${placeText(column)} has one value only (${first}): there is nothing to learn`];
  });
}

/** Rows of each class of a column, by its key. */
function rowsByKey({ names, codes }: LabelColumn): Map<string, number> {
  const keys = names.map(classKey);
  const rows = new Map<string, number>();
  for (const code of codes) {
    const key = keys[code];
    if (key !== undefined) rows.set(key, (rows.get(key) ?? 0) + 1);
  }
  return rows;
}

/** Classes that a reader would take for one, or for no label. */
function spellingWarnings(
  { classes, listed }: ReadLabels,
  task: string,
  column: LabelColumn | undefined,
): string[] {
  if (column === undefined || listed.has(task) || !Object.hasOwn(classes, task)) return [];
  const rows = rowsByKey(column);
  const warnings: string[] = [];
  const say = (what: string, names: readonly string[]): void => {
    if (names.length > 0) warnings.push(`task "${task}": ${what}: ${listNames(names)}`);
  };
  const withRows = (key: string): string => `"${key}" (${rowsText(rows.get(key) ?? 0)})`;
  for (const group of groupsOf(rows.keys(), (key) => key.trim().toLowerCase()))
    say("classes that differ in case or outer blanks alone", group.map(withRows));
  const text = column.names.filter((name) => name.normalize("NFC") !== name);
  for (const group of groupsOf(column.names, classKey))
    if (group.some((name) => text.includes(name)))
      say("one class, written in several Unicode forms", [withRows(classKey(group[0] ?? ""))]);
  const odd = [...rows.keys()].filter((key) => NO_LABEL.test(key.trim()));
  say("classes that may mean no label (list them under `missing` if they do)", odd.map(withRows));
  return warnings;
}

function rowsText(rows: number): string {
  return rows === 1 ? "1 row" : `${rows} rows`;
}

/** Those that share a key, in groups of two and more. */
function groupsOf(names: Iterable<string>, keyOf: (name: string) => string): string[][] {
  const groups = new Map<string, string[]>();
  for (const name of names) {
    const group = groups.get(keyOf(name)) ?? [];
    groups.set(keyOf(name), group);
    group.push(name);
  }
  return [...groups.values()].filter(({ length }) => length > 1);
}

/** Classes without rows, a single class, and -1. */
function classWarnings({ classes, train, val, test }: ReadLabels, task: string): string[] {
  const names = classes[task] ?? [];
  const trained = classesIn(train, task);
  const hasRows = (keys: ReadonlySet<string>, name: string): boolean => keys.has(classKey(name));
  const untrained = names.filter((name) => !hasRows(trained, name));
  const warnings: string[] = [];
  if (names.length === 1) warnings.push(`task "${task}" has a single class: there is nothing to learn`);
  if (names.includes("-1")) warnings.push(minusOneText(task, names));
  if (untrained.length > 0) warnings.push(`task "${task}": no training label of ${listNames(untrained)}`);
  for (const [table, name] of [
    [val, "validation"],
    [test, "test"],
  ] as const) {
    if (table === undefined) continue;
    const held = classesIn(table, task);
    const unseen = names.filter((each) => hasRows(trained, each) && !hasRows(held, each));
    if (held.size === 0) warnings.push(`task "${task}" has no label in ${table.source}`);
    else if (unseen.length > 0) warnings.push(`task "${task}": no ${name} label of ${listNames(unseen)}`);
  }
  return warnings;
}

/** Classes that rows of a table have, by their keys: a part's dictionary may hold more. */
function classesIn(table: LabelTable, task: string): ReadonlySet<string> {
  return new Set(columnsOfTask(table, task).flatMap((column) => [...rowsByKey(column).keys()]));
}

/** CheXpert's tables, for one, write -1 for "uncertain" beside 0 and 1. */
function minusOneText(task: string, names: readonly string[]): string {
  if (!names.includes("0") && !names.includes("1"))
    return `task "${task}" has a class "-1"; missing labels are empty cells`;
  return `task "${task}" has a class "-1" beside 0 and 1; if it means uncertain or unlabelled: \`missing: [-1]\``;
}

/** Classes of one row, of which the model learns that one image, and what balancing makes of them. */
function singleRowWarnings({ classes, labels, batch }: ReadLabels, task: string, index: number): string[] {
  const names = classes[task] ?? [];
  const ofTask = labels[index];
  if (ofTask === undefined || batch === undefined || names.length < 2) return [];
  const lastRow = new Int32Array(names.length);
  const rows = new Int32Array(names.length);
  for (let row = 0; row < rowCount([ofTask]); row++) {
    const label = classOf(ofTask, row);
    if (label === undefined) continue;
    rows[label] = (rows[label] ?? 0) + 1;
    lastRow[label] = row;
  }
  const single = names.filter((_, label) => rows[label] === 1);
  if (single.length === 0) return [];
  const listed = `${single.length === 1 ? "a class" : `${single.length} classes`} of one training row`;
  const warning = `task "${task}" has ${listed}: ${listNames(single)}`;
  if (!batch.balance_probs) return [warning];
  const drawn = sampleProbabilities(labels, batch.balance_classes);
  const most = lastRow.reduce(
    (top, row, label) => (rows[label] === 1 ? Math.max(top, drawn[row] ?? 0) : top),
    0,
  );
  return [
    `${warning}; balancing draws such a row ${(most * batch.batch_size).toFixed(1)} times for every batch of ${batch.batch_size}`,
  ];
}

function rowsWithoutLabel({ paths, columns }: LabelTable): number {
  let empty = 0;
  for (let row = 0; row < paths.length; row++)
    if (columns.every(({ codes }) => codes[row] === NO_NAME)) empty++;
  return empty;
}

/** Validation rows whose path is a training row's; of the larger table nothing is kept in memory. */
function sharedRows(train: LabelTable, val: LabelTable): number {
  const known = new Set(val.paths);
  const shared = new Set<string>();
  for (const path of train.paths) if (known.has(path)) shared.add(path);
  let rows = 0;
  for (const path of val.paths) if (shared.has(path)) rows++;
  return rows;
}
