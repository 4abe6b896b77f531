// OpenMoji's own catalogue -> label rows with natural holes -> train and val rows -> CSV text. Pure. The
// split is by base glyph: the five skin tones of one gesture are near-copies of each other, and a split by
// image would let the network recognise val images from their twins in train.
import { createHash } from "node:crypto";
import { z } from "zod";
import { MttcError } from "../../compiler/diagnostics.ts";

/** Subgroups with fewer images than this are left unlabelled. */
export const MIN_SUBGROUP_IMAGES = 10;
/** Share of the base glyphs that go to val. */
export const VAL_SHARE = 0.2;

const catalogueSchema = z.array(
  z.object({
    hexcode: z.string().regex(/^[0-9A-F]+(?:-[0-9A-F]+)*$/),
    group: z.string().regex(/^[a-z-]+$/),
    subgroups: z.string().regex(/^[a-z-]+$/),
    skintone: z.union([z.literal(""), z.int().min(1).max(5), z.string().regex(/^[1-5],[1-5]$/)]),
    skintone_base_hexcode: z.string(),
  }),
);

/**
 * One emoji: the file's name without ending, the glyph it is a variant of, and its labels (null = missing).
 */
export interface EmojiRow {
  readonly hexcode: string;
  readonly base: string;
  readonly labels: Readonly<Record<EmojiTask, string | null>>;
}

/** The label columns. */
export const EMOJI_TASKS = ["group", "subgroup", "skin_tone"] as const;
export type EmojiTask = (typeof EMOJI_TASKS)[number];

/**
 * The rows of OpenMoji's data/openmoji.json: group (12 classes), subgroup where it has at least 10 images,
 * and skin tone 1 (light) to 5 (dark) where the emoji has exactly one. E_LABEL if the catalogue has another
 * form.
 */
export function readEmojiRows(catalogue: string): EmojiRow[] {
  const parsed = catalogueSchema.safeParse(JSON.parse(catalogue));
  if (!parsed.success)
    throw new MttcError({
      code: "E_LABEL",
      message: `OpenMoji's catalogue: ${z.prettifyError(parsed.error)}`,
    });
  const sizes = new Map<string, number>();
  for (const { subgroups } of parsed.data) sizes.set(subgroups, (sizes.get(subgroups) ?? 0) + 1);
  return parsed.data.map(({ hexcode, group, subgroups, skintone, skintone_base_hexcode }) => ({
    hexcode,
    base: skintone_base_hexcode || hexcode,
    labels: {
      group,
      subgroup: (sizes.get(subgroups) ?? 0) >= MIN_SUBGROUP_IMAGES ? subgroups : null,
      skin_tone: typeof skintone === "number" ? String(skintone) : null, // "1,2" is a couple of two tones
    },
  }));
}

/**
 * Splits by a hash of the base glyph, so that the split depends on nothing else. Glyphs of a class that train
 * would lack go to train; every class of val is then in train too.
 */
export function splitByBase(rows: readonly EmojiRow[]): { train: EmojiRow[]; val: EmojiRow[] } {
  const isVal = (row: EmojiRow): boolean => hashShare(row.base) < VAL_SHARE;
  const inTrain = new Set(rows.filter((row) => !isVal(row)).flatMap(classesOf));
  const movedBases = new Set<string>();
  for (const row of rows.filter(isVal))
    if (classesOf(row).some((name) => !inTrain.has(name))) movedBases.add(row.base);
  const train = rows.filter((row) => !isVal(row) || movedBases.has(row.base));
  const val = rows.filter((row) => isVal(row) && !movedBases.has(row.base));
  return { train, val };
}

/** `<task>=<class>` of each label that the row has. */
export function classesOf(row: EmojiRow): string[] {
  return EMOJI_TASKS.flatMap((task) => (row.labels[task] === null ? [] : [`${task}=${row.labels[task]}`]));
}

/** A label table: filepath (relative to the table's folder) and a column per task, empty where missing. */
export function formatLabelCsv(rows: readonly EmojiRow[], imageFolder: string): string {
  const lines = rows.map(({ hexcode, labels }) =>
    [`${imageFolder}/${hexcode}.png`, ...EMOJI_TASKS.map((task) => labels[task] ?? "")].join(","),
  );
  return `${["filepath", ...EMOJI_TASKS].join(",")}\n${lines.join("\n")}\n`;
}

/** A number in [0, 1) that follows from `text` alone. */
function hashShare(text: string): number {
  return createHash("sha256").update(text).digest().readUInt32BE(0) / 2 ** 32;
}
