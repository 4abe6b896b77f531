// `mttc labels`: exports in the shape in which the tools write them -> tables that training reads, with what was
// taken, what was passed over and every contradiction.
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { addLabelsCommand } from "../../cli/labelsCommand.ts";
import { processTerminal } from "../../cli/terminal.ts";
import { splitRows } from "../../runtime/labelling/labelMerge.ts";
import { readExport } from "../../runtime/labelling/readExport.ts";
import { readLabelTable } from "../../runtime/tables/labelFiles.ts";
import { faultsOfAsync } from "../spec/faultsOf.ts";
import { tableCells } from "../tables/tableCells.ts";
import { runCli } from "./runCli.ts";

const TEST = join(import.meta.dirname, "..");
const EXPORTS = join(TEST, "fixtures", "labelling");
const CASES = join(TEST, "cases", "tables");
let root: string;
let folder: string;
let number = 0;
const terminal = processTerminal();

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "mttc-labelling-"));
});

afterAll(() => rm(root, { recursive: true, force: true }));

/** A folder with the exports and the images 0.png to 7.png below img/. */
beforeEach(async () => {
  folder = join(root, `${number++}`);
  await cp(EXPORTS, folder, { recursive: true });
  await cp(CASES, folder, { recursive: true });
});

async function labels(
  source: string,
  ...args: string[]
): Promise<{ out: string; notes: string; table: string }> {
  const [out, notes]: [string[], string[]] = [[], []];
  const program = new Command().exitOverride();
  addLabelsCommand(program, {
    ...terminal,
    out: (text) => void out.push(text),
    note: (text) => void notes.push(text),
  });
  const output = join(folder, "made.csv");
  await program.parseAsync(["labels", join(folder, source), "-o", output, ...args], { from: "user" });
  return { out: out.join("\n"), notes: notes.join("\n"), table: await readFile(output, "utf8") };
}

describe("Label Studio", () => {
  it("JSON: a column a control, people who differ contradict, what is no choice is counted", async () => {
    const { out, notes, table } = await labels("label-studio.json");
    expect(table).toBe(
      "filepath,animal,season,quality\nimg/0.png,,winter,\nimg/1.png,cat,,\nimg/2.png,,,\nimg/3.png,fox,,4\n",
    );
    expect(out).toContain("Label Studio's JSON: 4 images\n  animal: 2 labelled, 2 classes: cat 1, fox 1\n");
    expect(notes).toContain("passed over: results of the type rectanglelabels (1)");
    expect(notes).toContain("passed over: annotations that were cancelled (1)");
    expect(notes).toMatch(/1 contradictions.*\n {2}\S*0\.png: animal: fox \(task 1\) or cat \(task 1\)/);
  });

  it("JSON-MIN: choices are several labels, a word that means missing elsewhere stays a word", async () => {
    const { notes, table } = await labels("label-studio-min.json");
    expect(table).toBe('filepath,animal,traits\nimg/0.png,fox,wet|young\nimg/1.png,"NA",wet\n');
    const read = await readLabelTable(join(folder, "made.csv"), { tasks: ["animal"], filepaths: "filepath" });
    expect(tableCells(read)).toEqual([["fox", "NA"]]);
    expect(notes).toContain("traits: several labels in a cell (a|b)");
    expect(notes).toContain("cells of box that hold no choices (1)");
  });

  it("CSV: choices in another order are the same; rows of one image become one", async () => {
    const { notes, table } = await labels("label-studio.csv");
    expect(table).toBe("filepath,animal,traits\nimg/0.png,,wet|young\nimg/1.png,cat,wet\n");
    expect(notes).toContain("animal: fox (line 2) or cat (line 3)");
  });

  it("choices in a table of any other tool are read, too", async () => {
    const { table } = await labels("choices.csv");
    expect(table).toBe("filepath,tags\nimg/0.png,a|b\nimg/1.png,a|b\nimg/2.png,a\nimg/3.png,a|b\n");
  });
});

