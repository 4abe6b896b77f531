// A logdir before training writes to it: is what stands there a run, or a place for one? Looks only, in a few
// calls, so that it comes before everything slow; only what mttc wrote is ever replaced.
import { lstat, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { BUNDLE_FORMAT, MANIFEST_FILE } from "../../compiler/bundle/manifest.ts";
import { RUN_SHEET } from "../augment/runSheet.ts";
import { PNG_MARK } from "../drawing/pngMark.ts";
import { fileError, systemCode } from "../files/fileSystem.ts";
import { restoreReplaced } from "../files/leftovers.ts";
import { inTheWay, readHead, refuseForeignFolder, textMark } from "../files/ownOutput.ts";
import { FROZEN_FILE, isFrozenHead } from "./frozenWeights.ts";
import { LABELS_FILE, LABELS_MARK } from "./labelRecord.ts";
import { EVENTS_FILE, PROJECTOR_FILE, PROJECTOR_HEAD } from "./logFiles.ts";
import { CONFIG_FILE, CONFIG_MARK } from "./patchworkConfig.ts";
import { REPORT_FILE, REPORT_MARK } from "./reportMark.ts";
import { RUN_FILE } from "./runFile.ts";
import {
  BUNDLE_FOLDER,
  CHECKPOINT_FOLDER,
  hasRun,
  LOG_FILE,
  RUN_FORMAT,
  SPEC_FILE,
  SPEC_HEAD,
} from "./runFolder.ts";
import { SITTINGS_FILE, SITTINGS_MARK } from "./sittings.ts";
import { SPLIT_FILE, SPLIT_MARK } from "./splitFile.ts";

const HINT = "choose another logdir, or move them: only what mttc itself wrote there is replaced";
/** What a bundle holds beside its manifest. */
const BUNDLE_NAMES = /^([a-z_]+\.onnx|constants\.bin|state\.safetensors)$/;
/** Records of a run, and how they are known. */
const RECORDS = [
  [LABELS_FILE, LABELS_MARK],
  [SPLIT_FILE, SPLIT_MARK],
  [SITTINGS_FILE, SITTINGS_MARK],
] as const;
/** Folders that are put back where an export or a bundle was killed while it was replaced. */
const REPLACED = [BUNDLE_FOLDER, "export"];

/**
 * E_RUN_EXISTS where `logdir` is no folder, or something in it has the name of what a run writes and is not of
 * ours: other files may lie beside a run. E_FILE where it cannot be looked at.
 */
export async function refuseForeignRun(logdir: string): Promise<void> {
  const names = await namesIn(logdir);
  if (names.length === 0) return;
  for (const name of REPLACED) await restoreReplaced(join(logdir, name));
  const foreign: string[] = [];
  let isRun = false;
  try {
    // Where run.json was damaged the checkpoints say what the folder is, and are verified before it changes.
    isRun = (await isRunFile(join(logdir, RUN_FILE))) || (await hasRun(logdir));
    if (!isRun) for (const name of names) if (await isForeign(logdir, name)) foreign.push(name);
    for (const name of [BUNDLE_FOLDER, CHECKPOINT_FOLDER])
      if (names.includes(name) && !(await isFolder(join(logdir, name)))) foreign.push(name);
    // Earlier versions wrote no such records.
    for (const [name, mark] of RECORDS)
      if (names.includes(name) && !mark.isOurs(await readHead(join(logdir, name)))) foreign.push(name);
  } catch (error) {
    throw fileError(error, logdir, "read the run's folder");
  }
  if (foreign.length > 0) {
    const listed = [...new Set(foreign)].join(", ");
    throw inTheWay(logdir, `a run would replace what mttc did not write: ${listed}`, HINT);
  }
  await refuseForeignFolder(join(logdir, BUNDLE_FOLDER), {
    listFile: MANIFEST_FILE,
    format: BUNDLE_FORMAT,
    // A damaged manifest of a run is written anew.
    ...(isRun ? { isOurs: (name: string) => BUNDLE_NAMES.test(name) } : {}),
  });
}

async function namesIn(logdir: string): Promise<string[]> {
  try {
    return await readdir(logdir);
  } catch (error) {
    const code = systemCode(error);
    if (code === "ENOENT") return [];
    if (code === "ENOTDIR") throw inTheWay(logdir, "is not a folder", "choose another logdir", error);
    throw fileError(error, logdir, "read the run's folder");
  }
}

/** Whether `name`, in a folder that is no run of ours, is what a run writes and not of ours. */
async function isForeign(logdir: string, name: string): Promise<boolean> {
  const path = join(logdir, name);
  switch (name) {
    case RUN_FILE:
    case LOG_FILE:
    case EVENTS_FILE:
      return true;
    case CONFIG_FILE:
      return !CONFIG_MARK.isOurs(await readHead(path));
    case PROJECTOR_FILE:
      return !textMark("a list of vectors", PROJECTOR_HEAD).isOurs(await readHead(path));
    case SPEC_FILE:
      return !textMark("a spec", SPEC_HEAD).isOurs(await readHead(path));
    case FROZEN_FILE:
      return !isFrozenHead(await readHead(path));
    case RUN_SHEET:
      return !PNG_MARK.isOurs(await readHead(path));
    case REPORT_FILE:
      return !REPORT_MARK.isOurs(await readHead(path));
    case CHECKPOINT_FOLDER:
      return !(await isFolder(path)) || (await readdir(path)).length > 0;
    default:
      return false;
  }
}

async function isFolder(path: string): Promise<boolean> {
  return (await lstat(path)).isDirectory();
}

async function isRunFile(path: string): Promise<boolean> {
  try {
    const facts = JSON.parse(await readFile(path, "utf8")) as { format?: unknown } | null;
    return facts?.format === RUN_FORMAT;
  } catch (error) {
    if (error instanceof SyntaxError || systemCode(error) === "ENOENT") return false;
    throw error;
  }
}
