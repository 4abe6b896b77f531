// What `mttc embed` and `mttc probe` are given as a model -> a trunk: the folder of a run or of an export, a
// spec, or a model file of any origin.
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { FEATURE_LAYERS, type FeatureLayer } from "../compiler/export/exportFeatures.ts";
import { fileError } from "../runtime/files/fileSystem.ts";
import { type OpenTrunk, trunkOfModel, trunkOfRun, trunkOfSpec } from "../runtime/probes/trunkSource.ts";
import { RUN_FILE } from "../runtime/runs/runFile.ts";
import { hasRun } from "../runtime/runs/runFolder.ts";
import { readOptions } from "./checkpointFlag.ts";
import { shownPath } from "./pathText.ts";
import { type CheckpointFlags, type RuntimeFlags, runtimeOptions } from "./runtimeOptions.ts";
import { loadExperiment, runFolderOf } from "./specFile.ts";

/** Options about what features are. */
export interface TrunkFlags extends RuntimeFlags, CheckpointFlags {
  readonly layer?: string;
  readonly imshape?: readonly [number, number];
}

/** A trunk, and where in it features are taken. */
export interface TrunkArgument extends OpenTrunk {
  readonly layer: FeatureLayer;
}

const EXPORT_TRUNK = "trunk.onnx";
const EXPORT_MODEL = "model.onnx";

/** Opens what the user named. Errors as those of the kind that it is; E_USAGE for a layer that it has not. */
export async function openTrunk(given: string, flags: TrunkFlags): Promise<TrunkArgument> {
  const isOurs = (name: string | undefined): name is FeatureLayer =>
    FEATURE_LAYERS.some((layer) => layer === name);
  const layer = isOurs(flags.layer) ? flags.layer : "fcn";
  const names = await namesIn(given);
  if (names === undefined && /\.(ya?ml|json)$/i.test(given))
    return { ...(await ofSpec(given, flags)), layer };
  if (names?.includes(RUN_FILE)) return { ...(await ofRun(given, flags)), layer };
  const file = names ? join(given, names.includes(EXPORT_TRUNK) ? EXPORT_TRUNK : EXPORT_MODEL) : given;
  const output = isOurs(flags.layer) ? undefined : flags.layer;
  const opened = await trunkOfModel(file, { imshape: flags.imshape, output });
  return { ...opened, what: `features of ${shownPath(file)}, ${opened.what}`, layer: "fcn" };
}

async function ofRun(folder: string, flags: TrunkFlags): Promise<OpenTrunk> {
  const opened = await trunkOfRun(folder, runtimeOptions(flags), readOptions(flags));
  return { ...opened, what: `features of the run in ${shownPath(folder)}, ${opened.what}` };
}

/** The run of a spec where it has one, else the fcn that it names. */
async function ofSpec(file: string, flags: TrunkFlags): Promise<OpenTrunk> {
  const { spec, baseDirectory } = await loadExperiment(file);
  if (spec.logdir !== null) {
    const folder = await runFolderOf(file);
    if (await hasRun(folder)) return await ofRun(folder, flags);
  }
  const opened = await trunkOfSpec(spec, baseDirectory);
  return { ...opened, what: `features of the fcn of ${shownPath(file)}, ${opened.what}` };
}

/** Names in a folder; undefined for a file. E_FILE where there is neither. */
async function namesIn(path: string): Promise<string[] | undefined> {
  try {
    return (await stat(path)).isDirectory() ? await readdir(path) : undefined;
  } catch (error) {
    throw fileError(error, path, "read the model");
  }
}
