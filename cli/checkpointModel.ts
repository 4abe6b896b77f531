// The model that `mttc predict` runs: a file, the export in a run's folder, or a checkpoint of that run,
// which is exported for this call alone.
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { MttcError } from "../compiler/diagnostics.ts";
import { visibleText } from "../compiler/visibleText.ts";
import { EXPORT_FOLDER, LIST_FILE } from "../runtime/export/exportedModel.ts";
import { exportRun } from "../runtime/export/exportRun.ts";
import { isThere } from "../runtime/files/fileSystem.ts";
import { restoreReplaced } from "../runtime/files/leftovers.ts";
import { temporaryFolder } from "../runtime/files/temporaryFolder.ts";
import { TrainedRun } from "../runtime/infer/trainedRun.ts";
import { choiceText } from "../runtime/runs/checkpointChoice.ts";
import { readOptions } from "./checkpointFlag.ts";
import { type CheckpointFlags, type RuntimeFlags, runtimeOptions } from "./runtimeOptions.ts";
import { isRun } from "./specFile.ts";
import type { Terminal } from "./terminal.ts";

/** A model to open; what was made for it goes when it is disposed of. */
export interface ModelToPredict extends AsyncDisposable {
  readonly path: string;
}

/**
 * `model` as it is, unless it is a run of which a checkpoint is asked for, or that has no export. E_USAGE for
 * a checkpoint of what is no run; what opening and exporting a run throw.
 */
export async function modelToPredict(
  model: string,
  flags: RuntimeFlags & CheckpointFlags,
  terminal: Terminal,
): Promise<ModelToPredict> {
  const ofRun = await isRun(model);
  if (!ofRun && flags.checkpoint !== undefined)
    throw new MttcError({
      code: "E_USAGE",
      message: "--checkpoint is for the folder of a run: an exported model has one set of weights",
      at: { file: model },
    });
  // An export whose replacement was killed is one all the same.
  if (ofRun) await restoreReplaced(join(model, EXPORT_FOLDER));
  const isExported = ofRun && (await isThere(join(model, EXPORT_FOLDER, LIST_FILE)));
  if (!ofRun || (isExported && flags.checkpoint === undefined))
    return { path: model, [Symbol.asyncDispose]: async () => undefined };
  const folder = await temporaryFolder("predict");
  const discard = (): Promise<void> => rm(folder, { recursive: true, force: true });
  try {
    const runtime = runtimeOptions(flags);
    await using run = await TrainedRun.open(model, runtime, readOptions(flags));
    for (const warning of run.warnings) terminal.note(visibleText(warning));
    const directory = join(folder, "model");
    await exportRun(run, { ...runtime, directory });
    terminal.note(`the model of ${choiceText(run.checkpoint.choice)}`);
    return { path: join(directory, "model.onnx"), [Symbol.asyncDispose]: discard };
  } catch (error) {
    await discard();
    throw error;
  }
}
