// A run outlives its training images, and where they lay: evaluations read the validation images, and only
// training needs the others, all of them before its first step.
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { parseSpec } from "../../compiler/spec/parseSpec.ts";
import { experimentFromSpec } from "../../runtime/train/experiment.ts";
import { MultiTaskTrainer } from "../../runtime/train/multiTaskTrainer.ts";
import { makeTinyData, tinySpec } from "../cli/tinyData.ts";
import { faultsOfAsync } from "../spec/faultsOf.ts";

it("a run is gone on with where images are allowed to lie elsewhere meanwhile", async () => {
  await using data = await makeTinyData();
  const train = async (changes: Record<string, string>, epochs: number): Promise<number> => {
    const spec = parseSpec(tinySpec(changes), "spec.yml");
    await using trainer = new MultiTaskTrainer(experimentFromSpec(spec, join(data.folder, "spec.yml")));
    return (await trainer.fit(epochs, { resume: epochs > 1 })).length;
  };
  expect(await train({}, 1)).toBe(1);
  expect(await train({ image_root: "/", split_leak: "allow" }, 2)).toBe(2);
  await expect(train({ lr: "0.5" }, 3)).rejects.toThrow(/E_CKPT_MISMATCH/);
});

it("a run whose training images are gone is evaluated, and refused by training before a step", async () => {
  await using data = await makeTinyData();
  const spec = parseSpec(tinySpec(), "spec.yml");
  const experiment = experimentFromSpec(spec, join(data.folder, "spec.yml"));
  {
    await using trainer = new MultiTaskTrainer(experiment);
    await trainer.fit(1);
  }
  for (const row of [3, 7]) await rm(join(data.folder, "images", `train-${row}.png`));
  await using opened = await MultiTaskTrainer.fromRun(join(data.folder, "run"));
  expect((await opened.evaluate()).images).toBe(12);
  let steps = 0;
  opened.on("step", () => steps++);
  const faults = await faultsOfAsync(() => opened.fit(2));
  expect(faults.map(({ code, at }) => [code, at?.file])).toEqual(
    [3, 7].map((row) => ["E_FILE", join(data.folder, "images", `train-${row}.png`)]),
  );
  expect(steps).toBe(0);
});
