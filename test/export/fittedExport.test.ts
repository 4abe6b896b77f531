// Exports that were fitted to the validation labels, and that draw heat maps: each file agrees with the
// trainer all the same; what cannot be fitted is refused by name; predictions say "unsure"; images are explained.
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { explainRun } from "../../runtime/export/explainRun.ts";
import { exportRun } from "../../runtime/export/exportRun.ts";
import { type Explanation, type Prediction, Predictor } from "../../runtime/export/predictor.ts";
import { TrainedRun } from "../../runtime/infer/trainedRun.ts";
import { runCli } from "../cli/runCli.ts";
import { makeTinyData, type TinyData } from "../cli/tinyData.ts";
import { faultsOfAsync } from "../spec/faultsOf.ts";
import { trainedTiny } from "./trainedTiny.ts";

let data: TinyData;
const place = (...names: string[]): string => join(data.folder, ...names);
const IMAGES = ["val-0.png", "val-1.png", "val-2.png"];
const images = (): string[] => IMAGES.map((name) => place("images", name));

beforeAll(async () => {
  data = await makeTinyData();
  // Without a wrong label no temperature would be the best.
  const table = await readFile(place("val.csv"), "utf8");
  await writeFile(place("val.csv"), table.replace("val-0.png,blue,bar", "val-0.png,red,dot"));
  await using trainer = await trainedTiny(data.folder, { lr: 0.02 });
  await trainer.fit(12);
});
afterAll(() => data[Symbol.asyncDispose]());

async function all<T>(rows: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const row of rows) found.push(row);
  return found;
}

describe("an export that was fitted", () => {
  test("agrees with the trainer at its temperature, in every file, and says what it holds", async () => {
    await using run = await TrainedRun.open(place("run"));
    const options = { calibrate: true, unsure: { coverage: 0.75 }, heatmaps: {}, split: true };
    const report = await exportRun(run, { ...options, directory: place("fitted") });
    expect(report.checks.filter(({ passed }) => !passed)).toEqual([]);
    // Three files give each task's probabilities, two its map; trunk and shared give features.
    const outputs = report.checks.map(({ output }) => output);
    expect(outputs.filter((output) => output.startsWith("heatmap"))).toHaveLength(4);
    expect(outputs.filter((output) => output.startsWith("probabilities"))).toHaveLength(6);
    expect(report.calibration.map(({ task, rows }) => [task, rows])).toEqual([
      ["colour", 10],
      ["its shape", 11],
    ]);
    for (const { before, after } of report.calibration) expect(after.nll).toBeLessThanOrEqual(before.nll);
    expect(report.notes.join("\n")).toMatch(/task "colour" is fitted to 10 labelled rows/);
    await using whole = await Predictor.open(place("fitted", "model.onnx"));
    await using plain = await explainRun(run);
    const [ours, theirs] = [await all(whole.predict(images())), await all(plain.predict(images()))];
    expect(ours.map((row) => row.class)).toEqual(theirs.map((row) => row.class));
    const [entry] = whole.metadata.tasks;
    expect(entry?.temperature).toBeGreaterThan(0);
    expect(Number(ours[0]?.probability)).not.toBe(Number(theirs[0]?.probability));
    const below = (entry?.unsure as Partial<Record<string, number>> | undefined)?.below ?? Number.NaN;
    for (const row of ours.filter(({ task }) => task === "colour"))
      expect(row.unsure).toBe(Number(row.probability) < below);
    expect(report.unsure[0]).toMatchObject({ task: "colour", rows: 10, below });
    expect(report.unsure[0]?.coverage).toBeGreaterThanOrEqual(0.75);
  });

  test("takes the spec's `unsure` where no flag says another", async () => {
    await using trainer = await trainedTiny(data.folder, { logdir: "asked", unsure: { coverage: 0.5 } });
    const report = await exportRun(trainer);
    expect(report.calibration).toEqual([]);
    expect(report.unsure.map(({ task }) => task)).toEqual(["colour", "its shape"]);
    await using predictor = await Predictor.open(place("asked", "export", "model.onnx"));
    expect(await all(predictor.predict(images()))).toContainEqual(expect.objectContaining({ unsure: true }));
  });

  test("is refused without validation labels, and for a risk that few labels cannot promise", async () => {
    await using blind = await trainedTiny(data.folder, { logdir: "blind", val_labels: null });
    expect((await faultsOfAsync(() => exportRun(blind, { calibrate: true })))[0]).toMatchObject({
      code: "E_CONFIG",
      at: { path: "val_labels" },
      message: expect.stringContaining("no validation labels"),
    });
    await using run = await TrainedRun.open(place("run"));
    const faults = await faultsOfAsync(() =>
      exportRun(run, { unsure: { risk: 0.01 }, directory: place("none") }),
    );
    expect(faults.map(({ code, message }) => [code, message.replace(/; the least.*/, "")])).toEqual([
      ["E_CONFIG", 'task "colour": 10 validation labels cannot promise a risk of 0.01'],
      ["E_CONFIG", 'task "its shape": 11 validation labels cannot promise a risk of 0.01'],
    ]);
  });
});

