// What `mttc data split` does: one table -> its parts as tables, rows as they were written, and the lines of a
// spec that name them.
import { mkdir } from "node:fs/promises";
import { basename, dirname, join, relative, resolve, sep } from "node:path";
import { stringify } from "yaml";
import { type Fault, MttcError } from "../compiler/diagnostics.ts";
import type { LabelSpec } from "../compiler/spec/schema.ts";
import { visibleText } from "../compiler/visibleText.ts";
import { fileError } from "../runtime/files/fileSystem.ts";
import { SPLITS } from "../runtime/labels/splitRecord.ts";
import { readSplits, tablePath } from "../runtime/runs/runSources.ts";
import {
  besideTable,
  type ReadTable,
  refuseForeignPart,
  writeTableWithout,
} from "../runtime/tables/reducedTable.ts";
import type { Experiment } from "../runtime/train/experiment.ts";
import type { LabelSources } from "../runtime/train/trainerOptions.ts";
import { tableSources } from "./dataStatsAction.ts";
import { shownPath } from "./pathText.ts";
import { count } from "./tables.ts";
import type { Terminal } from "./terminal.ts";

/** Options of the command. */
export interface SplitFlags {
  readonly val?: number;
  readonly test?: number;
  readonly by?: string;
  readonly seed?: number;
  readonly tasks?: string;
  readonly filepaths?: string;
  readonly output?: string;
  readonly json?: boolean;
  readonly overwrite?: boolean;
}

/** Writes the parts of an experiment's table, or of the label table `path` where there is none. */
export async function writeSplit(
  path: string,
  experiment: Experiment | undefined,
  flags: SplitFlags,
  terminal: Terminal,
): Promise<void> {
  const given: LabelSources = experiment ?? (await guessedSources(path, flags, terminal));
  const sources = withSplit(given, flags, path);
  const source = tablePath(sources, "train");
  if (source === undefined) throw noTable(path);
  const { whole, rows, notes } = await readSplits(sources);
  if (!whole || !rows) throw noTable(path);
  for (const note of notes) terminal.note(visibleText(note));
  const { tasks, filepaths } = sources.spec;
  const table: ReadTable = { source, columns: { tasks, filepaths }, paths: whole.paths };
  const parts = SPLITS.filter((split) => rows[split].length > 0);
  const files = await Promise.all(parts.map((split) => partPath(source, split, flags.output)));
  if (!flags.overwrite) for (const file of files) await refuseForeignPart(table, file);
  const written: Record<string, { path: string; rows: number }> = {};
  for (const [i, split] of parts.entries()) {
    const dropped = new Set(SPLITS.filter((other) => other !== split).flatMap((other) => [...rows[other]]));
    const { lostColumns } = await writeTableWithout(table, dropped, files[i] ?? "");
    if (i === 0 && lostColumns.length > 0)
      terminal.note(visibleText(`not in them: ${lostColumns.join(", ")} (no cells of a CSV)`));
    written[split] = { path: files[i] ?? "", rows: rows[split].length };
  }
  terminal.out(flags.json ? JSON.stringify(written, null, 2) : specLines(source, written, sources.spec));
}

/** A label table whose columns look like tasks; that of the groups is none, unless it is named. */
async function guessedSources(path: string, flags: SplitFlags, terminal: Terminal): Promise<LabelSources> {
  const { tasks, filepaths, by } = flags;
  const sources = await tableSources(
    path,
    { ...(tasks ? { tasks } : {}), ...(filepaths ? { filepaths } : {}) },
    terminal,
  );
  const others = sources.spec.tasks.filter((task) => task !== by);
  if (tasks !== undefined || others.length === 0) return sources;
  return { ...sources, spec: { ...sources.spec, tasks: others } };
}

/** The sources with the flags' split in place of the spec's. E_CONFIG where there is neither. */
function withSplit(sources: LabelSources, { val, test, by, seed }: SplitFlags, path: string): LabelSources {
  const own = sources.spec.split;
  const asks = val !== undefined || test !== undefined;
  if (own === null && !asks)
    throw new MttcError({
      code: "E_USAGE",
      message: "how is it to be split?",
      at: { file: path },
      hint: "--val 0.2 (and --test 0.1), or `split` in the spec",
    });
  if ((val ?? 0) + (test ?? 0) >= 1)
    throw new MttcError({ code: "E_USAGE", message: "--val and --test leave no rows to train" });
  const { val_labels: ofVal, test_labels: ofTest } = sources.spec;
  const named =
    asks && ofVal !== null ? "val_labels" : test !== undefined && ofTest !== null ? "test_labels" : null;
  if (named !== null)
    throw new MttcError({
      code: "E_CONFIG",
      message: `the spec's ${named} names the rows already that a split would choose`,
      at: { file: path, path: named },
    });
  const shares = asks ? { val: val ?? null, test: test ?? null, folds: null, fold: null } : {};
  const before = own ?? { val: null, test: null, by: null, folds: null, fold: null, seed: 0 };
  const split = { ...before, ...shares, by: by ?? before.by, seed: seed ?? before.seed };
  const isOther = asks || by !== undefined || seed !== undefined;
  const others = isOther ? { split: undefined, valRows: undefined, testRows: undefined } : {};
  return { ...sources, ...others, spec: { ...sources.spec, split } };
}

async function partPath(source: string, split: string, folder: string | undefined): Promise<string> {
  const beside = await besideTable(source, split);
  if (folder === undefined) return beside;
  await mkdir(folder, { recursive: true }).catch((error: unknown) => {
    throw fileError(error, folder, "make the folder");
  });
  return join(resolve(folder), basename(beside));
}

/** Lines of a spec in the working directory that name the tables. */
function specLines(
  source: string,
  written: Readonly<Record<string, { readonly path: string; readonly rows: number }>>,
  { path_prefix: prefix }: Pick<LabelSpec, "path_prefix">,
): string {
  const lines = Object.entries(written).map(([split, { path, rows }]) => {
    return `${stringify({ [`${split}_labels`]: shownPath(path) }).trim()}  # ${count(rows)} rows`;
  });
  const folder = dirname(Object.values(written)[0]?.path ?? source);
  if (folder === dirname(source)) return lines.join("\n");
  // Relative cells start from the folder of their table, which is another one now.
  const way = `${relative(folder, dirname(source)).split(sep).join("/")}/`;
  const note = "  # image paths as they were written start from the table's folder";
  return [...lines, `${stringify({ path_prefix: prefixed(way, prefix) }).trim()}${note}`].join("\n");
}

function prefixed(way: string, prefix: LabelSpec["path_prefix"]): string {
  return typeof prefix === "string" ? `${way}${prefix}` : way;
}

function noTable(file: string): MttcError {
  const fault: Fault = { code: "E_CONFIG", message: "there is no label table to split", at: { file } };
  return new MttcError(fault);
}
