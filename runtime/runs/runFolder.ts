// The folder of a run: spec as resolved, classes, where relative paths start, one JSON line per epoch.
//   <logdir>/ spec.yml  run.json  bundle/  checkpoints/  log.jsonl  augmentation.png
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { stringify } from "yaml";
import { MttcError } from "../../compiler/diagnostics.ts";
import { parseSpec } from "../../compiler/spec/parseSpec.ts";
import type { Spec } from "../../compiler/spec/schema.ts";
import { writeFileAtomically } from "../checkpoint/atomicDirectory.ts";
import { fileError, systemCode } from "../checkpoint/fileSystem.ts";
import type { ClassNames } from "../data/classes.ts";
import type { LabelRow } from "../data/labelTable.ts";

export const BUNDLE_FOLDER = "bundle";
const CHECKPOINT_FOLDER = "checkpoints";
const SPEC_FILE = "spec.yml";
const RUN_FILE = "run.json";

/** What a run needs beside its spec to be opened again. */
export interface RunFacts {
  readonly format: "mttc-run";
  readonly classes: ClassNames;
  /** Folder that relative paths of the spec start from. */
  readonly baseDirectory: string;
  /** Label tables that were given as rows in memory instead of files. */
  readonly rows?: { readonly train?: readonly LabelRow[]; readonly val?: readonly LabelRow[] };
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

/** Writes spec and facts of a new run; the facts last, since they make it a run. E_FILE, E_DISK. */
export async function writeRun(logdir: string, spec: Spec, facts: RunFacts): Promise<void> {
  await writeFileAtomically(join(logdir, SPEC_FILE), stringify(spec));
  await writeFileAtomically(join(logdir, RUN_FILE), `${JSON.stringify(facts, null, 1)}\n`);
}

/** Spec and facts of a run. E_FILE where there is none. */
export async function readRun(logdir: string): Promise<{ spec: Spec; facts: RunFacts }> {
  const read = async (name: string): Promise<string> => {
    try {
      return await readFile(join(logdir, name), "utf8");
    } catch (error) {
      throw fileError(error, join(logdir, name), "read the run's file");
    }
  };
  const facts = parseFacts(await read(RUN_FILE), join(logdir, RUN_FILE));
  return { spec: parseSpec(await read(SPEC_FILE), join(logdir, SPEC_FILE)), facts };
}

function parseFacts(text: string, file: string): RunFacts {
  try {
    const facts = JSON.parse(text) as Partial<RunFacts>;
    if (facts.format === "mttc-run" && facts.classes && facts.baseDirectory) return facts as RunFacts;
  } catch (cause) {
    throw new MttcError({ code: "E_BUNDLE", message: "is not JSON", at: { file } }, { cause });
  }
  throw new MttcError({ code: "E_BUNDLE", message: "does not describe a run", at: { file } });
}