describe("heat maps", () => {
  const mapsOf = (found: readonly Explanation[]) =>
    found.map(({ answers }) => answers.map(({ heatmap }) => Array.from(heatmap.data)));

  test("of a run in memory are those of its export, beside the same answers, an image at a time or together", async () => {
    await using run = await TrainedRun.open(place("run"));
    await exportRun(run, { heatmaps: {}, directory: place("drawn") });
    await using file = await Predictor.open(place("drawn", "model.onnx"));
    await using memory = await explainRun(run);
    const [ours, theirs] = [await all(file.explain(images())), await all(memory.explain(images()))];
    expect(mapsOf(ours)).toEqual(mapsOf(theirs));
    expect(ours.map((each) => each.file)).toEqual(images());
    const predictions = ours.flatMap(({ answers }) =>
      answers.map(({ prediction }): Prediction => prediction),
    );
    expect(predictions).toEqual(await all(file.predict(images())));
    const [one] = await all(file.explain(images().slice(1, 2), { tasks: ["its shape"] }));
    expect(one?.answers.map(({ prediction }) => prediction.task)).toEqual(["its shape"]);
    expect(one?.answers[0]?.heatmap).toMatchObject({ height: 8, width: 8, layer: "fcn.layers[1]" });
    const largest = Math.max(...mapsOf(ours).flat(2));
    expect(largest).toBe(1);
  });

  test("of another layer, and of a class that was asked for, are other ones", async () => {
    await using run = await TrainedRun.open(place("run"));
    const wish = { layer: "shared_layers[0]", classes: new Map([["its shape", "ring"]]) };
    await using other = await explainRun(run, wish);
    await using plain = await explainRun(run);
    expect(other.metadata.tasks[1]?.heatmap).toMatchObject({ layer: "shared_layers[0]", class: "ring" });
    expect(mapsOf(await all(other.explain(images())))).not.toEqual(
      mapsOf(await all(plain.explain(images()))),
    );
  });

  test("of a file that draws none, or of a task that there is not, are refused by name", async () => {
    await using run = await TrainedRun.open(place("run"));
    await exportRun(run, { directory: place("plain") });
    await using file = await Predictor.open(place("plain", "colour.onnx"));
    expect((await faultsOfAsync(() => all(file.explain(images()))))[0]).toMatchObject({
      code: "E_MODEL_META",
      hint: expect.stringContaining("--heatmap"),
    });
    expect((await faultsOfAsync(() => all(file.explain(images(), { tasks: ["color"] }))))[0]).toMatchObject({
      code: "E_USAGE",
      hint: 'did you mean "colour"?',
    });
    const classes = new Map([["colours", "red"]]);
    expect((await faultsOfAsync(() => explainRun(run, { classes })))[0]).toMatchObject({
      code: "E_USAGE",
      message: 'the run has no task "colours"',
    });
  });
});

describe("at the command line", () => {
  const mttc = (...args: string[]) => runCli(data.folder, args);

  test("export prints what was fitted, and writes what the flags ask for", async () => {
    const { code, stdout, stderr } = await mttc(
      ...["export", "run", "-o", "cli", "--calibrate", "--unsure-coverage", "0.9", "--heatmap"],
    );
    expect([code, stderr]).toEqual([0, expect.stringContaining("fitted to 10 labelled rows")]);
    expect(stdout).toMatch(/task +labels +fitted +ECE before +after +NLL before +after/);
    expect(stdout).toMatch(/15 bins of equal width/);
    expect(stdout).toMatch(/sure from +answered +wrong of those +wrong of all +promise/);
    const predicted = await mttc(
      "predict",
      "cli/model.onnx",
      "images/val-0.png",
      "--csv",
      "-",
      "--ep",
      "cpu",
    );
    expect(predicted.stdout.split("\r\n")[0]).toBe("file,task,class,unsure,probability,probabilities");
  });

  test.each([
    [["export", "run", "--unsure-risk", "0.1", "--unsure-coverage", "0.9"], "exclude each other"],
    [["export", "run", "--unsure-risk", "5"], "expected a number between 0 and 1"],
    [["export", "run", "--layer", "shared_layers[0]"], "--layer is of --heatmap"],
    [["export", "run", "--heatmap", "--layer", "shared_layer[0]"], 'did you mean "shared_layers[0]"'],
    [["explain", "run", "images/val-0.png", "--class", "red"], "--class is of one task"],
    [["explain", "plain", "images/val-0.png", "--task", "colour", "--class", "red"], "--class is of a run"],
    [["explain", "run", "images/val-0.png", "--task", "colour", "--class", "rad"], 'did you mean "red"?'],
    [["explain", "run", "images/none.png"], "none.png"],
    [["explain", "run", "images", "--images", "5000"], "a sheet holds 200"],
    [["explain", "nowhere", "images"], "nowhere"],
    [["explain", "run", "images/val-0.png", "-o", "sheet.jpg"], "ends in .png"],
  ])("%j is refused: %s", async (args, told) => {
    const { code, stderr } = await mttc(...args);
    expect([code, stderr]).toEqual([2, expect.stringContaining(told)]);
  });

  test("explain writes a picture of a run's answers; faulty images are listed, the others are in it", async () => {
    await writeFile(place("images", "broken.png"), "no image at all");
    const found = await mttc("explain", "run", "images/val-0.png", "images/broken.png", "-o", "sheet.png");
    await rm(place("images", "broken.png"));
    expect(found.code).toBe(2);
    expect(found.stderr).toMatch(/heat maps of 1 images written to sheet\.png/);
    expect(found.stderr).toMatch(/broken\.png: .*\[E_IMG_FORMAT\]/);
    expect(found.stderr).toMatch(/1 of 2 images could not be read/);
    const png = await readFile(place("sheet.png"));
    const [width, height] = [png.readUInt32BE(16), png.readUInt32BE(20)];
    expect([width > 500, height > 250]).toEqual([true, true]);
    // What mttc drew may be replaced, what others made may not.
    expect((await mttc("explain", "run", "images", "--images", "3", "-o", "sheet.png")).code).toBe(0);
    await writeFile(place("mine.png"), "mine");
    const refused = await mttc("explain", "run", "images", "-o", "mine.png");
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining("E_RUN_EXISTS")]);
  });
});
