// The odd pictures that `mttc export --reader-vectors` writes beside a model, with what training makes of
// each.
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { ClientAnswer } from "./clientData.ts";

export interface VectorImage {
  readonly file: string;
  /** The odd picture, and the pixels that training sees of it, a plain PNG. */
  readonly path: string;
  readonly seen: string;
  readonly answers: readonly Pick<ClientAnswer, "task" | "numbers">[];
}

interface VectorsFile {
  readonly images: readonly {
    readonly file: string;
    readonly seen: string;
    readonly answers: Readonly<Record<string, readonly number[]>>;
  }[];
}

/** The odd pictures beside an exported model. */
export function vectorsBeside(model: string): VectorImage[] {
  const folder = join(dirname(model), "reader-vectors");
  const { images }: VectorsFile = JSON.parse(readFileSync(join(folder, "vectors.json"), "utf8"));
  return images.map(({ file, seen, answers }) => ({
    file,
    path: join(folder, file),
    seen: join(folder, seen),
    answers: Object.entries(answers).map(([task, numbers]) => ({ task, numbers })),
  }));
}
