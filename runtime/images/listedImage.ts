// An image that a label table names, for work that goes through all of them: checks, packs, features.
import type { Location } from "../../compiler/diagnostics.ts";

export interface ListedImage {
  readonly path: string;
  /** Where the table lists it. */
  readonly place: Location;
  /** What the file was when it was checked (sourceStamp.ts): features refuse another. */
  readonly stamp?: number | undefined;
}
