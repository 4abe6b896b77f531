// A spec file or a run's folder on the command line -> the experiment that it describes. A spec may be
// refused: nothing is loaded here that only reads data or trains.
import { open, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { MANIFEST_FILE } from "../compiler/bundle/manifest.ts";
import { MttcError } from "../compiler/diagnostics.ts";
import { type LocatedSpec, parseWritten } from "../compiler/spec/parseSpec.ts";
import { readTextUpTo } from "../runtime/files/boundedRead.ts";
import { fileError, isThere, systemCode } from "../runtime/files/fileSystem.ts";
import { RUN_FILE } from "../runtime/runs/runFile.ts";
import { isSpreadsheet } from "../runtime/tables/tableText.ts";
import { type Experiment, experimentFromRun, experimentFromSpec } from "../runtime/train/experiment.ts";
import { shownPath } from "./pathText.ts";

const FIRST_BYTES = 1_000;

/** More than the characters that parseSpec takes, in UTF-8. */
const MOST_SPEC_BYTES = 4_000_000;

/** An experiment, and where a key stands in its file. */
export interface LocatedExperiment {
  readonly experiment: Experiment;
  readonly locate: LocatedSpec["locate"];
}

/** Reads and checks a spec file. E_FILE, E_CONFIG_PARSE, E_CONFIG. */
export async function loadExperiment(file: string): Promise<Experiment> {
  return (await loadLocated(file)).experiment;
}

/** The same, for whoever finds faults in it later. */
export async function loadLocated(file: string): Promise<LocatedExperiment> {
  const exists = await isThere(file);
  if (exists && (await isLabelTable(file))) throw await tableForSpec(file);
  const text = await readTextUpTo(file, MOST_SPEC_BYTES, "read the spec");
  const { spec, given, locate } = parseWritten(text, file);
  return { experiment: experimentFromSpec(spec, file, given), locate };
}

/** A label table in a spec's place: the command that writes the spec. */
async function tableForSpec(file: string): Promise<MttcError> {
  const shown = shownPath(resolve(file));
  const val = join(dirname(file), basename(file).replace("train", "val"));
  const hasVal = val !== file && (await isThere(val));
  const more = hasVal ? ` --val ${shownPath(resolve(val))}` : "";
  return new MttcError({
    code: "E_USAGE",
    message: "expected a spec (YAML), found a label table",
    at: { file },
    hint: `mttc init ${shown}${more} -o experiment.yml  writes a spec for it; then give experiment.yml in its place`,
  });
}

/** Whether it is the folder of a compiled bundle, and of no run. */
export async function isBundle(path: string): Promise<boolean> {
  return (await isThere(join(path, MANIFEST_FILE))) && !(await isRun(path));
}

/** Whether it is the folder of a run. */
export async function isRun(path: string): Promise<boolean> {
  return await isThere(join(path, RUN_FILE));
}

/** The experiment of a spec file, or of a run where `path` is a folder. */
export async function loadSpecOrRun(path: string): Promise<Experiment> {
  let isFolder: boolean;
  try {
    isFolder = (await stat(path)).isDirectory();
  } catch (error) {
    throw fileError(error, path, "read the spec or run");
  }
  if (!isFolder) return await loadExperiment(path);
  const { RunFolder } = await import("../runtime/runs/runFolder.ts");
  return experimentFromRun(await RunFolder.open(path));
}

/**
 * The folder of a run: `path` itself, or the logdir of the spec that it is. E_USAGE for any other file; else
 * what reading a spec throws.
 */
export async function runFolderOf(path: string): Promise<string> {
  const isNamedSpec = /\.(ya?ml|json)$/i.test(path);
  // What is not there, or cannot be looked at, is for the reading of the spec or run to say.
  const isFile = await stat(path).then(
    (entry) => !entry.isDirectory(),
    () => isNamedSpec,
  );
  if (!isFile) return path;
  if (!isNamedSpec)
    throw new MttcError({
      code: "E_USAGE",
      message: "expected the folder of a run, or the spec that it was trained from",
      at: { file: path },
      ...(path.endsWith(".onnx") ? { hint: "mttc predict runs an exported file on images" } : {}),
    });
  const { spec, baseDirectory } = await loadExperiment(path);
  if (spec.logdir !== null) return resolve(baseDirectory, spec.logdir);
  throw new MttcError({
    code: "E_CONFIG",
    message: "missing; there is no run of this spec",
    at: { file: path, path: "logdir" },
  });
}

/** Whether a file is a label table by its name. */
export function isTableName(path: string): boolean {
  return /\.(csv|tsv|tab|jsonl|ndjson|parquet)$/i.test(path);
}

/** Whether `path` is a label table and no spec: a file named as one, or a folder that is no run. */
export async function isLabelTable(path: string): Promise<boolean> {
  if (isTableName(path) || isSpreadsheet(path)) return true;
  // A spec may be JSON, but no array.
  if (/\.json$/i.test(path) && (await beginsWithArray(path))) return true;
  const isFolder = async (): Promise<boolean> => (await stat(path)).isDirectory();
  const isRun = async (): Promise<boolean> => (await stat(join(path, RUN_FILE))).isFile();
  // What is not there is a spec's fault to report.
  return (await isFolder().catch(() => false)) && !(await isRun().catch(() => false));
}

/** Whether a file's first character is that of a JSON array; false where it cannot be read. */
async function beginsWithArray(path: string): Promise<boolean> {
  try {
    if (!(await stat(path)).isFile()) return false;
    const handle = await open(path);
    try {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(FIRST_BYTES), 0, FIRST_BYTES, 0);
      return /^\uFEFF?\s*\[/.test(buffer.toString("utf8", 0, bytesRead));
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
    return false;
  }
}