describe("a table with a row a label", () => {
  it("long-form: becomes a row an image, its contradiction listed", async () => {
    const { table, notes } = await labels("long-form.csv");
    expect(table).toBe("filepath,animal,season\nimg/0.png,,winter\nimg/1.png,cat,summer\n");
    expect(notes).toContain("img/0.png: animal: fox (line 2) or cat (line 3)");
    const { contradictions } = JSON.parse((await labelsJson("long-form.csv")).out) as {
      contradictions: unknown;
    };
    expect(contradictions).toEqual([
      expect.objectContaining({ task: "animal", image: join(folder, "img/0.png") }),
    ]);
  });

  async function labelsJson(source: string): Promise<{ out: string }> {
    await rm(join(folder, "made.csv"));
    return await labels(source, "--json");
  }

  it("may name the task and the label in columns, found by their names or given", async () => {
    const rows = ["fox,animal,0.png", "cat,animal,1.png", "winter,season,0.png", ",season,1.png"];
    await writeFile(join(folder, "pairs.csv"), `label,task,image\n${rows.join("\n")}\n`);
    const wanted = "filepath,animal,season\nimg/0.png,fox,winter\nimg/1.png,cat,\n";
    expect((await labels("pairs.csv")).table).toBe(wanted);
    await rm(join(folder, "made.csv"));
    await writeFile(join(folder, "pairs.csv"), `what,kind,image\n${rows.join("\n")}\n`);
    expect((await labels("pairs.csv", "--task-column", "kind", "--label-column", "what")).table).toBe(wanted);
  });

  it("takes the tasks that are asked for, from JSON lines and semicolons alike", async () => {
    const rows = [
      { image: "0.png", a: "x", b: ["u", "v"] },
      { image: "1.png", a: "y" },
    ];
    await writeFile(join(folder, "t.jsonl"), rows.map((row) => JSON.stringify(row)).join("\n"));
    expect((await labels("t.jsonl", "--tasks", "b")).table).toBe("filepath,b\nimg/0.png,u|v\nimg/1.png,\n");
    await rm(join(folder, "made.csv"));
    expect((await labels("semicolon.csv")).table).toBe("filepath,a\nimg/0.png,x\nimg/1.png,y\n");
  });
});

describe("COCO's form", () => {
  it("has a task for each supercategory where no image has two categories of one", async () => {
    const { table, out } = await labels("coco.json");
    expect(table).toBe(
      "filepath,animal,season\nimg/0.png,fox,winter\nimg/1.png,cat,\nimg/2.png,cat,\nimg/3.png,,summer\n",
    );
    expect(out).toContain("COCO's form: 4 images");
  });

  it("has one task of several labels else; tags, an own category and attributes of images are read", async () => {
    const coco = {
      images: [
        {
          id: 1,
          file_name: "0.png",
          category_id: 5,
          tags: ["night"],
          attributes: { weather: "rain", boxes: [1] },
        },
        { id: 2, file_name: "1.png", extra: { user_tags: ["night", "fog"] } },
      ],
      categories: [
        { id: 5, name: "fox" },
        { id: 6, name: "cat" },
      ],
      annotations: [
        { id: 1, image_id: 2, category_id: 6 },
        { id: 2, image_id: 2, category_id: 5 },
        { id: 3, image_id: 9 },
      ],
    };
    await writeFile(join(folder, "c.json"), JSON.stringify(coco));
    const { table, notes } = await labels("c.json");
    expect(table).toBe(
      "filepath,weather,tags,category\nimg/0.png,rain,night,fox\nimg/1.png,,fog|night,cat|fox\n",
    );
    expect(notes).toContain("annotations of images that are not listed (1)");
    expect(notes).toContain('attributes "boxes"');
  });
});

describe("CVAT's XML", () => {
  it("gives tags, attributes of tags, and the parts of the data; shapes are counted", async () => {
    const val = join(folder, "val.csv");
    await rm(val);
    await mkdir(join(folder, "img", "sub"));
    const { table, notes, out } = await labels("cvat.xml", "--val", val);
    expect(table).toBe(
      "filepath,label,season\nimg/0.png,fox,winter\nimg/2.png,café & cat|fox,\nimg/3.png,,\n",
    );
    expect(await readFile(val, "utf8")).toBe("filepath,label,season\nimg/1.png,café & cat,\n");
    expect(notes).toContain("shapes: box (1)");
    expect(out).toContain("Next: mttc init");
  });

  it.each([
    ["<annotations><track/></annotations>", "for images 1.1"],
    ["<annotations><image name='0.png'></annotations>", "Unexpected close tag"],
    ["<annotations><image name='0.png'>", "ends too early"],
    ["<html></html>", "found <html>"],
    [
      "<!DOCTYPE a [<!ENTITY b 'c'>]><annotations><image name='0.png'><tag label='&b;'/></image></annotations>",
      "entity",
    ],
    ["", "ends too early"],
  ])("%s is refused with its line", async (text, message) => {
    await writeFile(join(folder, "x.xml"), text);
    const [fault] = await faultsOfAsync(() => readExport(join(folder, "x.xml")));
    expect([fault?.code, fault?.at?.line]).toEqual(["E_CSV_SHAPE", 1]);
    expect(fault?.message).toContain(message);
  });
});

