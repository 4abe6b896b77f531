// The spec's `split`: one label table -> tables of the rows that train, validate and test. Units of rows
// (splitUnits.ts) are dealt by their labels (stratify.ts); or, of a run that exists, every row goes where its
// record says. What is legal but probably not meant is told: parts of another size, groups without a name,
// classes that no part but one can have, rows that the run does not know.
import { type Fault, InternalError, MttcError } from "../../compiler/diagnostics.ts";
import type { LabelSpec } from "../../compiler/spec/schema.ts";
import type { Task } from "../../compiler/tasks/task.ts";
import { chosenRows } from "../tables/chosenRows.ts";
import { type LabelColumn, type LabelTable, NO_NAME } from "../tables/labelTable.ts";
import { rowsOfOneContent } from "../tables/sameImages.ts";
import { encodeLabels } from "./classes.ts";
import { listNames } from "./labelWarnings.ts";
import { imageKeys, SPLITS, type Split, SplitRecord } from "./splitRecord.ts";
import { type RowUnits, unitsOfRows } from "./splitUnits.ts";
import { stratify } from "./stratify.ts";
import { hasFlags } from "./taskLabels.ts";

/** The spec's `split`. */
export type SplitKeys = NonNullable<LabelSpec["split"]>;

/** A table that is split. */
export interface WholeTable {
  readonly table: LabelTable;
  /** The column `by`; undefined where the split names none. */
  readonly groups: LabelColumn | undefined;
  /** The folder that images are known from (imageKeys). */
  readonly folder: string;
}

/** The parts of a table. */
export interface SplitTables {
  readonly tables: Readonly<Record<Split, LabelTable | undefined>>;
  /** Numbers of their rows in the whole table. */
  readonly rows: Readonly<Record<Split, Int32Array>>;
  readonly record: SplitRecord;
  /** What is legal but probably not meant, one sentence each. */
  readonly notes: readonly string[];
}

/** Places in SPLITS; of rows that are in no part a place beyond them. */
const TRAIN = 0;
const VAL = 1;
const TEST = 2;
const UNKNOWN = SPLITS.length;
/** A part that differs more from what was asked for, of its rows, is told. */
const MOST_MISFIT = 0.1;

/** The shares that rows are dealt in, and the place in SPLITS that each is part of. */
function sharesOf({ val, test, folds, fold }: SplitKeys): { shares: number[]; places: number[] } {
  const rest = 1 - (test ?? 0);
  const held = test === null ? [] : [{ share: test, place: TEST }];
  const others =
    folds === null
      ? [{ share: rest - (val ?? 0), place: TRAIN }, ...(val === null ? [] : [{ share: val, place: VAL }])]
      : Array.from({ length: folds }, (_, i) => ({
          share: rest / folds,
          place: i + 1 === fold ? VAL : TRAIN,
        }));
  const all = [...others, ...held];
  return { shares: all.map(({ share }) => share), places: all.map(({ place }) => place) };
}

/** Rows as they were dealt: of each its image's key and its place among the shares. */
interface DealtRows {
  readonly images: BigUint64Array;
  readonly dealt: Int32Array;
  readonly notes: readonly string[];
}

/**
 * Splits a table anew, alike in the labels of `tasks`. E_CONFIG where there are fewer groups than parts;
 * E_LABEL for labels that are none of a task's kind.
 */
export async function splitAnew(
  whole: WholeTable,
  tasks: readonly Task[],
  keys: SplitKeys,
): Promise<SplitTables> {
  const { images, dealt, notes } = await dealRows(whole, tasks, keys);
  const { places } = sharesOf(keys);
  const parts = dealt.map((place) => places[place] ?? TRAIN);
  return { ...partTables(whole.table, parts), record: SplitRecord.of(images, parts), notes };
}

/** Records of the same split with each of its folds in turn for validation. `keys` has `folds`. */
export async function splitFolds(
  whole: WholeTable,
  tasks: readonly Task[],
  keys: SplitKeys,
): Promise<{ readonly records: readonly SplitRecord[]; readonly notes: readonly string[] }> {
  const { images, dealt, notes } = await dealRows(whole, tasks, keys);
  const records = Array.from({ length: keys.folds ?? 0 }, (_, i) => {
    const { places } = sharesOf({ ...keys, fold: i + 1 });
    return SplitRecord.of(
      images,
      dealt.map((place) => places[place] ?? TRAIN),
    );
  });
  return { records, notes };
}

