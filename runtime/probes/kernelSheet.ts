// The kernels of a network's first convolution -> a picture: one small image each, every one on a scale of
// its own from its least to its largest number, as patchwork draws them. Parameters in, PNG out.
import { InternalError } from "../../compiler/diagnostics.ts";
import { Canvas, type Colour } from "../drawing/canvas.ts";

/** What is asked of a parameter here. */
export interface KernelParameter {
  readonly name: string;
  readonly shape: readonly number[];
  readonly role: string;
  readonly part: string;
}

/** Kernels of a convolution, [kernels, channels, height, width]. */
export interface Kernels {
  readonly name: string;
  readonly shape: readonly [number, number, number, number];
  readonly values: Float32Array;
}

/** Side of a kernel as drawn, of few kernels and of many. */
const [LARGE, SMALL] = [54, 28];
const FEW_KERNELS = 64;
const GAP = 3;
const MARGIN = 16;
const HEADER = 40;
const BACKGROUND: Colour = "#dcdfe4";
const MUTED: Colour = "#4b5563";
/** Of more kernels the first are drawn. */
const MOST_KERNELS = 1_024;
const LEAST_WIDTH = 420;

/** The first convolution of the FCN, in the order of the network; undefined where it has none. */
export function firstKernels(
  parameters: readonly KernelParameter[],
  values: ReadonlyMap<string, Float32Array>,
): Kernels | undefined {
  const found = parameters.find(
    ({ part, role, shape }) => part === "fcn" && role === "kernel" && shape.length === 4,
  );
  if (!found) return undefined;
  const [count = 0, channels = 0, height = 0, width = 0] = found.shape;
  const data = values.get(found.name);
  if (data?.length !== count * channels * height * width)
    throw new InternalError(`${found.name} [${found.shape}] has ${data?.length ?? "no"} numbers`);
  return { name: found.name, shape: [count, channels, height, width], values: data };
}

/** Draws them in rows; of three channels in colour, of others their mean as grey. */
export async function drawKernels({ shape, values }: Kernels, title: string): Promise<Buffer> {
  const [count, channels, height, width] = shape;
  const shown = Math.min(count, MOST_KERNELS);
  const columns = Math.ceil(Math.sqrt(shown));
  const side = shown <= FEW_KERNELS ? LARGE : SMALL;
  const factor = Math.max(1, Math.round(side / Math.max(height, width)));
  const [cellWidth, cellHeight] = [width * factor, height * factor];
  const rows = Math.ceil(shown / columns);
  const sheetWidth = Math.max(LEAST_WIDTH, 2 * MARGIN + columns * (cellWidth + GAP) - GAP);
  const canvas = new Canvas(sheetWidth, 2 * MARGIN + HEADER + rows * (cellHeight + GAP) - GAP, BACKGROUND);
  const most = sheetWidth - 2 * MARGIN;
  canvas.text(title, MARGIN, MARGIN - 4, { size: 14, bold: true, most });
  const colours =
    channels === 3 ? "in colour" : channels === 1 ? "in grey" : `the mean of ${channels} channels`;
  const rest = count > shown ? `, the first ${shown}` : "";
  const note = `${count} kernels of ${height}x${width}${rest}, ${colours}, each on a scale of its own`;
  canvas.text(note, MARGIN, MARGIN + 16, { size: 12, colour: MUTED, most });
  for (let kernel = 0; kernel < shown; kernel++) {
    const pixels = enlarged(kernelPixels(values, kernel, shape), width, height, factor);
    const left = MARGIN + (kernel % columns) * (cellWidth + GAP);
    const top = MARGIN + HEADER + Math.floor(kernel / columns) * (cellHeight + GAP);
    canvas.image(left, top, pixels, cellWidth, cellHeight);
  }
  return await canvas.toPng();
}

/** One kernel as uint8 [height, width, 3], its least number black and its largest white. */
export function kernelPixels(values: Float32Array, kernel: number, shape: Kernels["shape"]): Uint8Array {
  const [, channels, height, width] = shape;
  const size = height * width;
  const own = values.subarray(kernel * channels * size, (kernel + 1) * channels * size);
  const planes =
    channels === 3 ? [0, 1, 2].map((c) => own.subarray(c * size, (c + 1) * size)) : [meanOf(own, size)];
  let [least, largest] = [Infinity, -Infinity];
  for (const plane of planes)
    for (const value of plane) [least, largest] = [Math.min(least, value), Math.max(largest, value)];
  const range = largest - least || 1;
  return Uint8Array.from({ length: size * 3 }, (_, i) => {
    const plane = planes[planes.length === 3 ? i % 3 : 0];
    return Math.round((((plane?.[Math.floor(i / 3)] ?? 0) - least) / range) * 255);
  });
}

function meanOf(own: Float32Array, size: number): Float32Array {
  const mean = new Float32Array(size);
  const channels = own.length / size;
  for (let i = 0; i < own.length; i++) mean[i % size] = (mean[i % size] ?? 0) + (own[i] ?? 0) / channels;
  return mean;
}

function enlarged(pixels: Uint8Array, width: number, height: number, factor: number): Uint8Array {
  const large = new Uint8Array(pixels.length * factor * factor);
  for (let y = 0; y < height * factor; y++)
    for (let x = 0; x < width * factor; x++) {
      const from = (Math.floor(y / factor) * width + Math.floor(x / factor)) * 3;
      large.set(pixels.subarray(from, from + 3), (y * width * factor + x) * 3);
    }
  return large;
}
