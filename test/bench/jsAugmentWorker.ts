// A worker of the all-JavaScript form: augments its images so often as it is told, and answers when done.
import { parentPort, workerData } from "node:worker_threads";
import type { ImageSize } from "../../compiler/augment/operation.ts";
import type { AugmentSettings } from "../../compiler/spec/augmentKeys.ts";
import { type ColourRow, JsAugment } from "./jsAugment.ts";

/** What a worker is started with. */
export interface JsAugmentJob {
  readonly warps: AugmentSettings;
  readonly size: ImageSize;
  readonly images: readonly Uint8Array[];
  readonly warpRows: readonly Float32Array[];
  readonly rows: readonly ColourRow[];
}

const { warps, size, images, warpRows, rows } = workerData as JsAugmentJob;
const kernel = new JsAugment(warps, size);
const target = new Float32Array(size.height * size.width * size.channels);
parentPort?.on("message", (passes: number) => {
  for (let pass = 0; pass < passes; pass++)
    images.forEach((image, n) => {
      kernel.augment(image, target, warpRows[n] as Float32Array, rows[n] as ColourRow);
    });
  parentPort?.postMessage("done");
});
