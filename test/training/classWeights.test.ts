// Class weights and class balance in whole runs on real (small) image files.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { MultiTaskTrainer } from "../../runtime/train/multiTaskTrainer.ts";
import type { TrainerOptions } from "../../runtime/train/trainerOptions.ts";
import { writePatternImages } from "./patternImages.ts";

let folder: string;
let options: TrainerOptions;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mttc-weights-"));
  // Few greens: in balanced data neither would change anything.
  const rows = await writePatternImages(join(folder, "images"), 30);
  options = {
    train_labels: rows.filter(({ hue }, i) => hue !== "green" || i < 6),
    tasks: ["hue", "stripes"],
    fcn: { layers: [4, "p"] },
    train_fcn: true,
    task_layers: [],
    imshape: [16, 16],
    batch_size: 8,
    seed: 5,
  };
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** Probabilities of all images after an epoch, as text. */
async function trainAndPredict(more: Partial<TrainerOptions>): Promise<string> {
  await using trainer = new MultiTaskTrainer({ ...options, ...more });
  await trainer.fit(1);
  const predicted = await trainer.predict([...(await trainer.evaluationRows()).paths].slice(0, 4));
  const text = inspect(predicted, { depth: null });
  expect(text).toMatch(/0\.\d{4}/);
  return text;
}

test("class weights and class balance each change what is learned", async () => {
  const given: Partial<TrainerOptions>[] = [
    {},
    { class_weights: "balanced" },
    { class_weights: { hue: { red: 20 } } },
    { balance_classes: true },
  ];
  const learned = [];
  for (const more of given) learned.push(await trainAndPredict(more));
  expect(new Set(learned).size).toBe(given.length);
});
