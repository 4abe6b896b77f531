// A small run of all kinds of tasks whose names are as nasty as a table may have them, for tests of its
// report.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { makeTinyData, type TinyData, tinySpec } from "../cli/tinyData.ts";
import { trainerOfText } from "../runs/trainedData.ts";

/** Class names of the task "colour". */
export const NASTY = ["<script>alert(1)</script>", "a & b \"quoted\" 'twice'"] as const;

/** Tasks of classes, tags and numbers. */
export const MIXED_SPEC = tinySpec({
  tasks: "[colour, shape, {name: marks, kind: tags}, {name: size, kind: number}]",
  augment: "{flip_left_right: true}",
  epochs: "3",
});

/** The tiny images under labels of all kinds; nothing is trained. */
export async function mixedData(): Promise<TinyData> {
  const data = await makeTinyData();
  for (const name of ["train", "val"]) {
    const rows = (await readFile(join(data.folder, `${name}.csv`), "utf8")).trim().split("\n").slice(1);
    const lines = rows.map((line, row) => {
      const [file, , shape] = line.split(",");
      const colour = row % 5 === 4 ? "" : `"${NASTY[row % 2]?.replaceAll('"', '""')}"`;
      const marks = ["red|round", "[]", "red", "round"][row % 4];
      return [file, colour, shape, marks, (row % 7) * 1.5 + (row % 2)].join(",");
    });
    await writeFile(join(data.folder, `${name}.csv`), `file,colour,shape,marks,size\n${lines.join("\n")}\n`);
  }
  await writeFile(join(data.folder, "spec.yml"), MIXED_SPEC);
  return data;
}

/** The same with a run of three epochs in `run`. */
export async function mixedRun(): Promise<TinyData> {
  const data = await mixedData();
  try {
    await using trainer = trainerOfText(data.folder, MIXED_SPEC);
    await trainer.fit(3);
  } catch (error) {
    await data[Symbol.asyncDispose]();
    throw error;
  }
  return data;
}
