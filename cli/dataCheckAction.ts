// What `mttc data check` does: tables -> images tried in processes of their own -> report, manifest, tables
// without the faulty rows.
import { dirname, resolve } from "node:path";
import { MttcError } from "../compiler/diagnostics.ts";
import { visibleText } from "../compiler/visibleText.ts";
import {
  type CheckedTable,
  type CheckOptions,
  type CheckReport,
  checkImages,
  writeCheckedTables,
} from "../runtime/checks/imageCheck.ts";
import {
  type ImageManifest,
  MANIFEST_FORMAT,
  manifestText,
  parseManifest,
} from "../runtime/checks/imageManifest.ts";
import { NOTE_TEXTS } from "../runtime/checks/inspection.ts";
import { sparsely } from "../runtime/checks/sparseProgress.ts";
import { writeFileAtomically } from "../runtime/files/atomicDirectory.ts";
import { readTextUpTo } from "../runtime/files/boundedRead.ts";
import { refuseForeignFile, textMark } from "../runtime/files/ownOutput.ts";
import { type ImageFormat, imageFormat } from "../runtime/images/images.ts";
import type { Split } from "../runtime/labels/splitRecord.ts";
import { readSplits, tablePath } from "../runtime/runs/runSources.ts";
import type { ImageRows } from "../runtime/tables/imageRows.ts";
import { readLabelTable } from "../runtime/tables/labelFiles.ts";
import { refuseForeignReduction } from "../runtime/tables/reducedTable.ts";
import { tableForm } from "../runtime/tables/tableText.ts";
import type { Experiment } from "../runtime/train/experiment.ts";
import { readLabels } from "../runtime/train/trainerOptions.ts";
import { FOLDER_TASK } from "./labelColumns.ts";
import { shownPath } from "./pathText.ts";
import { count, renderTable } from "./tables.ts";
import type { Terminal } from "./terminal.ts";

/** Options of the command; `drop` with its default. */
export interface CheckFlags {
  readonly filepaths: string;
  readonly root?: string;
  readonly drop?: number | undefined;
  readonly manifest?: string;
  readonly writeManifest?: string;
  readonly json?: boolean;
  readonly overwrite?: boolean;
}

/** Format that images of a table without a spec are tried in. */
const PLAIN_FORMAT: ImageFormat = { height: 256, width: 256, channels: 3, greyscale: false };
/** Below what a string may hold: hashes of about two million images. */
const MOST_MANIFEST_BYTES = 2 ** 28;
const MANIFEST_MARK = textMark("hashes", `{\n "format": "${MANIFEST_FORMAT}"`);

/** Checks the images of an experiment, or of the label table `file` where there is none. */
export async function check(
  file: string,
  experiment: Experiment | undefined,
  flags: CheckFlags,
  terminal: Terminal,
): Promise<void> {
  const { writeManifest, overwrite } = flags;
  if (writeManifest !== undefined) await refuseForeignFile(writeManifest, MANIFEST_MARK, overwrite);
  const { tables, base, ...checked } = experiment
    ? await experimentTables(file, experiment, flags)
    : await labelTable(file, flags);
  if (flags.drop !== undefined && !overwrite) await Promise.all(tables.map(refuseForeignReduction));
  const report = await checkImages(tables, {
    ...checked,
    ...(flags.root === undefined ? {} : { root: resolve(flags.root) }),
    ...(flags.manifest === undefined
      ? {}
      : { manifest: { hashes: await readManifest(flags.manifest), base } }),
    onProgress: sparsely((done, total) => terminal.note(`${count(done)} of ${count(total)} images tried`)),
  });
  terminal.out(flags.json ? reportJson(report) : reportText(report, terminal));
  for (const note of manifestNotes(report)) terminal.note(note);
  if (writeManifest !== undefined)
    await writeFileAtomically(resolve(writeManifest), manifestText(report.hashes, base));
  if (report.faulty.length === 0) return;
  if (flags.drop === undefined) throw faultSummary(report);
  for (const { path, dropped, lostColumns } of await writeCheckedTables(tables, report, flags.drop)) {
    terminal.note(
      `${shownPath(path)}: ${rowCountText(dropped)} left out; name it in the spec to train without them`,
    );
    if (lostColumns.length > 0)
      terminal.note(visibleText(`not in it: ${lostColumns.join(", ")} (no cells of a CSV)`));
  }
}

/** Label tables, and what to decode their images to. */
interface Tables extends Pick<CheckOptions, "format" | "root" | "folder" | "splits"> {
  readonly tables: CheckedTable[];
  readonly base: string;
}

/** The label table of that name. E_FILE, E_CSV_*, E_LABEL. */
async function labelTable(file: string, { filepaths }: CheckFlags): Promise<Tables> {
  const source = resolve(file);
  // What cannot be looked at cannot be read either, which readLabelTable explains.
  const isFolder = (await tableForm(source).catch(() => undefined)) === "folder";
  const columns = { tasks: isFolder ? [FOLDER_TASK] : [], filepaths };
  const tables = [{ ...(await readLabelTable(source, columns)), columns }];
  return { tables, base: isFolder ? source : dirname(source), format: PLAIN_FORMAT };
}

