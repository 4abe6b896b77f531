// Image files and augmentation settings -> a contact sheet: originals beside samples of what training would
// see, drawn by the same graph and the same streams. With `each`, every operation has a row of its own, and
// below the samples stands what was drawn for them.
import { basename } from "node:path";
import { imageSize } from "../../compiler/augment/augmentGraph.ts";
import { augmentColumns } from "../../compiler/augment/augmentTable.ts";
import {
  AUGMENT_KEYS,
  AUGMENT_NAMES,
  type AugmentName,
  type AugmentSettings,
  augmentSettings,
} from "../../compiler/spec/augmentKeys.ts";
import { SECTION_KEYS, type Spec } from "../../compiler/spec/schema.ts";
import { OrtLibrary } from "../ort/library.ts";
import { augmentSamples } from "./augmentSamples.ts";
import { drawContactSheet, type SheetRow } from "./contactSheet.ts";
import { readLevels, shownChannels, shownSize } from "./shownImages.ts";

/** The keys of a spec that a sheet depends on: those of images, and what samples are drawn by. */
export const SHEET_KEYS = [...SECTION_KEYS.images, "seed"] as const;
export type SheetSpec = Pick<Spec, (typeof SHEET_KEYS)[number]>;

export interface AugmentSheetOptions {
  /** Image files, one row each; with `each`, a row for each operation and file. */
  readonly paths: readonly string[];
  /** Samples beside each original; default 8. */
  readonly samples?: number | undefined;
  /**
   * Shows every operation of the spec alone (all of them where `augment` is off), applied for certain where
   * training would apply it by chance.
   */
  readonly each?: boolean | undefined;
  /** Folder or file of another ONNX Runtime. */
  readonly ortLibrary?: string | undefined;
}

const DEFAULT_SAMPLES = 8;
/** Of an operation with more parameters than this the numbers are not written below its samples. */
const MOST_PARAMETERS = 2;

/** The sheet as a PNG. Errors of reading images; without operations to show, copies of the originals. */
export async function drawAugmentSheet(spec: SheetSpec, options: AugmentSheetOptions): Promise<Buffer> {
  const size = imageSize(spec);
  const originals = await readLevels(spec, options.paths);
  using library = OrtLibrary.open(options.ortLibrary);
  const rowsOf = (settings: AugmentSettings, label: string, note: string, names: string[]): SheetRow[] => {
    const draws = { settings, size, seed: spec.seed, epoch: 1 };
    const sampled = augmentSamples(library, draws, originals, options.samples ?? DEFAULT_SAMPLES);
    return originals.map((pixels, i) => {
      const samples = (sampled[i] ?? []).map((sample) => ({
        pixels: shownChannels(sample.pixels, size),
        caption: drawnText(names, sample.parameters),
      }));
      const original = { pixels: shownChannels(pixels, size), caption: basename(options.paths[i] ?? "") };
      return { label, note, cells: [original, ...samples] };
    });
  };
  const settings = augmentSettings(spec.augment) ?? {};
  const operations = Object.entries(settings).map(([name, value]) =>
    operationLabel(name as AugmentName, value),
  );
  const rows = options.each
    ? shownOperations(spec).flatMap(([name, strength]) => {
        const alone = { [name]: certain(name, strength) };
        return rowsOf(alone, operationLabel(name, strength), AUGMENT_KEYS[name].doc, shownColumns(alone));
      })
    : rowsOf(settings, "", "", []);
  const what = options.each
    ? "each operation alone, applied to every image where training would do so by chance"
    : operations.join(", ");
  const title = `Augmentation: ${what || "off"}`;
  return await drawContactSheet(title, ["original", "samples"], rows, shownSize(size));
}

function operationLabel(name: AugmentName, strength: number): string {
  return AUGMENT_KEYS[name].kind === "flag" ? name : `${name} ${strength}`;
}

/** Names of the parameters of one operation, without its own; none where there are too many to be written. */
function shownColumns(settings: AugmentSettings): string[] {
  const names = augmentColumns(settings).map((name) => name.replace(/^.*\/(shear_)?/, ""));
  return names.length > MOST_PARAMETERS ? [] : names;
}

/** "x 0.12 y -0.3"; a switch is named where it is on, and that everything is applied goes without saying. */
function drawnText(names: readonly string[], parameters: Float32Array): string {
  const texts = names.map((name, i) => {
    const value = parameters[i] ?? 0;
    if (name === "apply") return "";
    if (name === "flip" || name.startsWith("is_")) return value > 0 ? name.replace("is_", "") : "";
    return `${name} ${Number(value.toFixed(2))}`;
  });
  return texts.filter(Boolean).join("  ");
}

/** The operations of the spec, or all that suit its images, with their numbers. */
function shownOperations({ augment, imshape }: SheetSpec): (readonly [AugmentName, number])[] {
  const settings = augmentSettings(augment);
  const isSquare = imshape[0] === imshape[1];
  return AUGMENT_NAMES.flatMap((name) => {
    const strength = settings ? settings[name] : AUGMENT_KEYS[name].normal;
    return strength === undefined || (name === "rot90" && !isSquare) ? [] : [[name, strength] as const];
  });
}

/** A chance becomes certainty; other numbers stay. */
function certain(name: AugmentName, strength: number): number {
  return AUGMENT_KEYS[name].kind === "chance" ? 1 : strength;
}