async function dealRows(whole: WholeTable, tasks: readonly Task[], keys: SplitKeys): Promise<DealtRows> {
  const { table, groups, folder } = whole;
  // What is no class of the spec's is refused when the parts are read.
  const { labels } = encodeLabels(table, tasks, { lines: [], of: "" });
  const images = imageKeys(table, folder);
  // Of one photograph under two names one part would know what the other is asked.
  const copies = await rowsOfOneContent(table.paths);
  const rows = { paths: table.paths, keys: images, copies, groups, tasks, labels };
  const { units, unitOf } = unitsOfRows(rows, keys.seed);
  const { shares } = sharesOf(keys);
  if (units.rows.length < shares.length) throw tooFew(table, units.rows.length, shares.length, keys);
  const ofUnits = stratify(units, shares);
  const dealt = unitOf.map((unit) => ofUnits[unit] ?? 0);
  const notes = [
    ...blankGroups(table, groups, keys),
    ...misfits(table, dealt, { units, unitOf }, keys),
    ...rareLabels(tasks, { units, unitOf }, shares.length, keys, labels.map(hasFlags)),
  ];
  return { images, dealt, notes };
}

/**
 * Splits a table as a run did. E_DATA_CHANGED where it holds no row of a part; that rows are new or gone is
 * told.
 */
export function splitAgain({ table, folder }: Omit<WholeTable, "groups">, record: SplitRecord): SplitTables {
  const images = imageKeys(table, folder);
  const parts = Int32Array.from(images, (key) => record.partOf(key) ?? UNKNOWN);
  const { tables, rows } = partTables(table, parts);
  const faults: Fault[] = [];
  const notes: string[] = [];
  for (const split of SPLITS) {
    const [now, before] = [tables[split]?.paths.length ?? 0, record.rowsOf(split)];
    if (before === 0) continue;
    const of = `${before} ${split === "train" ? "training" : PART_NAMES[split]} rows of the run's split`;
    if (now === 0) {
      const message = `none of the ${of} is in the table`;
      const hint =
        "were its images moved or renamed? A row is known by its image's path from the table's folder";
      faults.push({ code: "E_DATA_CHANGED", message, at: { file: table.source }, hint });
    } else if (now < before) notes.push(`${before - now} of the ${of} are no more in ${table.source}`);
  }
  if (faults.length > 0) throw new MttcError(faults);
  const added = parts.reduce((count, part) => count + (part === UNKNOWN ? 1 : 0), 0);
  if (added > 0)
    notes.push(
      `${rowsText(added)} of ${table.source} came after the run had split it: left out (a new run takes them in)`,
    );
  return { tables, rows, record, notes };
}

/** What the parts are called in sentences. */
const PART_NAMES: Readonly<Record<Split, string>> = { train: "training", val: "validation", test: "test" };

function partTables(table: LabelTable, parts: Int32Array): Pick<SplitTables, "tables" | "rows"> {
  const rowsOf = (place: number): Int32Array => {
    const count = parts.reduce((sum, part) => sum + (part === place ? 1 : 0), 0);
    const chosen = new Int32Array(count);
    let filled = 0;
    for (const [row, part] of parts.entries()) if (part === place) chosen[filled++] = row;
    return chosen;
  };
  const rows = { train: rowsOf(TRAIN), val: rowsOf(VAL), test: rowsOf(TEST) };
  const part = (split: Split): LabelTable | undefined => {
    if (rows[split].length === 0) return undefined;
    return chosenRows(table, rows[split], `the ${PART_NAMES[split]} part of ${table.source}`);
  };
  return { rows, tables: { train: part("train"), val: part("val"), test: part("test") } };
}

