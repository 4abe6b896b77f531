// The small tables of test/cases/tables, by the command line as a user would meet them, and their values.
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ProgramResult, runCli } from "./runCli.ts";

const CASES = join(import.meta.dirname, "..", "cases", "tables");
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mttc-cases-"));
  await cp(CASES, folder, { recursive: true });
});

afterAll(() => rm(folder, { recursive: true, force: true }));

/** Trains one epoch on a table; `keys` are lines of the spec. */
async function train(name: string, keys: Readonly<Record<string, string>>): Promise<ProgramResult> {
  const lines = Object.entries({
    train_labels: `${name}.csv`,
    fcn: "{layers: [2]}",
    task_layers: "[]",
    imshape: "[8, 8]",
    batch_size: "4",
    epochs: "1",
    logdir: `runs/${name}`,
    ...keys,
  });
  await writeFile(join(folder, `${name}.yml`), lines.map(([key, value]) => `${key}: ${value}\n`).join(""));
  return await runCli(folder, ["train", `${name}.yml`]);
}

async function classesOf(name: string): Promise<unknown> {
  const { classes } = JSON.parse(await readFile(join(folder, "runs", name, "run.json"), "utf8")) as {
    classes: unknown;
  };
  return classes;
}

async function stats(
  table: string,
  ...more: string[]
): Promise<{ json: Record<string, unknown>; notes: string }> {
  const { code, stdout, stderr } = await runCli(folder, ["data", "stats", table, "--json", ...more]);
  expect(code, stderr).toBe(0);
  return { json: JSON.parse(stdout) as Record<string, unknown>, notes: stderr };
}

describe("the cases of tables", () => {
  it("none-class: none is a class, and a word that may mean no label is told", async () => {
    const { code, stderr } = await train("none-class", { tasks: "[surface, shape]" });
    expect(code, stderr).toBe(0);
    expect(await classesOf("none-class")).toEqual({
      surface: ["edge", "none", "scratch"],
      shape: ["round", "square"],
    });
    expect(stderr).toContain('"none" (3 rows)');
  });

  it("alike: 1 and 1.0 are one class, café in both forms, Fox and fox are told", async () => {
    const { json, notes } = await stats("alike.csv", "--tasks", "a");
    expect(json).toMatchObject({
      classes: { a: ["0", "1", "Fox", "café", "fox"] },
      train: { a: [1, 2, 1, 2, 1] },
    });
    expect(notes).toContain('differ in case or outer blanks alone: "Fox" (1 row), "fox" (1 row)');
    expect(notes).toContain('several Unicode forms: "café" (2 rows)');
  });

  it("holes: 0.0 and 1.0 beside 0 and 1 are two classes, and no fault", async () => {
    const { code, stderr } = await train("holes-train", { tasks: "[a]", val_labels: "holes-val.csv" });
    expect(code, stderr).toBe(0);
    expect(await classesOf("holes-train")).toEqual({ a: ["0", "1"] });
    const evaluated = await runCli(folder, ["evaluate", "runs/holes-train", "--json"]);
    expect(JSON.parse(evaluated.stdout)).toMatchObject({
      tasks: { a: { labelled: 2, classes: ["0", "1"] } },
    });
  });

  it("choices: as classes a fault that names the kind", async () => {
    const { code, stderr } = await train("choices", { tasks: "[tags]", filepaths: "image" });
    expect(code).toBe(2);
    expect(stderr).toMatch(/choices\.csv:2: .*kind `tags`.*\[E_LABEL\]/);
  });

  it("choices: as tags the sets that they are", async () => {
    const keys = { tasks: "[{name: tags, kind: tags}]", filepaths: "image", logdir: "runs/sets" };
    const { code, stderr } = await train("choices", keys);
    expect(code, stderr).toBe(0);
    const run = JSON.parse(await readFile(join(folder, "runs", "sets", "run.json"), "utf8"));
    expect(run.tasks.tags.tags).toEqual(["a", "b"]);
    const stats = await runCli(folder, ["data", "stats", "choices.yml", "--json"]);
    expect(JSON.parse(stats.stdout).train).toEqual({ tags: [4, 3, 0] });
  });

  it.each([
    ["semicolon", ["a"], { a: ["x", "y"] }],
    ["utf16", ["a", "b"], { a: ["x", "y"], b: ["u", "v"] }],
    ["train", ["a", "b"], { a: ["x", "y"], b: ["u", "v"] }],
  ] as const)("%s: is read", async (name, tasks, classes) => {
    const { code, stderr } = await train(name, { tasks: `[${tasks.join(", ")}]` });
    expect(code, stderr).toBe(0);
    expect(await classesOf(name)).toEqual(classes);
  });

  it("ids-without-ending: one fault with an example, read with the two keys, which init writes", async () => {
    const keys = { tasks: "[dx]", filepaths: "image_id" };
    const refused = await train("ids-without-ending", keys);
    expect(refused.code).toBe(2);
    expect(refused.stderr.match(/error:/g)).toHaveLength(1);
    expect(refused.stderr).toMatch(/\/0: .*4 of the 4 rows.*\[E_FILE\]\n.*ids-without-ending\.csv:2/);
    const read = await train("ids-without-ending", { ...keys, path_prefix: "img/", path_suffix: ".png" });
    expect(read.code, read.stderr).toBe(0);
    const drafted = await runCli(folder, ["init", "ids-without-ending.csv", "-o", "ids.yml"]);
    expect(drafted.code, drafted.stderr).toBe(0);
    const text = await readFile(join(folder, "ids.yml"), "utf8");
    expect(text).toMatch(/^path_prefix: img\/ .*\npath_suffix: \.png /m);
  });
});

