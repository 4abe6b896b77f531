// `mttc data check SPEC|TABLE`: tries every image before training does, in processes of their own, and
// reports all faults at once. Exit code 2 where there are any, unless --drop may leave their rows out.

import { dirname, resolve } from "node:path";
import { type Command, InvalidArgumentError } from "commander";
import { MttcError } from "../compiler/diagnostics.ts";
import { visibleText } from "../compiler/visibleText.ts";
import { writeFileAtomically } from "../runtime/checkpoint/atomicDirectory.ts";
import { readTextUpTo } from "../runtime/checkpoint/boundedRead.ts";
import { refuseForeignFile, textMark } from "../runtime/checkpoint/ownOutput.ts";
import type { LabelledRows } from "../runtime/data/classes.ts";
import {
  type CheckedTable,
  type CheckOptions,
  type CheckReport,
  checkImages,
  writeCheckedTables,
} from "../runtime/data/imageCheck.ts";
import {
  type ImageManifest,
  MANIFEST_FORMAT,
  manifestText,
  parseManifest,
} from "../runtime/data/imageManifest.ts";
import { type ImageFormat, imageFormat } from "../runtime/data/images.ts";
import { NOTE_TEXTS } from "../runtime/data/inspection.ts";
import { readLabelTable } from "../runtime/data/labelFiles.ts";
import { refuseForeignReduction } from "../runtime/data/reducedTable.ts";
import { sparsely } from "../runtime/data/sparseProgress.ts";
import { tableForm } from "../runtime/data/tableText.ts";
import { readLabels } from "../runtime/train/trainerOptions.ts";
import { FOLDER_TASK } from "./labelColumns.ts";
import { shownPath } from "./pathText.ts";
import { withOverwriteOption } from "./runtimeOptions.ts";
import { isLabelTable, loadSpecOrRun } from "./specFile.ts";
import { count, renderTable } from "./tables.ts";
import type { Terminal } from "./terminal.ts";

interface Flags {
  readonly filepaths: string;
  readonly root?: string;
  readonly drop?: number | true;
  readonly manifest?: string;
  readonly writeManifest?: string;
  readonly json?: boolean;
  readonly overwrite?: boolean;
}

/** Format that images of a table without a spec are tried in. */
const PLAIN_FORMAT: ImageFormat = { height: 256, width: 256, channels: 3, greyscale: false };
const DEFAULT_DROP = 0.01;
/** Below what a string may hold: hashes of about two million images. */
const MOST_MANIFEST_BYTES = 2 ** 28;
const MANIFEST_MARK = textMark("hashes", `{\n "format": "${MANIFEST_FORMAT}"`);

export function addDataCheckCommand(data: Command, terminal: Terminal): void {
  const command = data
    .command("check")
    .description("try every image of a spec, a run or a label table, and report all faults")
    .argument("<spec>", "spec file (.yml, .yaml, .json), a run's folder, or a label table")
    .option("--filepaths <column>", "column of image paths, for a label table", "filepath")
    .option(
      "--root <folder>",
      "folder that all images must lie in (default: that of each table, and the spec's)",
    )
    .option(
      "--drop [share]",
      "write TABLE.checked.csv (.tsv, .jsonl) without the faulty rows, up to this share of all rows " +
        `(default ${DEFAULT_DROP})`,
      parseShare,
    )
    .option("--manifest <file>", "refuse images whose SHA-256 is not that of an earlier --write-manifest")
    .option(
      "--write-manifest <file>",
      "write the SHA-256 of every usable image as JSON, by its path from the spec's or the table's folder",
    )
    .option("--json", "print the report as JSON");
  withOverwriteOption(command).action((spec: string, flags: Flags) => check(spec, flags, terminal));
}

async function check(file: string, flags: Flags, terminal: Terminal): Promise<void> {
  const { writeManifest, overwrite } = flags;
  if (writeManifest !== undefined) await refuseForeignFile(writeManifest, MANIFEST_MARK, overwrite);
  const { tables, base, ...checked } = await readTables(file, flags);
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
  const share = flags.drop === true ? DEFAULT_DROP : flags.drop;
  for (const { path, dropped, lostColumns } of await writeCheckedTables(tables, report, share)) {
    terminal.note(
      `${shownPath(path)}: ${rowCountText(dropped)} left out; name it in the spec to train without them`,
    );
    if (lostColumns.length > 0)
      terminal.note(visibleText(`not in it: ${lostColumns.join(", ")} (no cells of a CSV)`));
  }
}

/** Label tables and the format to decode to. E_FILE, E_CONFIG*, E_CSV_*, E_LABEL, E_TASK_EMPTY. */
async function readTables(
  file: string,
  { filepaths, drop }: Flags,
): Promise<
  { tables: CheckedTable[]; base: string } & Pick<CheckOptions, "format" | "root" | "folder" | "splits">
> {
  if (await isLabelTable(file)) {
    const source = resolve(file);
    // What cannot be looked at cannot be read either, which readLabelTable explains.
    const isFolder = (await tableForm(source).catch(() => undefined)) === "folder";
    const columns = { tasks: isFolder ? [FOLDER_TASK] : [], filepaths };
    const tables = [{ ...(await readLabelTable(source, columns)), columns }];
    return { tables, base: isFolder ? source : dirname(source), format: PLAIN_FORMAT };
  }
  const experiment = await loadSpecOrRun(file);
  const { spec, baseDirectory, trainRows, valRows } = experiment;
  if (drop !== undefined && (trainRows ?? valRows) !== undefined)
    throw new MttcError({
      code: "E_USAGE",
      message: "the run was given rows in memory: there is no label table to write without some of them",
      at: { file },
      hint: "leave --drop out",
    });
  const labels = await readLabels(experiment);
  const tableOf = ({ locate, paths }: LabelledRows, file: string | null): CheckedTable => ({
    source: resolve(baseDirectory, file ?? "labels"),
    columns: { tasks: spec.tasks, filepaths: spec.filepaths },
    paths,
    locate,
  });
  const train = tableOf(labels.train, spec.train_labels);
  const val = labels.val && tableOf(labels.val, spec.val_labels);
  return {
    tables: val ? [train, val] : [train],
    base: baseDirectory,
    format: imageFormat(spec),
    root: spec.image_root === null ? undefined : resolve(baseDirectory, spec.image_root),
    folder: baseDirectory,
    splits: val && spec.split_leak === "error" ? { train, val } : undefined,
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

function parseShare(text: string): number {
  const share = Number(text);
  if (text.trim() === "" || !(share >= 0 && share <= 1))
    throw new InvalidArgumentError("expected a share from 0 to 1");
  return share;
}
