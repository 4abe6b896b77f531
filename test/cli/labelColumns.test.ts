// What `mttc init` and `mttc data stats` make of a table without a spec: the same facts from every form of
// table, and a draft that training takes.
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { addInitCommand } from "../../cli/initCommand.ts";
import { readTableFacts } from "../../cli/labelColumns.ts";
import { processTerminal } from "../../cli/terminal.ts";
import { parseSpec } from "../../compiler/spec/parseSpec.ts";
import { MAX_VALUES, surveyTable } from "../../runtime/tables/tableSurvey.ts";
import { experimentFromSpec } from "../../runtime/train/experiment.ts";
import { readLabels } from "../../runtime/train/trainerOptions.ts";

const PARQUET = join(import.meta.dirname, "..", "fixtures", "data", "labels_snappy.parquet");
const ROWS = [
  ["im/0.png", "cat", "3", "n0"],
  ["im/1.png", "", "3", "n1"],
  ["im/2.png", " dog ", "10", "n2"],
  ["im/3.png", "cat", "10", "n3"],
  ["im/4.png", "dog", "NaN", "n4"],
];
const HEAD = ["file", "animal, wild", "age", "note"];
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mttc-columns-"));
  await mkdir(join(folder, "im"));
  const image = await sharp({ create: { width: 40, height: 24, channels: 3, background: "#fff" } })
    .png()
    .toBuffer();
  for (const [path = ""] of ROWS) await writeFile(join(folder, path), image);
  // What stands in quotes is a word as it stands.
  const quoted = (cell: string) => (/,/.test(cell) ? `"${cell}"` : cell);
  const delimited = (delimiter: string) =>
    [HEAD, ...ROWS].map((cells) => cells.map(quoted).join(delimiter)).join("\r\n");
  await writeFile(join(folder, "t.csv"), `\uFEFF${delimited(",")}`);
  await writeFile(join(folder, "t.tsv"), delimited("\t"));
  const jsonValue = (cell: string): string | number | null => {
    if (cell === "NaN") return null;
    return Number.isNaN(Number(cell)) ? cell.trim() : Number(cell);
  };
  const lines = ROWS.map((cells) => {
    const entries = cells.map((cell, i) => [HEAD[i] ?? "", cell] as const);
    const filled = entries.filter(([, cell]) => cell !== "");
    return JSON.stringify(Object.fromEntries(filled.map(([name, cell]) => [name, jsonValue(cell)])));
  });
  await writeFile(join(folder, "t.jsonl"), lines.join("\n"));
  for (const [path, label] of [
    ["a.png", "10"],
    ["b.png", "9"],
    ["c.png", "10"],
  ] as const) {
    await mkdir(join(folder, "tree", label), { recursive: true });
    await writeFile(join(folder, "tree", label, path), image);
  }
});

afterAll(() => rm(folder, { recursive: true, force: true }));

async function init(...args: string[]): Promise<string> {
  const lines: string[] = [];
  const program = new Command();
  addInitCommand(program, { ...processTerminal(), out: (text) => void lines.push(text) });
  await program.parseAsync(["init", ...args], { from: "user" });
  return lines.join("\n");
}

