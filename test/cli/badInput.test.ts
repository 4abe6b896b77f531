// Bad input on the command line: exit code 2 and a message that says where, and a run that can be begun again
// after it.
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { listImages } from "../../cli/imageArguments.ts";
import { shownPath } from "../../cli/pathText.ts";
import { CLI_MAIN, runCli, runProgram } from "./runCli.ts";
import { makeTinyData, type TinyData, tinySpec } from "./tinyData.ts";

let data: TinyData;

beforeAll(async () => {
  data = await makeTinyData();
});

afterAll(async () => {
  await data[Symbol.asyncDispose]();
});

/** Trains a spec with `changes` and returns the code and stderr. */
async function train(name: string, changes: Readonly<Record<string, string>>) {
  await writeFile(join(data.folder, `${name}.yml`), tinySpec({ logdir: name, epochs: "1", ...changes }));
  const { code, stderr } = await runCli(data.folder, ["train", `${name}.yml`]);
  return { code, stderr };
}

/** A copy of a table with one text replaced. */
async function copyTable(from: string, to: string, change: (text: string) => string): Promise<void> {
  await writeFile(join(data.folder, to), change(await readFile(join(data.folder, from), "utf8")));
}

test("an unknown key is named with its line and the nearest key", async () => {
  const { code, stderr } = await train("unknown-key", { batchsize: "3" });
  expect(code).toBe(2);
  expect(stderr).toMatch(
    /unknown-key\.yml:\d+:1: batchsize: unknown key "batchsize" \[E_CONFIG\]\n.*"batch_size"/,
  );
  expect(await readdir(data.folder)).not.toContain("unknown-key");
});

test("a spec, a label table and a run that do not exist are named", async () => {
  const spec = await runCli(data.folder, ["train", "nowhere.yml"]);
  expect([spec.code, spec.stderr]).toEqual([2, expect.stringMatching(/nowhere\.yml.*E_FILE/)]);
  const { code, stderr } = await train("no-table", { train_labels: "nowhere.csv" });
  expect([code, stderr]).toEqual([2, expect.stringMatching(/nowhere\.csv.*E_FILE/)]);
  const run = await runCli(data.folder, ["evaluate", "nowhere"]);
  expect([run.code, run.stderr]).toEqual([2, expect.stringMatching(/nowhere.*E_FILE/)]);
});

test("a missing image is named with the line of the table", async () => {
  await copyTable("train.csv", "missing.csv", (text) => text.replace("train-3.png", "gone.png"));
  const { code, stderr } = await train("missing", { train_labels: "missing.csv", balance_probs: "false" });
  expect(code).toBe(2);
  expect(stderr).toMatch(/gone\.png: .*\[E_FILE\]\n.*missing\.csv:5/);
});

test("an unreadable image is named, and once it is mended the same command trains", async () => {
  await copyTable("train.csv", "broken.csv", (text) => text.replace("train-3.png", "broken.png"));
  // Balanced draws may leave an image out of an epoch; a permutation visits all.
  const changes = { train_labels: "broken.csv", balance_probs: "false" };
  await writeFile(join(data.folder, "images", "broken.png"), "no image");
  const refused = await train("broken", changes);
  expect(refused.code).toBe(2);
  expect(refused.stderr).toMatch(/broken\.png: .*\[E_IMG_FORMAT\]\n.*broken\.csv:5/);
  await rm(join(data.folder, "images", "broken.png"));
  const image = await readFile(join(data.folder, "images", "train-3.png"));
  await writeFile(join(data.folder, "images", "broken.png"), image);
  expect((await train("broken", changes)).code).toBe(0);
});

test("a task without any label is named", async () => {
  await copyTable("train.csv", "empty.csv", (text) => text.replace(/,(blue|red),/g, ",,"));
  const { code, stderr } = await train("empty", { train_labels: "empty.csv" });
  expect(code).toBe(2);
  expect(stderr).toMatch(/tasks\[0\]: task "colour" has no label in .*empty\.csv \[E_TASK_EMPTY\]/);
});