function tooFew(table: LabelTable, units: number, parts: number, { by }: SplitKeys): MttcError {
  const what =
    by === null ? `${units === 1 ? "image" : "images"}` : `${units === 1 ? "group" : "groups"} of "${by}"`;
  return new MttcError({
    code: "E_CONFIG",
    message: `${units} ${what} in ${table.source} cannot make ${parts} parts`,
    at: { path: by === null ? "split" : "split.by" },
    ...(by === null ? {} : { hint: "rows of a group stay together: is this the right column?" }),
  });
}

function blankGroups({ source }: LabelTable, groups: LabelColumn | undefined, { by }: SplitKeys): string[] {
  if (groups === undefined) return [];
  const blank = groups.codes.reduce((count, code) => count + (code === NO_NAME ? 1 : 0), 0);
  if (blank === 0) return [];
  if (blank === groups.codes.length)
    throw new MttcError({
      code: "E_CONFIG",
      message: `the column "${by}" of ${source} is empty: there are no groups to keep together`,
      at: { path: "split.by" },
    });
  return [`split: ${rowsText(blank)} of ${source} have no "${by}": each is dealt for itself`];
}

/** Parts that are larger or smaller than asked for, and what made them so. */
function misfits(
  table: LabelTable,
  dealt: Int32Array,
  { units, unitOf }: RowUnits,
  keys: SplitKeys,
): string[] {
  const all = dealt.length;
  const { shares, places } = sharesOf(keys);
  const largest = units.rows.reduce((most, rows) => Math.max(most, rows), 0);
  return shares.flatMap((share, place) => {
    const part = SPLITS[places[place] ?? TRAIN] ?? "train";
    if (keys.folds === null && part === "train") return [];
    const found = dealt.reduce((count, each) => count + (each === place ? 1 : 0), 0);
    const wanted = share * all;
    if (Math.abs(found - wanted) <= Math.max(1, MOST_MISFIT * wanted)) return [];
    const name =
      keys.folds === null || part === "test" ? `the ${PART_NAMES[part]} part` : `fold ${place + 1}`;
    const of = `split: ${name} has ${found} of ${all} rows of ${table.source}, ${Math.round(wanted)} were asked for`;
    return [`${of}: ${togetherText(table, units.rows.indexOf(largest), largest, unitOf, keys)}`];
  });
}

function togetherText(
  table: LabelTable,
  unit: number,
  rows: number,
  unitOf: Int32Array,
  { by }: SplitKeys,
): string {
  const image = table.paths.at(unitOf.indexOf(unit)) ?? "";
  const what = by === null ? "rows of one image" : `rows of one "${by}"`;
  return `${what} stay together, ${rows} at most (such as that of ${image})`;
}

/** Classes and tags that lie in fewer units than there are parts. */
function rareLabels(
  tasks: readonly Task[],
  { units }: RowUnits,
  parts: number,
  { by }: SplitKeys,
  areFlags: readonly boolean[],
): string[] {
  const unitsOf = new Int32Array(units.labelCount);
  for (const label of units.labels) unitsOf[label] = (unitsOf[label] ?? 0) + 1;
  let first = 0;
  return tasks.flatMap(({ name, groups }, t) => {
    const own = unitsOf.subarray(first, first + groups.names.length);
    first += groups.names.length;
    if (!groups.areClasses && !areFlags[t]) return [];
    const rare = groups.names.flatMap((label, i) => {
      const count = own[i] ?? 0;
      return count > 0 && count < parts ? [`${label} (${count})`] : [];
    });
    if (rare.length === 0) return [];
    const where = by === null ? "images" : `groups of "${by}"`;
    return [
      `split: task "${name}": in fewer ${where} than the ${parts} parts, so that parts lack them: ${listNames(rare)}`,
    ];
  });
}

function rowsText(rows: number): string {
  return rows === 1 ? "1 row" : `${rows} rows`;
}

/** The last column of a table that was read with it, and the table without it. */
export function withoutLastColumn(table: LabelTable): { table: LabelTable; column: LabelColumn } {
  const column = table.columns.at(-1);
  if (column === undefined) throw new InternalError("a table without columns");
  return {
    table: { ...table, tasks: table.tasks.slice(0, -1), columns: table.columns.slice(0, -1) },
    column,
  };
}