describe("the facts of a table", () => {
  test.each(["csv", "tsv", "jsonl"])("are the same from .%s", async (ending) => {
    const facts = await readTableFacts(join(folder, `t.${ending}`));
    expect(facts).toEqual({
      rows: 5,
      pathColumn: "file",
      samples: ROWS.map(([path = ""]) => join(folder, path)),
      tasks: [
        {
          name: "animal, wild",
          labelled: 4,
          classes: [
            { name: "cat", rows: 2 },
            { name: "dog", rows: 2 },
          ],
        },
        {
          name: "age",
          labelled: 4,
          classes: [
            { name: "3", rows: 2 },
            { name: "10", rows: 2 },
          ],
        },
      ],
      others: [{ name: "note", reason: "5 different values in 5 rows" }],
    });
  });

  test("come from Parquet too, where a column of lists is no task", async () => {
    const { rows, pathColumn, tasks, others } = await readTableFacts(PARQUET);
    expect([rows, pathColumn]).toEqual([7, "filepath"]);
    expect(tasks.map(({ name, labelled, classes }) => [name, labelled, classes.length])).toEqual([
      ["c", 6, 3],
    ]);
    expect(others).toContainEqual({ name: "list", reason: "lists or objects" });
  });

  test("measured numbers are a task of their kind; what numbers the rows is none", async () => {
    const lines = Array.from({ length: 12 }, (_, i) => {
      const weight = i % 5 === 4 ? "" : 2.5 * i - 3;
      return `im/${i % 5}.png,${weight},${i + 100},${1000 + 7 * i},${["a", "b"][i % 2]}`;
    });
    const file = join(folder, "measured.csv");
    await writeFile(file, `file,weight,serial,grams,kind\n${lines.join("\n")}\n`);
    const { tasks, others } = await readTableFacts(file);
    expect(tasks.map(({ name, labelled, kind }) => [name, labelled, kind])).toEqual([
      ["weight", 10, { name: "number", holds: "numbers from -3 to 24.5" }],
      ["grams", 12, { name: "number", holds: "numbers from 1000 to 1077" }],
      ["kind", 12, undefined],
    ]);
    expect(others).toEqual([{ name: "serial", reason: "12 different values in 12 rows" }]);
    const said = await init(file, "-o", join(folder, "measured.yml"));
    expect(said).toContain("weight (numbers from -3 to 24.5)");
    const spec = parseSpec(await readFile(join(folder, "measured.yml"), "utf8"), "measured.yml");
    expect([spec.tasks, spec.task_kinds.weight]).toEqual([
      ["weight", "grams", "kind"],
      { kind: "number", loss: "l2" },
    ]);
  });

  test("sets of words are tags, even where the sets are few enough for classes; numbers are not", async () => {
    const sets = ["red|blue", "red", "[]", "blue|green", "green|red", ""];
    const lines = Array.from({ length: 24 }, (_, i) => {
      const choices = i % 2 === 0 ? '"{""choices"":[""a"",""b""]}"' : "b";
      const cells = [sets[i % 6], choices, ["a|b", "c"][i % 2], ["1|2", "2|1"][i % 2], ["a||b", "c"][i % 2]];
      return `im/${i % 5}.png,${cells.join(",")}`;
    });
    const file = join(folder, "sets.csv");
    await writeFile(file, `file,colours,choices,pairs,digits,odd\n${lines.join("\n")}\n`);
    const { tasks } = await readTableFacts(file);
    expect(tasks.map(({ name, labelled, kind }) => [name, labelled, kind])).toEqual([
      ["colours", 20, { name: "tags", holds: "sets of 3 tags" }],
      ["choices", 24, { name: "tags", holds: "sets of 2 tags" }],
      ["pairs", 24, { name: "tags", holds: "sets of 3 tags" }],
      ["digits", 24, undefined],
      ["odd", 24, undefined],
    ]);
    await init(file, "-o", join(folder, "sets.yml"));
    const spec = parseSpec(await readFile(join(folder, "sets.yml"), "utf8"), "sets.yml");
    expect(spec.task_kinds.colours).toEqual({ kind: "tags", separator: "|" });
  });

  test("lists of Parquet and JSON Lines are tags, those that are always as long and objects are none", async () => {
    const nested = join(import.meta.dirname, "..", "fixtures", "data", "labels_nested.parquet");
    const lines = join(folder, "lists.jsonl");
    const rows = Array.from({ length: 12 }, (_, i) => ({
      filepath: `im/${i % 5}.png`,
      colours: [["red"], ["red", "blue"], [], null, ["blue"], ["red"]][i % 6],
      ids: [[7], [7, 12], [12]][i % 3],
      point: [[1.5, 2], [3, 2]][i % 2], // biome-ignore format: a list
      detail: { by: "a" },
    }));
    await writeFile(lines, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
    for (const file of [nested, lines]) {
      const { tasks, others } = await readTableFacts(file);
      expect(tasks.slice(0, 2).map(({ name, labelled, kind }) => [name, labelled, kind])).toEqual([
        ["colours", 10, { name: "tags", holds: "sets of 2 tags" }],
        ["ids", 12, { name: "tags", holds: "sets of 2 tags" }],
      ]);
      expect(others).toEqual([
        { name: "point", reason: "lists or objects" },
        { name: "detail", reason: "lists or objects" },
      ]);
    }
    const { tasks } = await readTableFacts(nested);
    expect(tasks[2]).toMatchObject({ name: "tags", labelled: 12, columns: ["sharp", "dark", "wet"] });
  });

  test("columns of 0 and 1 are tags together, from three on; two are tasks of their own", async () => {
    const line = (i: number) => {
      const wet = i % 5 === 4 ? "" : i % 2;
      return [`im/${i % 5}.png`, i % 2, ["1.0", "0.0", ""][i % 3], wet, ["a", "b"][i % 2], 1].join(",");
    };
    const lines = Array.from({ length: 12 }, (_, i) => line(i)).join("\n");
    const file = join(folder, "flags.csv");
    await writeFile(file, `file,red,"dark, very",wet,tags,one\n${lines}\n`);
    const { tasks, others } = await readTableFacts(file);
    expect(tasks.map(({ name, labelled, columns, kind }) => [name, labelled, columns, kind?.holds])).toEqual([
      ["tags", 12, undefined, undefined],
      ["labels", 12, ["red", "dark, very", "wet"], "3 tags, a column of 0 and 1 each"],
    ]);
    expect(others).toEqual([{ name: "one", reason: "one value only (1)" }]);
    const said = await init(file, "-o", join(folder, "flags.yml"));
    expect(said).toContain("labels (3 tags, a column of 0 and 1 each)");
    const text = await readFile(join(folder, "flags.yml"), "utf8");
    expect(text).toContain("# up to 12 of 12 rows, 3 tags, a column of 0 and 1 each");
    const spec = parseSpec(text, "flags.yml");
    expect(spec.task_kinds.labels?.columns).toEqual(["red", "dark, very", "wet"]);
    const { train } = await readLabels(experimentFromSpec(spec, join(folder, "flags.yml")));
    expect([...(train.labels[1]?.values.slice(0, 6) ?? [])]).toEqual([0, 1, 0, 1, 0, 1]);
    await writeFile(join(folder, "two.csv"), `file,red,dark\n${"im/0.png,0,1\nim/1.png,1,0\n".repeat(3)}`);
    expect((await readTableFacts(join(folder, "two.csv"))).tasks.map(({ kind }) => kind)).toEqual([
      undefined,
      undefined,
    ]);
  });

  test("of a folder of classes are those of one task, its classes in the order of numbers", async () => {
    const { pathColumn, tasks, samples } = await readTableFacts(join(folder, "tree"));
    const classes = [
      { name: "9", rows: 1 },
      { name: "10", rows: 2 },
    ];
    expect([pathColumn, tasks]).toEqual([undefined, [{ name: "class", labelled: 3, classes }]]);
    expect(samples).toContain(join(folder, "tree", "9", "b.png"));
  });

  test.each([
    ["ragged.csv", "file,a\nx.png,1\ny.png\n", /E_CSV_SHAPE/],
    ["semicolons.csv", "file;a\nx.png;1\ny.png;1\n", /a: one value only \(1\)/],
    ["none.csv", "a,b\n1,2\n1,2\n", /no column looks like image paths/],
    ["header.csv", "file,a\n", /has no rows/],
    ["twice.csv", "file,a,a\nx.png,1,1\n", /E_CSV_HEADER/],
    ["broken.jsonl", '{"file": "x.png"\n', /no JSON/],
    ["binary.csv", Buffer.from([0xff, 0xfe, 0x41]), /not UTF-8/],
    ["not.parquet", "no", /E_CSV_SHAPE/],
  ])("are refused for %s", async (name, content, message) => {
    await writeFile(join(folder, name), content);
    await expect(readTableFacts(join(folder, name))).rejects.toThrow(message);
  });

  test("are bounded: of a column with very many values only the number of rows is kept", async () => {
    const file = join(folder, "many.csv");
    const lines = Array.from({ length: MAX_VALUES + 5 }, (_, i) => `${i}.png,t${i}`);
    await writeFile(file, `file,text\n${lines.join("\n")}\n`);
    const { columns } = await surveyTable(file);
    expect(columns[1]).toMatchObject({ labelled: MAX_VALUES + 5, hasMore: true });
    expect(columns[1]?.values.size).toBe(MAX_VALUES);
  });
});

describe("mttc init", () => {
  test.each([
    ["t.tsv", ["animal, wild", "age"]],
    ["t.jsonl", ["animal, wild", "age"]],
    ["tree", ["class"]],
  ])("drafts a spec for %s that reads its labels", async (name, tasks) => {
    const output = join(folder, `${name}.yml`);
    expect(await init(join(folder, name), "-o", output)).toContain("Written to");
    const spec = parseSpec(await readFile(output, "utf8"), output);
    expect([spec.tasks, spec.train_labels, spec.imshape]).toEqual([tasks, name, [24, 40]]);
    const { train } = await readLabels(experimentFromSpec(spec, output));
    expect(train.paths.length).toBe(name === "tree" ? 3 : 5);
  });
});
