// The folder of a run: spec as resolved, classes, where its data lie, bundle, checkpoints.
//   <logdir>/ spec.yml  run.json  labels.json  split.json  bundle/  checkpoints/  log.jsonl  augmentation.png
// A RunFolder is open to be read: it takes no lock and writes nothing. writeRun is for whoever holds it.
import { readdir, readFile, realpath } from "node:fs/promises";
import { isAbsolute, join, relative, resolve, sep } from "node:path";
import { stringify } from "yaml";
import { z } from "zod";
import { MttcError } from "../../compiler/diagnostics.ts";
import { parseWritten, type WrittenSpec } from "../../compiler/spec/parseSpec.ts";
import type { Spec, SpecKey } from "../../compiler/spec/schema.ts";
import { kindNamed } from "../../compiler/tasks/openTask.ts";
import { writeFileAtomically } from "../files/atomicDirectory.ts";
import { type FileSystem, fileError, nodeFileSystem, systemCode } from "../files/fileSystem.ts";
import type { ClassNames, KnownTasks } from "../labels/classes.ts";
import type { SplitRecord } from "../labels/splitRecord.ts";
import type { LabelRow } from "../tables/labelTable.ts";
import { RUN_FILE } from "./runFile.ts";
import { originFields, type RunOrigin, rateHistory, storedOrigin } from "./runOrigin.ts";
import type { RunSources } from "./runSources.ts";
import { readSplitRecord, writeSplitRecord } from "./splitFile.ts";

export const BUNDLE_FOLDER = "bundle";
export const CHECKPOINT_FOLDER = "checkpoints";
export const SPEC_FILE = "spec.yml";
export const LOG_FILE = "log.jsonl";
/** `format` of run.json. */
export const RUN_FORMAT = "mttc-run";
/** The first line of spec.yml, by which it is known where run.json is not there yet. */
export const SPEC_HEAD = "# The spec of a run, as mttc resolved it.\n";
/** Before version 2 run.json had no number, and no `project`. */
const VERSION = 2;

const rowsSchema = z.array(
  z.record(
    z.string(),
    z.union([z.string(), z.number(), z.boolean(), z.null(), z.array(z.string()).readonly()]).optional(),
  ),
);
/** A task of a kind, with the facts of that. */
const taskSchema = z.looseObject({ task: z.string(), kind: z.string() }).superRefine((entry, check) => {
  const kind = kindNamed(entry.kind);
  const issues = kind?.facts.safeParse(entry).error?.issues ?? [];
  if (!kind) check.addIssue({ code: "custom", path: ["kind"], message: `no kind of tasks: ${entry.kind}` });
  for (const { path, message } of issues) check.addIssue({ code: "custom", path, message });
});
const factsSchema = z.object({
  format: z.literal(RUN_FORMAT),
  version: z.int().min(1).max(VERSION).default(1),
  classes: z.record(z.string(), z.array(z.string()).min(1)),
  /** What is known of tasks that are not of classes. */
  tasks: z.record(z.string(), taskSchema).optional(),
  /** From the run's folder to the one that relative paths of the spec start from. */
  project: z.string().optional(),
  /** That folder as it was when the run was trained. */
  baseDirectory: z.string().min(1),
  /** Label tables that were given as rows in memory instead of files. */
  /** Missing-value words in any case: the run is older than the spec's key `missing`. */
  foldsMissing: z.boolean().optional(),
  rows: z
    .object({ train: rowsSchema.optional(), val: rowsSchema.optional(), test: rowsSchema.optional() })
    .default({}),
  ...originFields,
});
type RunFacts = z.output<typeof factsSchema>;

/** What a run needs beside its spec to be opened again. */
export interface RunDescription extends RunSources {
  readonly spec: Spec;
  readonly classes: ClassNames;
  readonly knownTasks: KnownTasks;
  /** What it began from, and what was changed on the way. */
  readonly origin?: RunOrigin | undefined;
}

/** Whether `logdir` holds a run with something to lose: one that has saved a checkpoint, usable or not. */
export async function hasRun(logdir: string): Promise<boolean> {
  try {
    const names = await readdir(join(logdir, CHECKPOINT_FOLDER));
    return names.some((name) => name.startsWith("epoch-"));
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(systemCode(error) ?? "")) return false;
    throw fileError(error, logdir, "read the run's folder");
  }
}

