// The record of a run's split in its folder: split.json, written once and never changed, since evaluations
// go by it.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { MttcError } from "../../compiler/diagnostics.ts";
import { writeFileAtomically } from "../files/atomicDirectory.ts";
import { fileError, systemCode } from "../files/fileSystem.ts";
import { parseJson } from "../files/jsonText.ts";
import { textMark } from "../files/ownOutput.ts";
import { SplitRecord } from "../labels/splitRecord.ts";

export const SPLIT_FILE = "split.json";
const FORMAT = "mttc-split";
/** How a record of ours is known. */
export const SPLIT_MARK = textMark("a record of a split", `{"format":"${FORMAT}"`);

const recordSchema = z.object({
  format: z.literal(FORMAT),
  version: z.literal(1),
  /** Rows of each part, for people. */
  rows: z.object({ train: z.int(), val: z.int(), test: z.int() }),
  /** SplitRecord.bytes, base64. */
  images: z.base64(),
});

/** The record in a run's folder. E_FILE where there is none, E_BUNDLE where it is not what mttc wrote. */
export async function readSplitRecord(directory: string): Promise<SplitRecord> {
  const file = join(directory, SPLIT_FILE);
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    throw fileError(error, file, "read which rows the run has put where");
  }
  const parsed = recordSchema.safeParse(parseJson(text));
  const record = parsed.success ? SplitRecord.from(Buffer.from(parsed.data.images, "base64")) : undefined;
  if (record) return record;
  throw new MttcError({
    code: "E_BUNDLE",
    message: "does not say which rows the run has put where",
    at: { file },
    hint: "`mttc train SPEC --resume` writes it anew, if the label table is what it was",
  });
}

/** E_DISK, E_FILE. */
export async function writeSplitRecord(directory: string, record: SplitRecord): Promise<void> {
  const file = join(directory, SPLIT_FILE);
  const rows = { train: record.rowsOf("train"), val: record.rowsOf("val"), test: record.rowsOf("test") };
  const content = { format: FORMAT, version: 1, rows, images: record.bytes().toString("base64") };
  const text = `${JSON.stringify(content)}\n`;
  if ((await readText(file)) !== text) await writeFileAtomically(file, text);
}

async function readText(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    if (systemCode(error) === "ENOENT") return undefined;
    throw fileError(error, file, "read");
  }
}
