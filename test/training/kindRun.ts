// What the runs of single kinds of task are made from: tables of small pictures with a class `tint` beside the
// kind's column, and a spec that learns both in seconds.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import sharp from "sharp";

const SIDE = 12;
/** Pixels of a picture. */
export const PIXELS = SIDE * SIDE;
/** Rows to train on; half as many validate. */
export const ROWS = 64;

/** A spec of the class `tint` and of `task`, an entry of the spec's `tasks`. */
export function kindSpec(task: string): string {
  return `train_labels: train.csv
val_labels: val.csv
filepaths: file
tasks: [tint, ${task}]
fcn: {layers: [8]}
train_fcn: true
shared_layers: [16]
task_layers: [16]
global_pooling: average
task_weights: adaptive
imshape: ${SIDE}
batch_size: 16
lr: 0.01
epochs: 15
logdir: run
`;
}

/** A row's picture, [PIXELS, 3] channels by their place, and its cells. */
export interface KindRow {
  readonly channel: (at: number) => number;
  readonly tint: string;
  readonly cell: string;
}

/** Writes spec.yml, train.csv with 64 rows and val.csv with the 32 behind them, and their pictures. */
export async function writeKindData(
  folder: string,
  spec: string,
  column: string,
  rowOf: (row: number) => KindRow,
): Promise<void> {
  await writeFile(join(folder, "spec.yml"), spec);
  for (const [name, first, rows] of [
    ["train", 0, ROWS],
    ["val", ROWS, ROWS / 2],
  ] as const) {
    const lines = [`file,tint,${column}`];
    for (let row = first; row < first + rows; row++) {
      const { channel, tint, cell } = rowOf(row);
      const file = `${name}-${row}.png`;
      const pixels = Uint8Array.from({ length: 3 * PIXELS }, (_, at) => channel(at));
      await sharp(pixels, { raw: { width: SIDE, height: SIDE, channels: 3 } })
        .png()
        .toFile(join(folder, file));
      lines.push(`${file},${tint},${cell}`);
    }
    await writeFile(join(folder, `${name}.csv`), `${lines.join("\n")}\n`);
  }
}
