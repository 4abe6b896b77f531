// The list of hostile inputs, rows 25 to 31 and 50: label tables and specs, in `mttc train`. Each case ends
// with exit code 2, the wanted code, the file and its line (or the key of the spec) named, in bounded time
// and memory. (hostileImages.test.ts has rows 1 to 24, 32 and 33.)
import { createWriteStream } from "node:fs";
import { copyFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { finished } from "node:stream/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { csvCell, longCsv } from "../../cli/predictionRows.ts";
import { openTask } from "../../compiler/tasks/openTask.ts";
import { runCli } from "../cli/runCli.ts";
import { makeTinyData, type TinyData, tinySpec } from "../cli/tinyData.ts";
import { runWatched, type WatchedRun } from "../images/watchedRun.ts";

const HEADER = "file,colour,its shape";
const SOUND = ["images/train-0.png,blue,bar", "images/train-1.png,red,dot"];
let data: TinyData;

beforeAll(async () => {
  data = await makeTinyData();
});

afterAll(async () => {
  await data[Symbol.asyncDispose]();
});

/** Trains on a table of this text. */
async function trainOn(text: string, changes: Readonly<Record<string, string>> = {}): Promise<WatchedRun> {
  await writeFile(join(data.folder, "t.csv"), text);
  return await trainWith({ train_labels: "t.csv", val_labels: "null", ...changes });
}

async function trainWith(changes: Readonly<Record<string, string>>): Promise<WatchedRun> {
  const spec = tinySpec({ logdir: "refused", epochs: "1", balance_probs: "false", ...changes });
  await writeFile(join(data.folder, "t.yml"), spec);
  return await runWatched(data.folder, ["train", "t.yml"]);
}

/** "CODE line" of each fault that was printed. */
function faultsIn({ code, stderr }: WatchedRun): string[] {
  expect(code, stderr).toBe(2);
  return [...stderr.matchAll(/t\.csv(?::(\d+))?[^\n]*\[(E_\w+)\]/g)].map(([, line, name]) =>
    line === undefined ? `${name}` : `${name} ${line}`,
  );
}

describe("label tables", () => {
  it("row 25: paths with NUL, with a newline, of 5,000 characters, are E_CSV_PATH", async () => {
    const paths = ["a\0b.png", '"a\nb.png"', "x".repeat(5_000)];
    const run = await trainOn(`${HEADER}\n${paths.map((path) => `${path},red,bar`).join("\n")}\n`);
    expect(faultsIn(run)).toEqual(["E_CSV_PATH 2", "E_CSV_PATH 3", "E_CSV_PATH 5"]);
  });

  it("row 26: BOM, CRLF, quotes and newlines in cells are read; other shapes are E_CSV_SHAPE", async () => {
    const text = `\ufeff${HEADER},note\r\n${SOUND[0]},"a ""b"",\r\nc"\r\n"images/train-1.png","red",dot,\r\n`;
    const read = await trainOn(text, { logdir: "sound" });
    expect(read.code, read.stderr).toBe(0);
    for (const [shape, wanted] of [
      [`${HEADER}\n${SOUND[0]}\nimages/train-1.png,red\n${SOUND[1]},x\n`, ["E_CSV_SHAPE 3", "E_CSV_SHAPE 4"]],
      [`${HEADER}\n${SOUND[0]}\n"images/train-1.png,red,dot\n`, ["E_CSV_SHAPE 3"]],
      ["", ["E_CSV_SHAPE"]],
      [`${HEADER}\n`, ["E_CSV_SHAPE"]],
    ] as const)
      expect(faultsIn(await trainOn(shape))).toEqual(wanted);
  });

  it("row 27: a line of 50 MB is E_CSV_LINE", async () => {
    expect(faultsIn(await trainOn(`${HEADER}\n${SOUND[0]}\n${"x".repeat(50_000_000)}`))).toEqual([
      "E_CSV_LINE 3",
    ]);
  });

  it("row 27: a table of two million rows is read in bounded memory, up to its last line", async () => {
    // Ten million rows of three tasks were measured at 645 MiB and 8 s of processor time.
    const stream = createWriteStream(join(data.folder, "t.csv"));
    stream.write(`${HEADER}\n`);
    const block = "images/train-0.png,blue,bar\n".repeat(10_000);
    for (let count = 0; count < 200; count++) stream.write(block);
    stream.end("images/train-1.png,red,1e400\n");
    await finished(stream);
    const run = await trainWith({ train_labels: "t.csv", val_labels: "null" });
    expect(faultsIn(run)).toEqual(["E_LABEL 2000002"]);
  });

  it("row 28: columns __proto__ and constructor, and a column twice, are E_CSV_HEADER", async () => {
    for (const header of [`${HEADER},__proto__`, `${HEADER},constructor`, `${HEADER},colour`])
      expect(faultsIn(await trainOn(`${header}\n${SOUND[0]},x\n`))).toEqual(["E_CSV_HEADER 1"]);
  });

  it("row 29: 1e400, classes that the spec does not list and such of the validation are E_LABEL", async () => {
    const rows = (labels: readonly string[]): string =>
      [HEADER, ...labels.map((label, row) => `images/train-${row}.png,${label},bar`)].join("\n");
    expect(faultsIn(await trainOn(rows(["0", "1e400"])))).toEqual(["E_LABEL 3"]);
    const listed = { classes: "{colour: [0, 1]}" };
    // NaN and an empty cell are missing labels.
    expect(faultsIn(await trainOn(rows(["0", "NaN", "", "-1", "1000000000"]), listed))).toEqual([
      "E_LABEL 5",
      "E_LABEL 6",
    ]);
    await writeFile(join(data.folder, "train-29.csv"), `${rows(["0", "1"])}\n`);
    await writeFile(
      join(data.folder, "t.csv"),
      `${HEADER}\nimages/val-0.png,1,bar\nimages/val-1.png,2,bar\n`,
    );
    const unseen = await trainWith({ train_labels: "train-29.csv", val_labels: "t.csv" });
    expect(faultsIn(unseen)).toEqual(["E_LABEL 3"]);
  });
});

describe("row 30: an image in both splits is E_SPLIT_LEAK", () => {
  const leaks = async (names: readonly string[], changes: Readonly<Record<string, string>> = {}) => {
    const rows = names.map((name, row) => `images/${name},${row % 2 ? "red" : "blue"},bar`);
    await writeFile(join(data.folder, "val-30.csv"), `${HEADER}\n${rows.join("\n")}\n`);
    return await trainWith({ val_labels: "val-30.csv", ...changes });
  };
  const images = (name: string): string => join(data.folder, "images", name);

  it("by its path, by letter case and by Unicode form, before anything else is done", async () => {
    await copyFile(images("train-4.png"), images("TRAIN-4.png"));
    await copyFile(images("train-5.png"), images("e\u0301.png"));
    await copyFile(images("train-5.png"), images("\u00e9.png"));
    // The same letters, another image: no leak.
    await copyFile(images("val-1.png"), images("TRAIN-6.png"));
    const table = await readFile(join(data.folder, "train.csv"), "utf8");
    await writeFile(join(data.folder, "train-30.csv"), table.replace("train-5.png", "\u00e9.png"));
    const names = ["train-3.png", "val-0.png", "TRAIN-4.png", "e\u0301.png", "TRAIN-6.png"];
    const { code, stderr } = await leaks(names, { train_labels: "train-30.csv" });
    expect(code).toBe(2);
    const found = [...stderr.matchAll(/\[E_SPLIT_LEAK\]\n.*val-30\.csv:(\d+) and .*train-30\.csv:(\d+)/g)];
    expect(found.map(([, val, train]) => [val, train])).toEqual([
      ["2", "5"],
      ["4", "6"],
      ["5", "7"],
    ]);
    const allowed = await leaks(names, { train_labels: "train-30.csv", split_leak: "allow", logdir: "leak" });
    expect(allowed.code, allowed.stderr).toBe(0);
  });

  it("by its content under another name, once packed or checked", async () => {
    await copyFile(images("train-7.png"), images("copy.png"));
    const packed = await leaks(["val-0.png", "copy.png"], { pack: "true", logdir: "leak-packed" });
    expect(packed.code).toBe(2);
    expect(packed.stderr).toMatch(
      /copy\.png: .*train-7\.png \[E_SPLIT_LEAK\]\n.*val-30\.csv:3 and .*train\.csv:9/,
    );
    const checked = await runCli(data.folder, ["data", "check", "t.yml"]);
    expect(checked.code).toBe(2);
    expect(checked.stdout).toMatch(/E_SPLIT_LEAK\s+\S*copy\.png\s+\S*val-30\.csv:3/);
  });
});

describe("row 31: what is written for other programs", () => {
  it("has no cell that a spreadsheet takes for a formula", () => {
    expect(csvCell("=cmd()")).toBe('"\'=cmd()"');
    for (const start of ["=", "+", "-", "@", "\t", "\r"]) expect(csvCell(`${start}1`)).toBe(`"'${start}1"`);
    const row = {
      file: '=cmd(),"x"',
      task: "@t",
      class: "<script>",
      probability: 1,
      probabilities: { a: 1 },
    };
    const tasks = [openTask({ task: "@t", classes: ["a"] })];
    const line = longCsv(tasks, false).image([row]).trimEnd();
    expect(line).toBe('"\'=cmd(),""x""","\'@t",<script>,1,"{""a"":1}"');
  });
});

describe("row 50: specs", () => {
  it.each([
    ["an unknown key", { batchsize: "3" }, "batchsize", "E_CONFIG"],
    ["a batch of 1e9", { batch_size: "1000000000" }, "batch_size", "E_CONFIG"],
    ["a task's name that leads outside", { tasks: '["../x"]' }, "tasks[0]", "E_CONFIG"],
    ["__proto__ as a key", { ["__proto__"]: "{a: 1}" }, "__proto__", "E_CONFIG"],
    ["__proto__ as a task of classes", { classes: "{__proto__: [a, b]}" }, "classes.__proto__", "E_CONFIG"],
    [
      "an alias bomb",
      {
        notes: `\n${Array.from({ length: 30 }, (_, i) => `  a${i}: &a${i} ${i ? `[*a${i - 1}, *a${i - 1}]` : "[x]"}`).join("\n")}`,
      },
      "",
      "E_CONFIG_PARSE",
    ],
  ])("%s is refused with the path of the key", async (_, changes, path, wanted) => {
    const { code, stderr } = await trainWith(changes);
    expect(code, stderr).toBe(2);
    // A bomb is the document's own fault, not one line's.
    expect(stderr).toMatch(path === "" ? /t\.yml: / : /t\.yml:\d+:\d+: /);
    expect(stderr).toContain(`${path === "" ? "" : `${path}: `}`);
    expect(stderr).toContain(`[${wanted}]`);
  });

  it("a label table outside is opened as a table and nothing else", async () => {
    const { code, stderr } = await trainWith({ train_labels: "/etc/passwd" });
    expect(code).toBe(2);
    expect(stderr).toMatch(/\/etc\/passwd(:1)?: .*\[E_CSV_(HEADER|SHAPE)\]/);
  });
});
