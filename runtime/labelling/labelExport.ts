// What an export of a labelling tool says of images, whatever its form: the vocabulary that the readers of
// this folder share. In: a file or folder. Out: labels with their places, for labelMerge.ts to make rows of.
import { type Location, MttcError } from "../../compiler/diagnostics.ts";

/** A label of an image as the source has it. */
export interface SourceLabel {
  /** The image as the source names it. */
  readonly image: string;
  readonly task: string;
  /** What was chosen; several names are several labels at once. */
  readonly names: readonly string[];
  /** Whether labels of one image and task add up, instead of contradicting each other. */
  readonly adds?: boolean;
  /** Where it stands in the source: "line 3", "task 12". */
  readonly place: string;
}

/** Part of the data that the source says an image is in. */
export type Split = "train" | "val";

/** What a source holds. */
export interface LabelExport {
  /** The form, in words. */
  readonly form: string;
  readonly labels: readonly SourceLabel[];
  /** All images, those without labels among them. */
  readonly images: ReadonlySet<string>;
  /** The part of each image, where the source has parts. */
  readonly splits: ReadonlyMap<string, Split>;
  /** What was passed over, one sentence each. */
  readonly notes: readonly string[];
}

/** A source as it is read. */
export class ExportBuilder {
  readonly #labels: SourceLabel[] = [];
  readonly #images = new Set<string>();
  readonly #splits = new Map<string, Split>();
  readonly #passedOver = new Map<string, number>();

  image(name: string, split?: Split): void {
    this.#images.add(name);
    if (split !== undefined) this.#splits.set(name, split);
  }

  /** Takes a label; names that are empty are none. */
  label(label: SourceLabel): void {
    this.#images.add(label.image);
    const names = label.names.filter((name) => name.trim() !== "");
    if (names.length > 0) this.#labels.push({ ...label, names });
  }

  /** Counts what is no label of an image: `what` in words. */
  passOver(what: string, count = 1): void {
    this.#passedOver.set(what, (this.#passedOver.get(what) ?? 0) + count);
  }

  finish(form: string): LabelExport {
    const notes = [...this.#passedOver].map(([what, count]) => `passed over: ${what} (${count})`);
    return { form, labels: this.#labels, images: this.#images, splits: this.#splits, notes };
  }
}

/** A split by the name that a source gives it; undefined for others, "test" among them. */
export function splitNamed(name: string): Split | undefined {
  if (/^train(ing)?$/i.test(name)) return "train";
  return /^(val|valid|validation|dev)$/i.test(name) ? "val" : undefined;
}

/** E_CSV_SHAPE: the source is not what it seemed. */
export function notAnExport(file: string, message: string, at: Location = {}): MttcError {
  return new MttcError({ code: "E_CSV_SHAPE", message, at: { file, ...at } });
}
