// Vectors of images as TensorBoard's projector reads them: a table of numbers, one of what is known of each
// row, a sprite of small pictures, and the file that lists them (protobuf's text form of
// projector_config.proto).
import { PROJECTOR_HEAD } from "../runs/logFiles.ts";
import type { EmbeddingRows } from "./reports.ts";
import type { EmbeddingRecord } from "./sink.ts";

/** Files of an embedding in its folder. */
export const EMBEDDING_FILES = {
  tensors: "tensors.tsv",
  metadata: "metadata.tsv",
  sprite: "sprite.png",
} as const;

/** Digits of a number in the table: more than eyes see in a cloud of points. */
const DIGITS = 6;

/** Vectors [rows, width], row-major, as a table of tab-separated numbers without a head. */
export function tensorsTable(vectors: Float32Array, width: number): string {
  const lines: string[] = [];
  for (let start = 0; start < vectors.length; start += width)
    lines.push(Array.from(vectors.subarray(start, start + width), (value) => shortNumber(value)).join("\t"));
  return `${lines.join("\n")}\n`;
}

function shortNumber(value: number): string {
  return String(Number(value.toPrecision(DIGITS)));
}

/** The rows as a table; with a head only where there are several columns, as the projector wants it. */
export function metadataTable({ columns, values }: EmbeddingRows): string {
  const clean = (cell: string): string => cell.replace(/[\t\r\n]/g, " ");
  const lines = values.map((row) => row.map(clean).join("\t"));
  return `${(columns.length > 1 ? [columns.map(clean).join("\t"), ...lines] : lines).join("\n")}\n`;
}

/** The file that lists embeddings. */
export function projectorConfig(embeddings: readonly EmbeddingRecord[]): string {
  const entries = embeddings.map(({ name, folder, shape, spriteSide }) => {
    const sprite =
      spriteSide === undefined
        ? []
        : [
            "  sprite {",
            `    image_path: ${quoted(`${folder}/${EMBEDDING_FILES.sprite}`)}`,
            `    single_image_dim: ${spriteSide}`,
            `    single_image_dim: ${spriteSide}`,
            "  }",
          ];
    return [
      "embeddings {",
      `  tensor_name: ${quoted(name)}`,
      `  tensor_shape: ${shape[0]}`,
      `  tensor_shape: ${shape[1]}`,
      `  tensor_path: ${quoted(`${folder}/${EMBEDDING_FILES.tensors}`)}`,
      `  metadata_path: ${quoted(`${folder}/${EMBEDDING_FILES.metadata}`)}`,
      ...sprite,
      "}",
    ].join("\n");
  });
  return `${PROJECTOR_HEAD}${entries.join("\n")}\n`;
}

/** A string of protobuf's text form: backslashes and quotes escaped, control characters as octal. */
function quoted(text: string): string {
  const escaped = text
    .replace(/[\\"]/g, (letter) => `\\${letter}`)
    .replace(/\p{Cc}/gu, (letter) => `\\${letter.charCodeAt(0).toString(8).padStart(3, "0")}`);
  return `"${escaped}"`;
}