/** Those of an experiment. E_FILE, E_CONFIG*, E_CSV_*, E_LABEL, E_TASK_EMPTY. */
async function experimentTables(file: string, experiment: Experiment, { drop }: CheckFlags): Promise<Tables> {
  const { spec, baseDirectory, trainRows, valRows, testRows } = experiment;
  if (drop !== undefined && (trainRows ?? valRows ?? testRows) !== undefined)
    throw new MttcError({
      code: "E_USAGE",
      message: "the run was given rows in memory: there is no label table to write without some of them",
      at: { file },
      hint: "leave --drop out",
    });
  const labels = await readLabels(experiment);
  const tableOf = ({ locate, paths }: ImageRows, file: string | null): CheckedTable => ({
    source: resolve(baseDirectory, file ?? "labels"),
    columns: { tasks: spec.tasks, filepaths: spec.filepaths },
    paths,
    locate,
  });
  const { whole } = spec.split === null ? {} : await readSplits(experiment);
  const pathOf = (split: Split): string | null => tablePath(experiment, split) ?? null;
  const train = tableOf(labels.train, pathOf("train"));
  const val = labels.val && tableOf(labels.val, pathOf("val"));
  const test = labels.test && tableOf(labels.test, pathOf("test"));
  // Parts of one table are tried, and left out of, as that table.
  const all = whole ? [tableOf(whole, pathOf("train"))] : [train, val];
  if (!whole || spec.split?.test === null) all.push(test);
  return {
    tables: all.filter((table) => table !== undefined),
    base: baseDirectory,
    format: imageFormat(spec),
    root: spec.image_root === null ? undefined : resolve(baseDirectory, spec.image_root),
    folder: baseDirectory,
    splits: spec.split_leak === "error" ? { train, val, test } : undefined,
  };
}

async function readManifest(file: string): Promise<ImageManifest> {
  const manifest = parseManifest(await readTextUpTo(file, MOST_MANIFEST_BYTES, "read the manifest"));
  if (typeof manifest !== "string") return manifest;
  throw new MttcError({ code: "E_FILE", message: manifest, at: { file } });
}

/** What the manifest says of the images, and does not. */
function manifestNotes({ manifest }: CheckReport): string[] {
  if (!manifest) return [];
  const { same, changed, unknown, absent, moved } = manifest;
  const such = (paths: readonly string[]): string => `such as ${shownPath(paths[0] ?? "")}`;
  const from = moved ? ` (what it has in ${moved.from || "/"} lies in ${moved.to || "/"} now)` : "";
  const lists = [
    [unknown, "images are not in it, and were not compared"],
    [absent, "images of it are in no row"],
  ] as const;
  return [
    `manifest: ${count(same)} images are as it has them, ${count(changed.length)} are not${from}`,
    ...lists.flatMap(([paths, what]) =>
      paths.length > 0 ? [`manifest: ${count(paths.length)} ${what}, ${such(paths)}`] : [],
    ),
  ];
}

function reportText(report: CheckReport, terminal: Terminal): string {
  const files = `${count(report.fileCount)} images of ${count(report.rowCount)} rows`;
  const good = report.fileCount - report.faulty.length;
  const faults = report.faulty.map(({ path, fault, rows }) => [
    fault.code,
    shownPath(path),
    rowsText(rows),
    fault.message,
  ]);
  const notes = [...report.notes].map(([kind, paths]) => [
    count(paths.length),
    NOTE_TEXTS[kind],
    shownPath(paths[0] ?? ""),
  ]);
  return [
    `${files}: ${count(good)} usable, ${count(report.faulty.length)} not`,
    ...(faults.length > 0 ? [renderTable(terminal, ["fault", "image", "listed in", "why"], faults)] : []),
    ...(notes.length > 0 ? [renderTable(terminal, ["images", "note", "such as"], notes, [0])] : []),
  ].join("\n");
}

function rowsText(rows: CheckReport["faulty"][number]["rows"]): string {
  const [first] = rows;
  const at = first?.table.locate(first.row);
  const place = [at?.file === undefined ? at?.path : shownPath(at.file), at?.line].filter(Boolean).join(":");
  return rows.length > 1 ? `${place} and ${rows.length - 1} more` : place;
}

function reportJson(report: CheckReport): string {
  const faults = report.faulty.map(({ path, fault, rows }) => ({
    code: fault.code,
    image: path,
    message: fault.message,
    rows: rows.map(({ table, row }) => table.locate(row)),
  }));
  const notes = [...report.notes].map(([kind, images]) => ({ kind, text: NOTE_TEXTS[kind], images }));
  const { rowCount: rows, fileCount: images } = report;
  const { manifest } = report;
  return JSON.stringify({ rows, images, faults, notes, ...(manifest && { manifest }) }, null, 2);
}

function faultSummary({ faulty, fileCount }: CheckReport): MttcError {
  const [first] = faulty;
  const message = `${count(faulty.length)} of ${count(fileCount)} images are not usable`;
  const hint = "mend them, or write tables without their rows with --drop";
  const at = first?.fault.at ?? {};
  return new MttcError({ code: first?.fault.code ?? "E_IMG_FORMAT", message, at, hint });
}

function rowCountText(rows: number): string {
  return rows === 1 ? "1 row" : `${count(rows)} rows`;
}
