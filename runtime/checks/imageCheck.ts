// `mttc data check`: every image that label tables name, tried once before any training. In: tables; out: a
// report of all faults and of what is worth knowing, and tables without the faulty rows.
import { type Fault, type Location, MttcError } from "../../compiler/diagnostics.ts";
import { listedIn } from "../images/imageFile.ts";
import type { ImageFormat } from "../images/images.ts";
import { type ReadTable, type ReducedTable, writeReducedTable } from "../tables/reducedTable.ts";
import { compareManifest, type ImageManifest, type ManifestComparison } from "./imageManifest.ts";
import { type Inspection, NOTHING_FOUND, type NoteKind } from "./inspection.ts";
import { type InspectionLimits, InspectionPool } from "./inspectionPool.ts";
import { isLink, type PathScope, tableScope } from "./pathScope.ts";
import { pairsOf, sameContent } from "./splitLeak.ts";

/** A label table as the check sees it; `source` is its file or folder. */
export interface CheckedTable extends ReadTable {
  readonly locate: (row: number) => Location;
}

/** The tables of one run. */
export interface CheckedSplits {
  readonly train: CheckedTable;
  readonly val?: CheckedTable | undefined;
  readonly test?: CheckedTable | undefined;
}

export interface CheckOptions {
  readonly format: ImageFormat;
  /** Folder that all images must lie in; default: that of each table, and `folder`. */
  readonly root?: string | undefined;
  /** The spec's folder. */
  readonly folder?: string | undefined;
  /** Tables of one run, or parts of one: an image whose content an earlier one has is E_SPLIT_LEAK. */
  readonly splits?: CheckedSplits | undefined;
  /** Hashes of an earlier check, and where their paths start: a file that differs is E_IMG_HASH. */
  readonly manifest?: { readonly hashes: ImageManifest; readonly base: string };
  readonly limits?: InspectionLimits;
  readonly onProgress?: (done: number, total: number) => void;
}

/** A file that is not usable, or not where it is listed, with every row that names it. */
export interface FaultyFile {
  readonly path: string;
  readonly fault: Fault;
  readonly rows: readonly { readonly table: CheckedTable; readonly row: number }[];
}

export interface CheckReport {
  readonly rowCount: number;
  readonly fileCount: number;
  readonly faulty: readonly FaultyFile[];
  /** Files by what is legal but worth knowing. */
  readonly notes: ReadonlyMap<NoteKind, readonly string[]>;
  /** SHA-256 of every usable file by path. */
  readonly hashes: ReadonlyMap<string, string>;
  /** The files beside the manifest, where one was given. */
  readonly manifest?: ManifestComparison;
}

/** Tries every file once, in child processes. Faults are in the report, in the order of the rows. */
export async function checkImages(
  tables: readonly CheckedTable[],
  options: CheckOptions,
): Promise<CheckReport> {
  const rowsOf = new Map<string, { table: CheckedTable; row: number }[]>();
  for (const table of tables) {
    let row = 0;
    for (const path of table.paths) {
      const rows = rowsOf.get(path) ?? [];
      rowsOf.set(path, rows);
      rows.push({ table, row: row++ });
    }
  }
  const files = [...rowsOf];
  const scopes = new Map(
    tables.map((table) => [table, tableScope(table.source, options.root, options.folder)]),
  );
  const inspections: Inspection[] = [];
  await using pool = new InspectionPool(options);
  let [next, done] = [0, 0];
  const work = async (): Promise<void> => {
    for (let index = next++; index < files.length; index = next++) {
      const [path, rows] = files[index] ?? ["", []];
      inspections[index] = await inspectOne(path, rows, scopes, pool);
      options.onProgress?.(++done, files.length);
    }
  };
  await Promise.all(Array.from({ length: pool.processes }, work));
  const manifest = options.manifest && compareFiles(files, inspections, options.manifest);
  const report = summarise(files, inspections);
  const faulty = [...report.faulty, ...leaks(options.splits, tables, rowsOf, report.hashes)];
  return { ...report, faulty, ...(manifest && { manifest }) };
}

/** The rows of the later table alone are faulty; of parts of one table all rows of the later part's image. */
function leaks(
  splits: CheckOptions["splits"],
  tables: readonly CheckedTable[],
  rowsOf: ReadonlyMap<string, FaultyFile["rows"]>,
  hashes: CheckReport["hashes"],
): FaultyFile[] {
  if (splits === undefined) return [];
  // What two tables have, the test table loses once.
  const found = new Map<string, FaultyFile>();
  for (const pair of pairsOf<CheckedTable>(splits))
    for (const { path, fault } of sameContent(pair, hashes)) {
      const isPart = !tables.includes(pair.held);
      const rows = (rowsOf.get(path) ?? []).filter(({ table }) => isPart || table === pair.held);
      const known = found.get(path);
      const others = rows.filter(({ table }) => !known?.rows.some((row) => row.table === table));
      found.set(path, known ? { ...known, rows: [...known.rows, ...others] } : { path, fault, rows });
    }
  return [...found.values()];
}