test("a class that only the validation labels have is named with its line", async () => {
  await copyTable("val.csv", "green.csv", (text) => text.replace(",blue,", ",green,"));
  const { code, stderr } = await train("green", { val_labels: "green.csv" });
  expect(code).toBe(2);
  expect(stderr).toMatch(/green\.csv:2: task "colour": "green" is not one of the classes/);
});

test("all faults of a spec are told at once", async () => {
  const { code, stderr } = await train("many", { lr: "-1", optimizer: "sgd", padding: "both" });
  expect(code).toBe(2);
  expect(stderr.match(/error:/g)?.length).toBe(3);
});

test("a spec without logdir is not trained into nowhere", async () => {
  const { code, stderr } = await train("nowhere", { logdir: "null" });
  expect([code, stderr]).toEqual([2, expect.stringContaining("logdir")]);
});

test("a reader that goes away ends the program quietly", async () => {
  const command = `"${process.execPath}" "${CLI_MAIN}" schema | head -c 1; echo "\${PIPESTATUS[0]}"`;
  const { stdout, stderr } = await runProgram("bash", ["-c", command], { cwd: data.folder });
  expect([stdout, stderr]).toEqual(["{0\n", ""]);
});

test("faulty options of data check and data pack are usage faults like those of every command", async () => {
  const drop = await runCli(data.folder, ["data", "check", "train.csv", "--drop", "folder"]);
  expect([drop.code, drop.stderr]).toEqual([2, expect.stringMatching(/a share from 0 to 1\n\(--help/)]);
  const pack = await runCli(data.folder, ["data", "pack"]);
  expect([pack.code, pack.stderr]).toEqual([2, expect.stringMatching(/'spec'\n\(--help/)]);
});

test("pictures are refused under a name that is not of a PNG, and sheets that no memory holds", async () => {
  await writeFile(join(data.folder, "sheet.yml"), tinySpec({ augment: "{flip_left_right: true}" }));
  const stats = await runCli(data.folder, ["data", "stats", "train.csv", "-o", "stats.pdf"]);
  expect([stats.code, stats.stderr]).toEqual([2, expect.stringContaining("ends in .png")]);
  const sheet = await runCli(data.folder, ["augplot", "sheet.yml", "-o", "sheet.jpg"]);
  expect([sheet.code, sheet.stderr]).toEqual([2, expect.stringContaining("ends in .png")]);
  const huge = await runCli(data.folder, ["augplot", "sheet.yml", "--samples", "100000"]);
  expect([huge.code, huge.stderr]).toEqual([2, expect.stringMatching(/at most 1000 \[E_USAGE\]/)]);
  const files = await readdir(data.folder);
  expect(files.filter((name) => /\.(pdf|jpg|png)$/.test(name))).toEqual([]);
});

test("predict finds the TIFF images of a folder", async () => {
  await mkdir(join(data.folder, "bands"));
  await writeFile(join(data.folder, "bands", "a.TIF"), "no TIFF at all");
  await writeFile(join(data.folder, "bands", "notes.txt"), "no image");
  expect(await listImages(join(data.folder, "bands"))).toEqual([join(data.folder, "bands", "a.TIF")]);
  await expect(listImages(join(data.folder, "images", "..", "nowhere"))).rejects.toThrow("it does not exist");
});

test("a path with quotes is shown as a shell takes it", () => {
  expect(shownPath('/a/my "x".csv')).toBe(`'/a/my "x".csv'`);
  expect(shownPath('/a/it\'s "x".csv')).toBe(`'/a/it'\\''s "x".csv'`);
  expect(shownPath("/a/my x.csv")).toBe('"/a/my x.csv"');
});

test("a place that inspect --at does not find is named", async () => {
  await writeFile(join(data.folder, "sheet.yml"), tinySpec({}));
  const { code, stderr } = await runCli(data.folder, [
    "inspect",
    "sheet.yml",
    "--stage",
    "train",
    "--at",
    "nope",
  ]);
  expect([code, stderr]).toEqual([2, expect.stringMatching(/--at "nope": nothing in .* \[E_USAGE\]/)]);
});