/** A run that is read. */
export class RunFolder implements RunDescription {
  readonly directory: string;
  /** As resolved by the run, `logdir` as the folder lies now. */
  readonly spec: Spec;
  /** Keys that spec.yml holds: a later mttc knows more. */
  readonly given: ReadonlySet<SpecKey>;
  readonly classes: ClassNames;
  readonly knownTasks: KnownTasks;
  readonly baseDirectory: string;
  readonly trainRows: readonly LabelRow[] | undefined;
  readonly valRows: readonly LabelRow[] | undefined;
  readonly testRows: readonly LabelRow[] | undefined;
  readonly split: SplitRecord | undefined;
  /** What to know of where the run's data are looked for, a sentence each. */
  readonly notes: readonly string[];

  readonly foldsMissing: boolean;
  readonly origin: RunOrigin;

  private constructor(
    directory: string,
    { spec, given }: WrittenSpec,
    facts: RunFacts & { readonly split: SplitRecord | undefined },
    place: Place,
  ) {
    this.directory = directory;
    this.given = given;
    this.spec = { ...spec, logdir: directory };
    this.classes = facts.classes;
    this.knownTasks = facts.tasks ?? {};
    this.foldsMissing = facts.foldsMissing ?? false;
    this.trainRows = facts.rows.train;
    this.valRows = facts.rows.val;
    this.testRows = facts.rows.test;
    this.split = facts.split;
    this.origin = { init: facts.init, adopted: facts.adopted, changes: facts.changes ?? [] };
    this.baseDirectory = place.folder;
    this.notes = place.notes;
  }

  /**
   * Opens the run in `logdir`. E_FILE where there is none; E_BUNDLE, E_CONFIG where its files were changed;
   * E_CKPT_MISMATCH for one of a later mttc.
   */
  static async open(logdir: string): Promise<RunFolder> {
    const directory = resolve(logdir);
    const file = join(directory, RUN_FILE);
    const facts = parseFacts(await readText(file), file);
    const specFile = join(directory, SPEC_FILE);
    const text = await readText(specFile);
    const written = parseWritten(text, specFile);
    const foldsMissing = facts.foldsMissing ?? !/^missing:/m.test(text);
    const place = await locate(directory, written.spec, facts);
    const split = written.spec.split === null ? undefined : await readSplitRecord(directory);
    return new RunFolder(directory, written, { ...facts, foldsMissing, split }, place);
  }

  /** Folder of what was compiled for the run. */
  get bundle(): string {
    return join(this.directory, BUNDLE_FOLDER);
  }
}

/**
 * Describes a run in its folder, whose lock the caller holds; run.json last, since it makes a folder a run.
 * What lies below the spec's folder is kept relative to the run, so that both may move. E_FILE, E_DISK.
 */
export async function writeRun(directory: string, description: RunDescription): Promise<void> {
  const { spec, baseDirectory, classes, knownTasks, trainRows, valRows, testRows, split } = description;
  const inProject = (path: string): string => {
    const way = isAbsolute(path) ? relative(baseDirectory, path) : path;
    return leads(way) ? path : way;
  };
  const kept = (rows: readonly LabelRow[]): LabelRow[] =>
    rows.map((row) => {
      const path = row[spec.filepaths];
      return typeof path === "string" ? { ...row, [spec.filepaths]: inProject(path) } : row;
    });
  const facts: RunFacts = {
    ...{ format: RUN_FORMAT, version: VERSION, baseDirectory },
    classes: Object.fromEntries(Object.entries(classes).map(([task, names]) => [task, [...names]])),
    ...(Object.keys(knownTasks).length > 0 ? { tasks: storedTasks(knownTasks) } : {}),
    ...(description.foldsMissing ? { foldsMissing: true } : {}),
    project: relative(directory, baseDirectory).split(sep).join("/") || ".",
    rows: {
      ...(trainRows && { train: kept(trainRows) }),
      ...(valRows && { val: kept(valRows) }),
      ...(testRows && { test: kept(testRows) }),
    },
    ...storedOrigin(description.origin),
  };
  if (split) await writeSplitRecord(directory, split);
  const text = `${SPEC_HEAD}${rateHistory(description.origin)}${stringify(withPaths(spec, inProject))}`;
  await writeFileAtomically(join(directory, SPEC_FILE), text);
  await writeFileAtomically(join(directory, RUN_FILE), `${JSON.stringify(facts, null, 1)}\n`);
}

