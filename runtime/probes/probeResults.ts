// What the probes of one epoch found, as it comes: figures, files, pictures, and what is told of them.
import type { ImageRows } from "../tables/imageRows.ts";
import type { RowTable } from "./probeRows.ts";

/** Vectors of rows, what is known of each, and a picture of each. */
export interface Projection {
  readonly name: string;
  readonly epoch: number;
  /** Row-major [rows, width]. */
  readonly vectors: Float32Array;
  readonly width: number;
  readonly rows: RowTable;
  /** Pictures of `side` pixels in a grid, row by row, as many across as the root of their number. */
  readonly sprite: { readonly png: Uint8Array; readonly side: number };
}

/** Results of one epoch's probes, as they come. */
export class ProbeResults {
  readonly epoch: number;
  readonly scalars: Record<string, number> = {};
  /** Files by their name in the epoch's folder. */
  readonly files = new Map<string, Uint8Array>();
  readonly pictures: { readonly name: string; readonly png: Uint8Array }[] = [];
  /** Parts of the line that tells of the probe. */
  readonly told: string[] = [];
  projection: Projection | undefined;

  constructor(epoch: number) {
    this.epoch = epoch;
  }

  /** A picture, which is a file, too. */
  draw(name: string, file: string, png: Uint8Array): void {
    this.pictures.push({ name: `probe/${name}`, png });
    this.files.set(file, png);
  }

  json(file: string, content: object): void {
    this.files.set(file, new TextEncoder().encode(`${JSON.stringify(content, null, 1)}\n`));
  }
}

/** Vectors of rows with the model of an epoch. */
export interface Vectors {
  readonly width: number;
  of(rows: ImageRows, change?: (image: Uint8Array, row: number) => void): Promise<Float32Array>;
}
