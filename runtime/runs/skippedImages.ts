// What a run knows of its images: that they were looked at, as they are, and which of them cannot be read, so
// that every sitting of the run, and its evaluation, leave out the same rows (the spec's on_bad_image: skip).
//   <logdir>/images.json
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join, relative, resolve } from "node:path";
import { z } from "zod";
import { MttcError } from "../../compiler/diagnostics.ts";
import type { Spec } from "../../compiler/spec/schema.ts";
import { writeFileAtomically } from "../files/atomicDirectory.ts";
import { fileError, systemCode } from "../files/fileSystem.ts";
import { parseJson } from "../files/jsonText.ts";
import type { LabelledRows } from "../labels/classes.ts";
import { labelsOfRows } from "../labels/taskLabels.ts";
import type { Splits } from "../tables/imageRows.ts";
import { StringTable } from "../tables/stringTable.ts";

export const IMAGES_FILE = "images.json";
const FORMAT = "mttc-images";

const recordSchema = z.object({
  format: z.literal(FORMAT),
  /** Hash of paths and stamps of all rows and of how they were looked at. */
  digest: z.string(),
  /** Paths of the images that cannot be read, from the folder where the spec's paths start. */
  skipped: z.array(z.string()),
});

export interface ImageRecord {
  readonly digest: string;
  /** Absolute paths. */
  readonly skipped: ReadonlySet<string>;
}

/** The record of a run's folder; undefined where there is none. E_BUNDLE, E_FILE. */
export async function readImageRecord(directory: string, base: string): Promise<ImageRecord | undefined> {
  const file = join(directory, IMAGES_FILE);
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    if (systemCode(error) === "ENOENT") return undefined;
    throw fileError(error, file, "read the run's images");
  }
  const parsed = recordSchema.safeParse(parseJson(text));
  if (!parsed.success) {
    const hint = "delete it: the images are then looked at again";
    throw new MttcError({
      code: "E_BUNDLE",
      message: "does not describe a run's images",
      at: { file },
      hint,
    });
  }
  const { digest, skipped } = parsed.data;
  return { digest, skipped: new Set(skipped.map((path) => resolve(base, path))) };
}

/** The images that a run leaves out; none, unless its spec says `on_bad_image: skip`. E_BUNDLE, E_FILE. */
export async function skippedImages({
  spec,
  directory,
  baseDirectory,
}: {
  readonly spec: Spec;
  readonly directory: string;
  readonly baseDirectory: string;
}): Promise<ReadonlySet<string>> {
  if (spec.on_bad_image !== "skip") return new Set();
  return (await readImageRecord(directory, baseDirectory))?.skipped ?? new Set();
}

/** E_DISK, E_FILE. */
export async function writeImageRecord(directory: string, base: string, record: ImageRecord): Promise<void> {
  const skipped = [...record.skipped].map((path) => relative(base, path)).sort();
  const content = { format: FORMAT, digest: record.digest, skipped };
  await writeFileAtomically(join(directory, IMAGES_FILE), `${JSON.stringify(content, null, 1)}\n`);
}

/** Changes when an image, a path or the way of looking (`how`) does. */
export function imagesDigest({ train, val }: Splits, how: unknown): string {
  const hash = createHash("sha256").update(JSON.stringify([FORMAT, how]));
  for (const rows of [train, ...(val ? [val] : [])]) {
    hash.update(`\n${rows.paths.length}\n`);
    for (const path of rows.paths) hash.update(`${path}\n`);
    if (rows.stamps)
      hash.update(new Uint8Array(rows.stamps.buffer, rows.stamps.byteOffset, rows.stamps.byteLength));
  }
  return hash.digest("hex");
}

/** The rows whose images are not in `skipped`, in their order; the same object where all stay. */
export function withoutImages<Rows extends LabelledRows>(rows: Rows, skipped: ReadonlySet<string>): Rows {
  const kept: number[] = [];
  let row = 0;
  for (const path of rows.paths) {
    if (!skipped.has(path)) kept.push(row);
    row += 1;
  }
  if (kept.length === rows.paths.length) return rows;
  const paths = new StringTable();
  const labels = rows.labels.map((ofTask) => labelsOfRows(ofTask, kept));
  const stamps = rows.stamps && new Uint32Array(kept.length);
  for (const [index, from] of kept.entries()) {
    paths.push(rows.paths.at(from) ?? "");
    if (stamps) stamps[index] = rows.stamps?.[from] ?? 0;
  }
  const locate = (index: number): ReturnType<LabelledRows["locate"]> => rows.locate(kept[index] ?? 0);
  return { ...rows, paths, labels, locate, ...(stamps ? { stamps } : {}) };
}
