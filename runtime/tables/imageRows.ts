// The images of a label table, row by row: what checks, packs and loaders take. They know no labels.
import type { Location } from "../../compiler/diagnostics.ts";
import type { ListedImage } from "../images/listedImage.ts";
import type { PathList } from "./stringTable.ts";

export interface ImageRows {
  /** Absolute path of each row's image. */
  readonly paths: PathList;
  readonly locate: (row: number) => Location;
  /** What each row's file was when it was checked (sourceStamp.ts): reads refuse another. */
  readonly stamps?: Uint32Array;
}

/** The images of a run's tables. */
export interface Splits {
  readonly train: ImageRows;
  readonly val: ImageRows | undefined;
  /** Rows that training never sees: neither read nor kept. */
  readonly test?: ImageRows | undefined;
}

/** Every row as an image that the table lists, one table after the other. */
export function listedImages(...tables: readonly (ImageRows | undefined)[]): ListedImage[] {
  const images: ListedImage[] = [];
  for (const rows of tables) {
    let row = 0;
    for (const path of rows?.paths ?? []) {
      images.push({ path, place: rows?.locate(row) ?? {}, stamp: rows?.stamps?.[row] });
      row++;
    }
  }
  return images;
}
