// `mttc evaluate` on other tables: forms, columns that lack, labels that the run does not know, images that it
// was trained on, predictions in place of figures; on the run's test labels; and that it changes nothing.
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parquetWriteBuffer } from "hyparquet-writer";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { addEvaluateCommand } from "../../cli/evaluateCommand.ts";
import { TrainedRun } from "../../runtime/mttc.ts";
import { snapshot } from "../runs/snapshot.ts";
import { train } from "../runs/trainedData.ts";
import { faultsOfAsync } from "../spec/faultsOf.ts";
import { type ProgramResult, runCli } from "./runCli.ts";
import { runCommand } from "./runCommand.ts";
import { makeTinyData, type TinyData } from "./tinyData.ts";

let data: TinyData;
let before: Record<string, string>;
const place = (name: string): string => join(data.folder, name);
const evaluate = (...args: string[]): Promise<ProgramResult> =>
  runCommand(addEvaluateCommand, data.folder, ["evaluate", "run", "--ep", "cpu", ...args]);
const write = (name: string, text: string): Promise<void> => writeFile(place(name), text);

/** The validation table's lines with other columns: [file, colour, shape] of each row. */
async function rowsOfVal(): Promise<string[][]> {
  const [, ...lines] = (await readFile(place("val.csv"), "utf8")).trim().split("\n");
  return lines.map((line) => line.split(",").slice(0, 3));
}

beforeAll(async () => {
  data = await makeTinyData({ test_labels: "test.csv" });
  const rows = (await readFile(place("val.csv"), "utf8")).trim().split("\n");
  // Of the validation's twelve rows the last four are for testing.
  await write("test.csv", `${[rows[0], ...rows.slice(9)].join("\n")}\n`);
  await write("val.csv", `${rows.slice(0, 9).join("\n")}\n`);
  await train(data.folder, 2, { test_labels: "test.csv" });
  before = await snapshot(place("run"));
}, 60_000);
afterAll(async () => {
  expect(await snapshot(place("run"))).toEqual(before);
  await data[Symbol.asyncDispose]();
});
beforeEach(async () => {
  for (const name of await readdir(data.folder)) if (name.startsWith("out")) await rm(place(name));
});

describe("test labels", () => {
  test("are scored on demand alone", async () => {
    const byDefault = JSON.parse((await evaluate("--json")).stdout);
    expect([byDefault.labels, byDefault.images]).toEqual(["validation", 8]);
    const tested = JSON.parse((await evaluate("--test", "--json")).stdout);
    expect([tested.labels, tested.images, tested.table]).toEqual(["test", 4, place("test.csv")]);
    expect((await evaluate("--test")).stdout).toMatch(/^4 images of the test labels, test\.csv/);
    await write(
      "more.yml",
      (await readFile(place("spec.yml"), "utf8")).replace("logdir: run", "logdir: more"),
    );
    const { stdout } = await runCli(data.folder, ["train", "more.yml", "--epochs", "1", "--ep", "cpu"]);
    expect(stdout).toMatch(/mttc evaluate more --test/);
    const log = await readFile(join(place("run"), "log.jsonl"), "utf8");
    expect(log).not.toContain('"images":4');
  });

  test("that share an image with others are refused before training, and counted where nothing trains", async () => {
    const [head = "", first = ""] = (await readFile(place("train.csv"), "utf8")).split("\n");
    await write("leak.csv", `${head}\n${first}\n`);
    const leaking = (await readFile(place("spec.yml"), "utf8")).replace("test.csv", "leak.csv");
    await write("leak.yml", leaking.replace("logdir: run", "logdir: leak"));
    const trained = await runCli(data.folder, ["train", "leak.yml", "--ep", "cpu"]);
    expect([trained.code, trained.stderr]).toEqual([
      2,
      expect.stringMatching(/is a training image too \[E_SPLIT_LEAK\]/),
    ]);
    expect(trained.stderr).toMatch(/listed in .*leak\.csv:2 and .*train\.csv:2/);
    const checked = await runCli(data.folder, ["data", "check", "leak.yml"]);
    expect([checked.code, checked.stdout]).toEqual([
      2,
      expect.stringMatching(/E_SPLIT_LEAK .*is a training image too/),
    ]);
    for (const args of [
      ["data", "stats", "leak.yml"],
      ["inspect", "leak.yml"],
    ]) {
      const { code, stderr, stdout } = await runCli(data.folder, args);
      expect([code, stderr + stdout]).toEqual([
        0,
        expect.stringContaining("1 test rows name images that are training images too"),
      ]);
    }
    const allowed = await readFile(place("leak.yml"), "utf8");
    await write("leak.yml", `${allowed}split_leak: allow\n`);
    expect((await runCli(data.folder, ["data", "check", "leak.yml"])).code).toBe(0);
  });

  test("are counted by data stats beside the others", async () => {
    const { stdout } = await runCli(data.folder, ["data", "stats", "spec.yml"]);
    expect(stdout).toMatch(/ +train +val +test\nrows +36 +8 +4/);
    expect(stdout).toMatch(/task +class +train +val +test\ncolour +blue +\d+ +\d+ +\d+/);
  });

  test("that a run has not are told, with what to do", async () => {
    await using run = await TrainedRun.open(place("run"));
    const rows = await run.labels({ split: "train" });
    expect([rows.split, rows.rows.paths.length]).toEqual(["train", 36]);
    await rename(place("test.csv"), place("gone.csv"));
    const gone = await evaluate("--test");
    await rename(place("gone.csv"), place("test.csv"));
    expect([gone.code, gone.stderr]).toEqual([
      2,
      expect.stringMatching(/test\.csv.*does not exist.*\[E_FILE\]/),
    ]);
    const spec = (await readFile(place("spec.yml"), "utf8")).replace(/test_labels.*\n/, "");
    await write("plain.yml", spec.replace("logdir: run", "logdir: plain"));
    expect((await runCli(data.folder, ["train", "plain.yml", "--epochs", "1", "--ep", "cpu"])).code).toBe(0);
    const none = await runCli(data.folder, ["evaluate", "plain", "--test", "--ep", "cpu"]);
    expect([none.code, none.stderr]).toEqual([
      2,
      expect.stringMatching(/the run has no test_labels.*\n.*--labels/),
    ]);
  }, 60_000);
});

