// Augmentation in plain JavaScript, all of it: what the split is compared with. The warps are the loader's
// own; colours and blur are those of augment.onnx, each pixel in one go.
import type { ImageSize } from "../../compiler/augment/operation.ts";
import type { AugmentSettings } from "../../compiler/spec/augmentKeys.ts";
import { ImageWarp } from "../../runtime/augment/warpImage.ts";

/** Numbers of one image, as augment.onnx's columns have them. */
export interface ColourRow {
  readonly brightness: number;
  readonly contrast: number;
  readonly saturation: number;
  readonly turns: number;
  readonly sigma: number;
}

/** Augments images of one size in this thread. */
export class JsAugment {
  readonly #size: ImageSize;
  readonly #warp: ImageWarp;
  readonly #warped: Uint8Array;
  readonly #between: Float32Array;

  constructor(warps: AugmentSettings, size: ImageSize) {
    const bytes = size.height * size.width * 3;
    this.#size = size;
    this.#warp = new ImageWarp(warps, size);
    this.#warped = new Uint8Array(bytes);
    this.#between = new Float32Array(size.height * size.width);
  }

  /** `source` uint8 [H,W,3] -> `target` float32 [3,H,W]. */
  augment(source: Uint8Array, target: Float32Array, warpRow: Float32Array, row: ColourRow): void {
    this.#warp.warp(source, this.#warped, warpRow);
    changeColours(this.#warped, target, row);
    if (row.sigma > 0.1) this.#blur(target, row.sigma);
    for (let i = 0; i < target.length; i++) {
      const x = target[i] as number;
      target[i] = x < 0 ? 0 : x > 1 ? 1 : x;
    }
  }

  /** Cut at 3 sigma, which the definition is not: the fastest that JavaScript does. */
  #blur(x: Float32Array, sigma: number): void {
    const { height, width } = this.#size;
    const radius = Math.min(Math.floor(height / 20), Math.ceil(3 * sigma));
    const taps = Float32Array.from({ length: 2 * radius + 1 }, (_, i) =>
      Math.exp(-((i - radius) ** 2) / (2 * sigma * sigma)),
    );
    const sum = taps.reduce((total, tap) => total + tap, 0);
    for (let i = 0; i < taps.length; i++) taps[i] = (taps[i] as number) / sum;
    const between = this.#between;
    for (let channel = 0; channel < 3; channel++) {
      const plane = x.subarray(channel * height * width, (channel + 1) * height * width);
      between.fill(0);
      for (let tap = -radius; tap <= radius; tap++) {
        const weight = taps[tap + radius] as number;
        const from = Math.max(0, -tap) * width;
        const to = Math.min(height, height - tap) * width;
        const shift = tap * width;
        for (let i = from; i < to; i++)
          between[i] = (between[i] as number) + weight * (plane[i + shift] as number);
      }
      for (let row = 0; row < height; row++)
        for (let column = 0; column < width; column++) {
          let blurred = 0;
          const from = Math.max(-radius, -column);
          const to = Math.min(radius, width - 1 - column);
          for (let tap = from; tap <= to; tap++)
            blurred += (taps[tap + radius] as number) * (between[row * width + column + tap] as number);
          plane[row * width + column] = blurred;
        }
    }
  }
}

/** Brightness, contrast, saturation and hue: uint8 [H,W,3] -> float32 [3,H,W]. */
function changeColours(pixels: Uint8Array, target: Float32Array, row: ColourRow): void {
  const { brightness, contrast, saturation, turns } = row;
  const plane = pixels.length / 3;
  const sums = [0, 0, 0];
  for (let i = 0; i < pixels.length; i += 3)
    for (let channel = 0; channel < 3; channel++)
      sums[channel] = (sums[channel] as number) + (pixels[i + channel] as number);
  const scale = (brightness * contrast) / 255;
  const [r0, g0, b0] = sums.map((sum) => ((1 - contrast) * brightness * sum) / plane / 255) as [
    number,
    number,
    number,
  ];
  const sixths = 6 * turns;
  for (let i = 0, out = 0; out < plane; i += 3, out++) {
    const red = scale * (pixels[i] as number) + r0;
    const green = scale * (pixels[i + 1] as number) + g0;
    const blue = scale * (pixels[i + 2] as number) + b0;
    const most = red > green ? (red > blue ? red : blue) : green > blue ? green : blue;
    const before = red < green ? (red < blue ? red : blue) : green < blue ? green : blue;
    const full = most - before;
    const factor = saturation * full > most ? most / full : saturation;
    const range = factor > 0 ? full * factor : 0;
    const least = most - range;
    let hue = sixths;
    if (full > 0) {
      if (red >= most) hue += (green - blue) / full;
      else if (green >= most) hue += (blue - red) / full + 2;
      else hue += (red - green) / full + 4;
    }
    hue -= 6 * Math.floor(hue / 6);
    target[out] = least + range * share(Math.abs(hue - 3) - 1);
    target[plane + out] = least + range * share(2 - Math.abs(hue - 2));
    target[2 * plane + out] = least + range * share(2 - Math.abs(hue - 4));
  }
}

function share(x: number): number {
  return x < 0 ? 0 : x > 1 ? 1 : x;
}
