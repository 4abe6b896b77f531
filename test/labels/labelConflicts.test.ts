// One image with two labels of a task: by its path, and by its content under another name.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { prepareLabels } from "../../runtime/labels/classes.ts";
import { conflictWarnings } from "../../runtime/labels/labelConflicts.ts";
import { parseLabelTable } from "../../runtime/tables/labelFiles.ts";

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mttc-conflicts-"));
  for (const [name, bytes] of [
    ["0.png", "one image"],
    ["1.png", "one image"],
    ["2.png", "other one"],
  ] as const)
    await writeFile(join(folder, name), bytes);
});

afterAll(() => rm(folder, { recursive: true, force: true }));

async function conflicts(rows: string, val?: string): Promise<string[]> {
  const columns = { tasks: ["a", "b"], filepaths: "filepath" };
  const table = (text: string) =>
    parseLabelTable(Buffer.from(`filepath,a,b\n${text}`), join(folder, "t.csv"), columns);
  const labels = prepareLabels(table(rows), val === undefined ? undefined : table(val), {
    a: ["x", "y"],
    b: ["u", "v"],
  });
  const found = await conflictWarnings(labels);
  return found.map((text) => text.replaceAll(/\S*\/(?=\d\.png)/g, ""));
}

describe("one image with two labels of a task", () => {
  it("is told by its path, however it is written, with its lines, and of each task alone", async () => {
    expect(await conflicts("gone.png,x,u\n2.png,x,\n./2.png,y,v\n2.png,x,\ngone.png,x,v\n")).toEqual([
      'task "a": an image has several labels: 2.png (lines 3, 4, 5): x or y',
      expect.stringMatching(/^task "b": an image has several labels: \S*gone\.png \(lines 2, 6\): u or v$/),
    ]);
  });

  it("is told by its content, in the validation table too; the same label twice is none", async () => {
    expect(await conflicts("0.png,x,u\n2.png,y,v\n1.png,y,u\n", "0.png,x,u\n1.png,x,v\n")).toEqual([
      'task "a": an image has several labels: 0.png, 1.png, the same image (lines 2, 4): x or y',
      'task "b": an image has several labels: 0.png, 1.png, the same image (lines 2, 3): u or v',
    ]);
  });

  it("is told of sets by their tags: the same set in another order is none", async () => {
    const columns = { tasks: ["t"], filepaths: "filepath" };
    const text = "filepath,t\n2.png,b|a\n2.png,a|b\n0.png,a\n0.png,[]\n0.png,\n";
    const table = parseLabelTable(Buffer.from(text), join(folder, "t.csv"), columns);
    const kinds = { t: { kind: "tags", separator: "|" } };
    const found = await conflictWarnings(prepareLabels(table, undefined, {}, { kinds }));
    expect(found).toEqual([expect.stringMatching(/0\.png \(lines 4, 5, 6\): a or \[\]$/)]);
  });

  it("is counted in bounded time and memory, however many rows there are", async () => {
    const rows = Array.from({ length: 300_000 }, (_, row) => `${row % 299_999}.jpg,${row % 2 ? "x" : "y"},u`);
    const [found] = await conflicts(`${rows.join("\n")}\n`);
    expect(found).toContain("an image has several labels");
    expect(found).toContain("(lines 2, 300001): y or x");
  });
});