function storedTasks(tasks: KnownTasks): NonNullable<RunFacts["tasks"]> {
  return Object.fromEntries(
    Object.entries(tasks).map(([name, task]) => [name, { ...task, kind: task.kind ?? "" }]),
  );
}

/** The spec with every path of a file or folder replaced. */
function withPaths(spec: Spec, replace: (path: string) => string): Spec {
  const { logdir, train_labels, val_labels, test_labels, image_root, teacher, init_from, fcn } = spec;
  const { downstream_labels: downstream } = spec;
  const each = (path: string | null): string | null => (path === null ? null : replace(path) || ".");
  return {
    ...spec,
    ...{ logdir: each(logdir), train_labels: each(train_labels), val_labels: each(val_labels) },
    ...{ test_labels: each(test_labels), image_root: each(image_root), teacher: each(teacher) },
    downstream_labels: downstream && { ...downstream, table: replace(downstream.table) },
    init_from: each(init_from),
    fcn: "path" in fcn ? { ...fcn, path: replace(fcn.path) } : fcn,
  };
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    throw fileError(error, file, "read the run's file");
  }
}

function parseFacts(text: string, file: string): RunFacts {
  const refuse = (message: string, hint: string, cause?: unknown): never => {
    throw new MttcError({ code: "E_BUNDLE", message, at: { file }, hint }, { cause });
  };
  const again = "`mttc train SPEC --resume` writes it anew";
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    return refuse("is not JSON", again, cause);
  }
  const later = z.object({ version: z.int().gt(VERSION) }).safeParse(json).data;
  if (later) {
    // Not damage, which a resume would mend.
    const message = `the run is of version ${later.version}, this mttc reads ${VERSION}`;
    throw new MttcError({ code: "E_CKPT_MISMATCH", message, at: { file }, hint: "update mttc" });
  }
  const parsed = factsSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const place = issue?.path.join(".");
  return refuse(
    `does not describe a run: ${place ? `${place}: ` : ""}${issue?.message}`,
    again,
    parsed.error,
  );
}

/** Where the files of a run are looked for. */
interface Place {
  readonly folder: string;
  readonly notes: readonly string[];
}

/**
 * The folder that relative paths start from: the one that lies to the run as it did when it was trained, so
 * that a project may be moved or copied whole; else, where the run's folder alone was moved, the one of then.
 */
async function locate(directory: string, spec: Spec, facts: RunFacts): Promise<Place> {
  const before = facts.baseDirectory;
  const logdir = resolve(before, spec.logdir ?? ".");
  const beside = resolve(directory, facts.project ?? relative(logdir, before));
  const named = namedFiles(spec, facts);
  if (named.length === 0 || (await isSame(beside, before))) return { folder: beside, notes: [] };
  if (!(await holdsAny(beside, named)) && (await holdsAny(before, named))) {
    const note = `the run's folder was moved: its data are looked for where they were, in ${before}`;
    return { folder: before, notes: [note] };
  }
  return { folder: beside, notes: [`the run was moved or copied: its data are looked for in ${beside}`] };
}

/** Files that the run names by relative paths. */
function namedFiles(spec: Spec, { rows }: RunFacts): string[] {
  const firstOf = (table: RunFacts["rows"]["val"]) => table?.[0]?.[spec.filepaths];
  const model = "path" in spec.fcn ? spec.fcn.path : null;
  const all = [
    spec.val_labels,
    spec.train_labels,
    spec.test_labels,
    model,
    spec.teacher,
    firstOf(rows.val),
    firstOf(rows.train),
    firstOf(rows.test),
  ];
  return all.flatMap((path) => (typeof path === "string" && !isAbsolute(path) ? [path] : []));
}

/** Whether two paths lead to one folder. */
async function isSame(a: string, b: string): Promise<boolean> {
  const real = (path: string): Promise<string> => realpath(path).catch(() => path);
  return a === b || (await real(a)) === (await real(b));
}

async function holdsAny(
  folder: string,
  paths: readonly string[],
  fileSystem: FileSystem = nodeFileSystem,
): Promise<boolean> {
  for (const path of paths) if (await fileSystem.exists(join(folder, path)).catch(() => false)) return true;
  return false;
}

/** Whether a relative path leads out of the folder that it starts from. */
function leads(way: string): boolean {
  return isAbsolute(way) || way === ".." || way.startsWith(`..${sep}`);
}