describe("another table", () => {
  test("of each form gives the figures of the same rows", async () => {
    const rows = await rowsOfVal();
    const lines = rows.map(([file, colour, shape]) =>
      JSON.stringify({ file, ...(colour ? { colour } : {}), "its shape": shape === "NA" ? null : shape }),
    );
    await write("out.jsonl", `${lines.join("\n")}\n`);
    await write(
      "out.tsv",
      `its shape\tfile\tcolour\n${rows.map(([f, c, s]) => `${s}\t${f}\t${c}`).join("\n")}\n`,
    );
    const columnData = [
      { name: "its shape", data: rows.map(([, , shape]) => (shape === "NA" ? "" : shape)) },
      { name: "file", data: rows.map(([file]) => file) },
      { name: "colour", data: rows.map(([, colour]) => colour || null) },
    ].map((column) => ({ ...column, type: "STRING" as const }));
    await writeFile(place("out.parquet"), new Uint8Array(parquetWriteBuffer({ columnData })));
    const { tasks } = JSON.parse((await evaluate("--json")).stdout);
    for (const name of ["out.jsonl", "out.tsv", "out.parquet", "val.csv"]) {
      const { code, stdout, stderr } = await evaluate("--labels", name, "--json");
      const found = JSON.parse(stdout);
      expect([code, found.labels, found.table, found.tasks], name).toEqual([0, "other", place(name), tasks]);
      expect(stderr).not.toContain("not scored");
    }
  });

  test("that lacks a column is scored in the others, and the near name is told", async () => {
    const rows = await rowsOfVal();
    await write("out.csv", `file,color,its shape\n${rows.map((cells) => cells.join(",")).join("\n")}\n`);
    const { stdout, stderr } = await evaluate("--labels", "out.csv");
    expect(stderr).toMatch(
      /task "colour" is not scored: .*out\.csv has no column "colour" \(did you mean its "color"\?\)/,
    );
    expect(stdout).toMatch(/^8 images of other labels, out\.csv/);
    expect(stdout).not.toMatch(/^colour/m);
    const json = JSON.parse((await evaluate("--labels", "out.csv", "--json")).stdout);
    expect([Object.keys(json.tasks), json.notScored]).toEqual([["its shape"], ["colour"]]);
  });

  test("with labels that the run does not know counts them, and scores the others", async () => {
    const rows = await rowsOfVal();
    const cells = rows.map(([file, colour], i) => `${file},${i % 3 === 0 ? "purple" : colour}`);
    await write("out.csv", `file,colour\n${cells.join("\n")}\n`);
    const { code, stderr, stdout } = await evaluate("--labels", "out.csv", "--json");
    expect([code, stderr]).toEqual([
      0,
      expect.stringContaining('task "colour": 3 out.csv rows have no label, theirs are no class: purple (3)'),
    ]);
    const known = rows.filter(([, colour], i) => i % 3 !== 0 && colour !== "").length;
    expect(JSON.parse(stdout).tasks.colour.labelled).toBe(known);
  });

  test("of images that were trained on says so", async () => {
    const { stderr } = await evaluate("--labels", "train.csv", "--json");
    expect(stderr).toMatch(/36 images are training images of the run, such as .*train-0\.png/);
    expect((await evaluate("--labels", "val.csv")).stderr).not.toContain("training image");
  });

  test("may have another column of paths, and images elsewhere", async () => {
    const rows = await rowsOfVal();
    await mkdir(place("far"), { recursive: true });
    await write("far/t.csv", `im,colour\n${rows.map(([f, c]) => `../${f},${c}`).join("\n")}\n`);
    const wrong = await evaluate("--labels", "far/t.csv");
    expect([wrong.code, wrong.stderr]).toEqual([
      2,
      expect.stringMatching(/no column "file".*E_CSV_HEADER.*\n.*--filepaths/),
    ]);
    expect((await evaluate("--labels", "far/t.csv", "--filepaths", "im")).code).toBe(0);
    const outside = await evaluate("--labels", "far/t.csv", "--filepaths", "im", "--image-root", "far");
    expect([outside.code, outside.stderr]).toEqual([2, expect.stringContaining("[E_PATH_ESCAPE]")]);
    expect((await evaluate("--labels", "far/t.csv", "--filepaths", "im", "--image-root", ".")).code).toBe(0);
  });

  test("without any label gives what the run says of each image, in every form", async () => {
    const rows = await rowsOfVal();
    await write("out-paths.csv", `file,note\n${rows.map(([file]) => `${file},x`).join("\n")}\n`);
    const shown = await evaluate("--labels", "out-paths.csv");
    expect([shown.code, shown.stderr]).toEqual([
      0,
      expect.stringContaining("has no column of a task: nothing is scored"),
    ]);
    expect(shown.stdout.trimEnd().split("\n")).toHaveLength(1 + 2 * rows.length);
    await evaluate("--labels", "out-paths.csv", "-o", "out.csv");
    const csv = (await readFile(place("out.csv"), "utf8")).trimEnd().split("\r\n");
    expect(csv[0]).toBe("file,task,class,probability,probabilities");
    expect(csv).toHaveLength(1 + 2 * rows.length);
    const json = JSON.parse((await evaluate("--labels", "out-paths.csv", "--json")).stdout);
    expect(json.map(({ file }: { file: string }) => file).slice(0, 3)).toEqual([
      rows[0]?.[0],
      rows[0]?.[0],
      rows[1]?.[0],
    ]);
    await using run = await TrainedRun.open(place("run"));
    const served = await run.predict([join(data.folder, rows[0]?.[0] ?? "")]);
    expect(Object.values(json[0].probabilities)).toEqual([...(served.get("colour") ?? [])]);
  });

  test("with an image that cannot be read names it and its line, and keeps the rows before it", async () => {
    const paths = Array.from({ length: 1_030 }, (_, i) => `images/val-${i % 8}.png`);
    await write("out-bad.csv", `file\n${[...paths, "out-no.png"].join("\n")}\n`);
    await write("out-no.png", "no image");
    const { code, stderr } = await evaluate("--labels", "out-bad.csv", "-o", "out.csv");
    expect([code, stderr]).toEqual([
      2,
      expect.stringMatching(/out-no\.png: .*\[E_IMG_FORMAT\]\n.*out-bad\.csv:1032/),
    ]);
    expect(stderr).toContain("1,024 of 1,031 images are predicted, their rows are in out.csv.partial");
    const kept = (await readFile(place("out.csv.partial"), "utf8")).trimEnd().split("\r\n");
    expect(kept).toHaveLength(1 + 2 * 1_024);
  });

  test("with labels writes both where a file is named for the predictions", async () => {
    const { stdout } = await evaluate("--labels", "val.csv", "-o", "out.json");
    expect(stdout).toMatch(/^8 images of other labels/);
    expect(JSON.parse(await readFile(place("out.json"), "utf8"))).toHaveLength(16);
    const two = await evaluate("--labels", "val.csv", "--csv");
    expect([two.code, two.stdout, two.stderr]).toEqual([2, "", expect.stringContaining("-o FILE")]);
    await write("out.txt.csv", "mine");
    const foreign = await evaluate("--labels", "val.csv", "-o", "out.txt.csv");
    expect([foreign.code, foreign.stderr]).toEqual([2, expect.stringContaining("[E_RUN_EXISTS]")]);
  });

  test("may be a folder of folders where the run has several tasks: predictions alone", async () => {
    await mkdir(place("tree/red"), { recursive: true });
    await write("tree/red/a.png", "");
    const image = await readFile(place("images/val-1.png"));
    await writeFile(place("tree/red/a.png"), image);
    const { code, stdout, stderr } = await evaluate("--labels", "tree");
    expect([code, stderr]).toEqual([0, expect.stringContaining("no column of a task")]);
    expect(stdout).toMatch(/tree\/red\/a\.png +colour/);
  });
});

describe("what is refused", () => {
  test.each<[string[], RegExp]>([
    [["--labels", "none.csv"], /none\.csv.*does not exist.*\[E_FILE\]/],
    [["--labels", "val.csv", "--test"], /give one/],
    [["--filepaths", "x"], /--filepaths is of the table that --labels names/],
    [["--test", "--image-root", "."], /--image-root is of the table/],
    [["--labels", "images/val-0.png"], /\[E_CSV_SHAPE\]/],
    [["--labels", ""], /\[E_/],
  ])("%j", async (args, message) => {
    const { code, stderr, stdout } = await evaluate(...args);
    expect([code, stdout, stderr]).toEqual([2, "", expect.stringMatching(message)]);
  });

  test("from a program, too", async () => {
    await using run = await TrainedRun.open(place("run"));
    expect(await faultsOfAsync(() => run.labels({ table: place("none.csv") }))).toMatchObject([
      { code: "E_FILE" },
    ]);
    const { absent, split } = await run.labels({ table: place("val.csv") });
    expect([absent, split]).toEqual([[], "other"]);
  });
});
