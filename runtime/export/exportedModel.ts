// Which file is meant where a model is asked for: the file itself, the model of an export's folder, or that
// of the export in a run's folder.
import { readdir, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { MttcError } from "../../compiler/diagnostics.ts";
import type { ModelMetadata } from "../../compiler/export/modelMetadata.ts";
import { fileError } from "../files/fileSystem.ts";
import { restoreReplaced } from "../files/leftovers.ts";
import { checkpointsOf } from "../runs/checkpointChoice.ts";

/** Default name of an export's folder, inside the run's. */
export const EXPORT_FOLDER = "export";
/** The list of what an export holds. */
export const LIST_FILE = "export.json";
const MODEL_FILE = "model.onnx";

/**
 * The model behind `path`; an export whose replacement was killed is put back first. E_FILE where there is
 * none, with the command that makes it.
 */
export async function exportedModel(path: string): Promise<string> {
  for (const folder of [dirname(path), path, join(path, EXPORT_FOLDER)]) await restoreReplaced(folder);
  if (!(await isFolder(path))) return path;
  if ((await namesIn(path)).includes(LIST_FILE)) return join(path, MODEL_FILE);
  const folder = join(path, EXPORT_FOLDER);
  if ((await namesIn(path)).includes(EXPORT_FOLDER) && (await namesIn(folder)).includes(LIST_FILE))
    return join(folder, MODEL_FILE);
  throw new MttcError({
    code: "E_FILE",
    message: "the folder holds no exported model",
    at: { file: path },
    hint: "of a run: mttc export RUN writes one; else give the .onnx file",
  });
}

/** What to say where a run's export is not of the checkpoint that an export would take now. */
export async function exportNote(
  path: string,
  { origin }: Pick<ModelMetadata, "origin">,
): Promise<string | undefined> {
  if (origin?.epoch === undefined || !(await isFolder(path))) return undefined;
  const { places, best } = await checkpointsOf(path);
  const [newest] = places;
  if (best && best.epoch !== origin.epoch)
    return `the export is of epoch ${origin.epoch}, the run's best is ${best.epoch}: mttc export writes a new one`;
  if (best || !newest || newest.epoch <= origin.epoch) return undefined;
  const now = `the run has come to ${newest.epoch}`;
  return `the export is of epoch ${origin.epoch}, ${now}: mttc export writes a new one`;
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    throw fileError(error, path, "read the model");
  }
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    throw fileError(error, folder, "read the folder");
  }
}