async function inspectOne(
  path: string,
  rows: FaultyFile["rows"],
  scopes: ReadonlyMap<CheckedTable, PathScope>,
  pool: InspectionPool,
): Promise<Inspection> {
  const [first] = rows;
  const place = first?.table.locate(first.row);
  const isLinked = await isLink(path);
  for (const { table, row } of rows) {
    const fault = await scopeFault(scopes.get(table), path, table.locate(row), isLinked);
    if (fault) return { ...NOTHING_FOUND, faults: [fault] };
  }
  return await pool.inspect(path, place);
}

/**
 * Compares every file that could be read with the manifest; to those that differ goes E_IMG_HASH, before
 * their other faults. E_IMG_HASH, too, where the manifest has none of the files.
 */
function compareFiles(
  files: readonly (readonly [string, FaultyFile["rows"]])[],
  inspections: Inspection[],
  { hashes, base }: NonNullable<CheckOptions["manifest"]>,
): ManifestComparison {
  const read = files.flatMap(([path], index) => {
    const sha256 = inspections[index]?.sha256 ?? "";
    return sha256 === "" ? [] : [[path, sha256] as const];
  });
  const comparison = compareManifest(new Map(read), hashes, base);
  if (read.length > 0 && comparison.unknown.length === read.length)
    throw new MttcError({
      code: "E_IMG_HASH",
      message: `the manifest has none of the ${read.length} images, neither their paths from ${base} nor their content`,
      hint: "it is of other images: name the right one, or write one with --write-manifest",
    });
  const changed = new Set(comparison.changed);
  for (const [index, [path, [first]]] of files.entries()) {
    const inspection = inspections[index];
    if (!inspection || !changed.has(path)) continue;
    const message = "the content is not what the manifest was written from";
    const place = first?.table.locate(first.row);
    const fault: Fault = { code: "E_IMG_HASH", message, at: { file: path }, ...listedIn(place) };
    inspections[index] = { ...inspection, faults: [fault, ...inspection.faults] };
  }
  return comparison;
}

async function scopeFault(
  scope: PathScope | undefined,
  path: string,
  place: Location,
  isLinked: boolean,
): Promise<Fault | undefined> {
  return (await scope?.fault(path, place)) ?? (isLinked ? await scope?.linkFault(path, place) : undefined);
}

function summarise(
  files: readonly (readonly [string, FaultyFile["rows"]])[],
  inspections: readonly Inspection[],
): CheckReport {
  const faulty: FaultyFile[] = [];
  const notes = new Map<NoteKind, string[]>();
  const hashes = new Map<string, string>();
  let rowCount = 0;
  for (const [index, [path, rows]] of files.entries()) {
    rowCount += rows.length;
    const inspection = inspections[index];
    const fault = inspection?.faults[0];
    if (fault) faulty.push({ path, fault, rows });
    else hashes.set(path, inspection?.sha256 ?? "");
    for (const kind of inspection?.notes ?? []) {
      const paths = notes.get(kind) ?? [];
      notes.set(kind, paths);
      paths.push(path);
    }
  }
  return { rowCount, fileCount: files.length, faulty, notes, hashes };
}

/**
 * Writes each table without its faulty rows beside it (see writeReducedTable), and returns what was written.
 * The tables themselves stay as they are: training never drops anything by itself. All faults are thrown
 * where more than `share` of the rows are faulty.
 */
export async function writeCheckedTables(
  tables: readonly CheckedTable[],
  report: CheckReport,
  share: number,
): Promise<(ReducedTable & { readonly dropped: number })[]> {
  const dropped = report.faulty.reduce((sum, { rows }) => sum + rows.length, 0);
  if (dropped > share * report.rowCount) throw tooManyFaults(report, dropped, share);
  return await Promise.all(
    tables.map(async (table) => {
      const rows = report.faulty.flatMap((file) => file.rows.filter((row) => row.table === table));
      const written = await writeReducedTable(table, new Set(rows.map(({ row }) => row)));
      return { ...written, dropped: rows.length };
    }),
  );
}

function tooManyFaults({ faulty, rowCount }: CheckReport, dropped: number, share: number): MttcError {
  const message = `${dropped} of ${rowCount} rows are faulty, --drop allows ${Math.floor(share * rowCount)}`;
  const needed = Math.ceil((100 * dropped) / rowCount) / 100;
  const hint = `if that many may go: --drop ${needed}`;
  return new MttcError({ code: faulty[0]?.fault.code ?? "E_IMG_FORMAT", message, hint });
}