describe("folders", () => {
  it("of train/ and val/ make two tables; a class called none stays one; what else there is is said", async () => {
    for (const [part, name, label] of [
      ["train", "0.png", "none"],
      ["train", "1.png", "NA"],
      ["val", "2.png", "none"],
      ["test", "3.png", "none"],
    ] as const) {
      await mkdir(join(folder, "data", part, label), { recursive: true });
      await cp(join(folder, "img", name), join(folder, "data", part, label, name));
    }
    const val = join(folder, "held-out.csv");
    const { table, notes } = await labels("data", "--val", val);
    expect(table).toBe('filepath,class\ndata/train/NA/1.png,"NA"\ndata/train/none/0.png,none\n');
    expect(await readFile(val, "utf8")).toBe("filepath,class\ndata/val/none/2.png,none\n");
    expect(notes).toContain("passed over: test/");
    await rm(join(folder, "made.csv"));
    expect((await labels("data")).notes).toContain("1 images of validation are left out: --val FILE");
  });
});

describe("parts by chance", () => {
  it("are the same every time, and take no class its last row of training", () => {
    const rows = Array.from({ length: 100 }, (_, row) => ({
      image: `${row}.png`,
      cells: [[row === 7 ? "rare" : `class ${row % 3}`]],
    }));
    const { train, val } = splitRows(rows, new Map(), 0.2);
    expect([train.length, val.length]).toEqual([80, 20]);
    expect(
      splitRows(rows.toReversed(), new Map(), 0.2)
        .val.map(({ image }) => image)
        .sort(),
    ).toEqual(val.map(({ image }) => image).sort());
    expect(train.some(({ image }) => image === "7.png")).toBe(true);
    expect(splitRows(rows.slice(0, 1), new Map(), 0.9).val).toEqual([]);
  });
});

describe("what is refused", () => {
  it.each([
    ["no labels", "t.json", '{"images":[{"id":1,"file_name":"0.png"}]}', "E_TASK_EMPTY"],
    ["COCO of another shape", "t.json", '{"images":[{"id":1}]}', "E_CSV_SHAPE"],
    ["other JSON", "t.json", '{"a":1}', "E_CSV_SHAPE"],
    ["broken JSON", "t.json", "[{]", "E_CSV_SHAPE"],
    ["a task without data", "t.json", '[{"data":{},"annotations":[]},{"annotations":[]}]', "E_CSV_SHAPE"],
    ["no column of images", "t.csv", "a,b\n1,2\n", "E_CSV_HEADER"],
    ["a ragged table", "t.csv", "image,b\n0.png,2,3\n", "E_CSV_SHAPE"],
    ["a spreadsheet", "t.xlsx", "PK", "E_CSV_SHAPE"],
  ])("%s", async (_, name, text, code) => {
    await writeFile(join(folder, name), text);
    const faults = await faultsOfAsync(() => labels(name));
    expect(faults[0]?.code, faults[0]?.message).toBe(code);
  });

  it("a table that is there already, on the command line, before anything is written", async () => {
    const { code, stderr } = await runCli(folder, [
      "labels",
      "coco.json",
      "-o",
      "fresh.csv",
      "--val",
      "val.csv",
    ]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/val\.csv: exists already \[E_RUN_EXISTS\]/);
    await expect(readFile(join(folder, "fresh.csv"))).rejects.toThrow("ENOENT");
    const made = await runCli(folder, ["labels", "coco.json", "-o", "fresh.csv"]);
    expect(made.code, made.stderr).toBe(0);
    const drafted = await runCli(folder, [
      "data",
      "stats",
      "fresh.csv",
      "--tasks",
      "animal,season",
      "--json",
    ]);
    expect(JSON.parse(drafted.stdout)).toMatchObject({
      classes: { animal: ["cat", "fox"], season: ["summer", "winter"] },
    });
  });
});