describe("classes and tasks that look like integers", () => {
  it("keep the order of the spec in every output", async () => {
    const rows = [10, 9, 8, 10].map((label, row) => `img/${row}.png,${label},${row % 2}`);
    await writeFile(join(folder, "integers.csv"), `filepath,20,3\n${rows.join("\n")}\n`);
    const keys = { tasks: '["20", "3"]', classes: '{"20": [10, 9, 8]}', batch_size: "2" };
    const { code, stderr } = await train("integers", keys);
    expect(code, stderr).toBe(0);
    expect(await classesOf("integers")).toMatchObject({ 20: ["10", "9", "8"], 3: ["0", "1"] });
    const evaluated = await runCli(folder, ["evaluate", "runs/integers", "--json"]);
    const { tasks } = JSON.parse(evaluated.stdout) as {
      tasks: Record<string, { classes: string[]; confusion: number[][] }>;
    };
    expect(tasks["20"]?.classes).toEqual(["10", "9", "8"]);
    expect(tasks["20"]?.confusion.map((row) => row.reduce((sum, n) => sum + n, 0))).toEqual([2, 1, 1]);
    const { json } = await stats("integers.yml");
    expect(json).toMatchObject({ classes: { 20: ["10", "9", "8"] }, train: { 20: [2, 1, 1], 3: [2, 2] } });
    const text = await runCli(folder, ["data", "stats", "integers.yml"]);
    expect(
      text.stdout.match(/^20 +(10|9|8) |^3 +[01] /gm)?.map((line) => line.trim().split(/ +/).join(" ")),
    ).toEqual(["20 10", "20 9", "20 8", "3 0", "3 1"]);
    expect(text.stdout).toMatch(/^labelled together +20 +3$/m);
  });
});

describe("a label table in a spec's place", () => {
  it.each(["train", "inspect", "augplot"])("%s says which command makes a spec of it", async (command) => {
    const { code, stderr } = await runCli(folder, [command, "train.csv"]);
    expect(code).toBe(2);
    expect(stderr).toMatch(
      /train\.csv: .*label table \[E_USAGE\]\n {2}mttc init train\.csv --val val\.csv -o /,
    );
  });
});

describe("init", () => {
  it("names the folder of images that lie elsewhere, replaces what uploads begin with, reads backslashes", async () => {
    const rows = (path: (row: number) => string): string =>
      ["image,choice", ...Array.from({ length: 8 }, (_, row) => `${path(row)},${"ab"[row % 2]}`)].join("\n");
    const elsewhere = await mkdtemp(join(tmpdir(), "mttc-elsewhere-"));
    for (const [table, path, key] of [
      [join(elsewhere, "far.csv"), (row: number) => join(folder, "img", `${row}.png`), "image_root: "],
      ["up.csv", (row: number) => `/data/upload/1/${row}.png`, 'path_prefix: {"/data/upload/1/": "img/"}'],
      ["win.csv", (row: number) => `img\\${row}.png`, "filepaths: image"],
    ] as const) {
      const file = resolve(folder, table);
      await writeFile(file, rows(path));
      const output = file.replace(".csv", ".yml");
      const { code, stderr } = await runCli(folder, ["init", file, "-o", output]);
      expect(code, stderr).toBe(0);
      expect(await readFile(output, "utf8")).toContain(key);
      const checked = await runCli(folder, ["data", "check", output]);
      expect(checked.code, checked.stderr).toBe(0);
    }
    await rm(elsewhere, { recursive: true });
  });

  it("writes the draft all the same where training would refuse the table, and says so", async () => {
    await writeFile(join(folder, "odd-val.csv"), "filepath,a,b\nimg/6.png,z,u\n");
    const { code, stderr } = await runCli(folder, [
      "init",
      "train.csv",
      "--val",
      "odd-val.csv",
      "-o",
      "odd.yml",
    ]);
    expect(code, stderr).toBe(0);
    expect(stderr).toMatch(/warning: training will refuse this: .*"z" is not one of the classes/);
    expect(stderr).toContain("unknown_val_classes: ignore");
  });
});
