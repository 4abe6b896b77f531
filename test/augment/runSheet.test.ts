// The sheet that a run leaves in its folder: drawn once, kept over a resume, never in the way of training.
import { readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import sharp from "sharp";
import { expect, test } from "vitest";
import { resolveKeys } from "../../compiler/spec/parseSpec.ts";
import { SHEET_KEYS } from "../../runtime/augment/augmentSheet.ts";
import { chooseEvenly, RUN_SHEET, writeRunSheet } from "../../runtime/augment/runSheet.ts";
import { MultiTaskTrainer } from "../../runtime/mttc.ts";
import { runCli } from "../cli/runCli.ts";
import { makeTinyData } from "../cli/tinyData.ts";

const SPEC = resolveKeys(SHEET_KEYS, { augment: { hue_delta: 0.5 }, imshape: [16, 16] });

test("a run with augmentation has a sheet of it, named at its end, and a resume leaves it alone", async () => {
  await using data = await makeTinyData({ augment: "{flip_left_right: true}" });
  const sheet = join(data.folder, "run", RUN_SHEET);
  const first = await runCli(data.folder, ["train", "spec.yml", "--epochs", "1"]);
  expect(first.code).toBe(0);
  expect(first.stdout).toContain(join("run", RUN_SHEET));
  expect(first.stderr).toContain(`originals beside samples in`);
  expect((await sharp(await readFile(sheet)).metadata()).format).toBe("png");
  await writeFile(sheet, "the user's own");
  const second = await runCli(data.folder, ["train", "spec.yml", "--epochs", "2", "--resume"]);
  expect([second.code, await readFile(sheet, "utf8")]).toEqual([0, "the user's own"]);
  await rm(sheet);
  await runCli(data.folder, ["train", "spec.yml", "--epochs", "3", "--resume"]);
  expect((await stat(sheet)).size).toBeGreaterThan(1000);
});

test("a run without augmentation, or without a folder, has none", async () => {
  await using data = await makeTinyData();
  const { code, stdout } = await runCli(data.folder, ["train", "spec.yml", "--epochs", "1"]);
  expect([code, stdout.includes(RUN_SHEET)]).toEqual([0, false]);
  await expect(stat(join(data.folder, "run", RUN_SHEET))).rejects.toThrow("ENOENT");
  const messages: string[] = [];
  const options = { train_labels: join(data.folder, "train.csv"), filepaths: "file", tasks: ["colour"] };
  const network = { fcn: { layers: [4, "p" as const] }, train_fcn: true, imshape: SPEC.imshape };
  await using trainer = new MultiTaskTrainer({ ...options, ...network, augment: true, logdir: null });
  trainer.on("log", ({ message }) => messages.push(message));
  await trainer.fit(1);
  expect(messages.join()).not.toContain(RUN_SHEET);
});

test("a sheet that cannot be drawn is a warning that names the reason", async () => {
  await using data = await makeTinyData();
  const broken = join(data.folder, "broken.png");
  await writeFile(broken, "no image");
  const message = await writeRunSheet(data.folder, SPEC, [broken]);
  expect(message).toMatch(/^warning: augmentation.png.* is not drawn: .*broken.png.*\[E_IMG/s);
  await expect(stat(join(data.folder, RUN_SHEET))).rejects.toThrow("ENOENT");
});

test("images are chosen evenly, and no more than there are", () => {
  expect(chooseEvenly(["0", "1", "2", "3", "4", "5", "6", "7"], 2)).toEqual(["2", "6"]);
  expect(chooseEvenly(["0", "1"], 4)).toEqual(["0", "1"]);
});
