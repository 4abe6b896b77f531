// Parameter rows of augmentation, drawn by the host: one for each image, from a stream of its own for each
// operation. A row is a pure function of (seed, epoch, sample, settings, size); an operation's numbers do not
// change when others are switched on or off, nor with threads, batches or a resume.
import {
  AUGMENT_OPERATIONS,
  activeOperations,
  augmentColumns,
  augmentStream,
} from "../../compiler/augment/augmentTable.ts";
import type { ImageSize } from "../../compiler/augment/operation.ts";
import type { AugmentSettings } from "../../compiler/spec/augmentKeys.ts";
import { RandomStream } from "../draws/randomStream.ts";

/** What the rows of an epoch depend on. */
export interface AugmentDraws {
  readonly settings: AugmentSettings;
  readonly size: ImageSize;
  readonly seed: number;
  readonly epoch: number;
}

/**
 * Rows of `count` samples from `firstSample` on, float32 [count, P] row-major, columns as augmentColumns
 * names them. A sample is a place in the epoch's order: an image that is drawn twice is augmented twice.
 */
export function drawAugmentRows(draws: AugmentDraws, firstSample: number, count: number): Float32Array {
  const { settings, size, seed, epoch } = draws;
  const names = activeOperations(settings);
  const width = augmentColumns(settings).length;
  const rows = new Float32Array(count * width);
  for (let i = 0; i < count; i++) {
    let place = i * width;
    for (const name of names) {
      const stream = new RandomStream(seed, augmentStream(name), epoch, firstSample + i);
      const uniform = () => stream.nextUniform();
      const drawn = AUGMENT_OPERATIONS[name].draw({ ...size, uniform, strength: settings[name] ?? 0 });
      rows.set(drawn, place);
      place += drawn.length;
    }
  }
  return rows;
}
