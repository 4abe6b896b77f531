// A trainer on the tiny data set after one epoch, for tests of what is exported of it.
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import type { SpecInput } from "../../compiler/spec/schema.ts";
import { MultiTaskTrainer } from "../../runtime/train/multiTaskTrainer.ts";

const BASE: SpecInput = {
  train_labels: "train.csv",
  val_labels: "val.csv",
  filepaths: "file",
  tasks: ["colour", "its shape"],
  imshape: [16, 16],
  fcn: { layers: [4, "p"] },
  train_fcn: true,
  shared_layers: [6],
  task_layers: [4],
  batch_size: 12,
  logdir: "run",
};

/** A trainer on `folder` (see makeTinyData) after `epochs`, `changes` over its usual spec. Close it. */
export async function trainedTiny(
  folder: string,
  changes: Partial<SpecInput> = {},
  epochs = 1,
): Promise<MultiTaskTrainer> {
  const spec = resolveSpec({ ...BASE, ...changes });
  const rows = { trainRows: undefined, valRows: undefined, classes: undefined };
  const trainer = new MultiTaskTrainer({ spec, baseDirectory: folder, ...rows });
  await trainer.fit(epochs);
  return trainer;
}
