// Geometry of 2-D convolution and pooling, shared by their operators: a window of taps that slides over a
// padded image. Letters: N batch, C input channels, H W input size, K output channels, R S kernel size, P Q
// output size.
import type { AttrReader, AttrSpec, InferContext } from "../ir/op.ts";
import type { Dim, TensorType } from "../ir/types.ts";

/** One of the two spatial axes of a window; sizes in pixels. */
export interface WindowAxis {
  readonly kernel: number;
  readonly stride: number;
  readonly dilation: number;
  readonly padBegin: number;
  readonly padEnd: number;
}

export interface SlidingWindow {
  readonly rows: WindowAxis;
  readonly columns: WindowAxis;
}

/** Attributes that every windowed operator has; pads are ONNX's [top, left, bottom, right]. */
export const WINDOW_ATTRS: Readonly<Record<"strides" | "pads" | "dilations", AttrSpec>> = {
  strides: { kind: "ints", default: [1, 1] },
  pads: { kind: "ints", default: [0, 0, 0, 0] },
  dilations: { kind: "ints", default: [1, 1] },
};

/** The window that `attrs` describe for a kernel of R x S taps. */
export function readWindow(attrs: AttrReader, kernel: readonly [R: number, S: number]): SlidingWindow {
  const [strides, pads] = [attrs.ints("strides"), attrs.ints("pads")];
  const dilations = attrs.has("dilations") ? attrs.ints("dilations") : [1, 1];
  const axis = (i: 0 | 1): WindowAxis => ({
    kernel: kernel[i],
    stride: strides[i] ?? 1,
    dilation: dilations[i] ?? 1,
    padBegin: pads[i] ?? 0,
    padEnd: pads[i + 2] ?? 0,
  });
  return { rows: axis(0), columns: axis(1) };
}

/** Pixels that the taps of one window span. */
export function windowExtent(axis: WindowAxis): number {
  return (axis.kernel - 1) * axis.dilation + 1;
}

/** Pads [top, left, bottom, right] with which a convolution by reversed taps transposes one of stride 1. */
export function flippedPads({ rows, columns }: SlidingWindow): number[] {
  const before = (axis: WindowAxis): number => windowExtent(axis) - 1 - axis.padBegin;
  const after = (axis: WindowAxis): number => windowExtent(axis) - 1 - axis.padEnd;
  return [before(rows), before(columns), after(rows), after(columns)];
}

/**
 * Number of window positions along one axis of `size` pixels (ONNX Conv-11, MaxPool-12). With `ceil` a last,
 * partial window is added if it starts inside the image or its leading padding, as ONNX Runtime does.
 */
export function countPositions(axis: WindowAxis, size: number, ceil = false): number {
  const room = size + axis.padBegin + axis.padEnd - windowExtent(axis);
  if (!ceil) return Math.floor(room / axis.stride) + 1;
  const positions = Math.ceil(room / axis.stride) + 1;
  return (positions - 1) * axis.stride >= size + axis.padBegin ? positions - 1 : positions;
}

/** The four dims of input `index`; E_SHAPE unless it is [N,C,H,W] with known C, H and W. */
export function imageDims(ctx: InferContext, index: number): [N: Dim, C: number, H: number, W: number] {
  const { shape } = ctx.input(index);
  const [n, ...rest] = shape;
  const sizes = rest.filter((dim) => typeof dim === "number");
  const [c, h, w] = sizes;
  if (shape.length !== 4 || n === undefined || c === undefined || h === undefined || w === undefined)
    return ctx.fail(`expected [N,C,H,W] with known C, H and W, found [${shape}]`);
  return [n, c, h, w];
}

/** The output size [P, Q] of a window over H x W pixels; E_SHAPE when the window does not fit. */
export function outputSize(
  ctx: InferContext,
  window: SlidingWindow,
  height: number,
  width: number,
  ceil = false,
): [P: number, Q: number] {
  const p = countPositions(window.rows, height, ceil);
  const q = countPositions(window.columns, width, ceil);
  if (p < 1 || q < 1)
    ctx.fail(
      `a window of ${windowExtent(window.rows)}x${windowExtent(window.columns)} pixels does not fit into ` +
        `the padded image of ${height}x${width}`,
    );
  return [p, q];
}

/** E_SHAPE unless all inputs that are given have one float dtype; returns a type of that dtype. */
export function floatType(ctx: InferContext, shape: readonly Dim[], indexes: readonly number[]): TensorType {
  const { dtype } = ctx.input(indexes[0] ?? 0);
  for (const index of indexes) {
    const found = ctx.inputs[index]?.dtype ?? dtype;
    if (!found.startsWith("float") || found !== dtype)
      ctx.fail(`expected one float dtype for all inputs, found ${found} beside ${dtype}`);
  }
  return { dtype, shape };
}

/**
 * A run of output columns that one tap reads from one image row: y[at + i] pairs with x[from + i * stride].
 */
export interface TapRun {
  /** Row-major number of the tap, r * S + s. */
  readonly tap: number;
  readonly from: number;
  readonly at: number;
  readonly count: number;
}

/** All runs of one image plane, for every tap and output row; taps in the padding are left out. */
export function tapRuns(
  window: SlidingWindow,
  [height, width]: readonly [number, number],
  [outHeight, outWidth]: readonly [number, number],
): readonly TapRun[] {
  const { rows, columns } = window;
  const runs: TapRun[] = [];
  for (let r = 0; r < rows.kernel; r++)
    for (let s = 0; s < columns.kernel; s++) {
      const shift = s * columns.dilation - columns.padBegin;
      const first = Math.max(0, Math.ceil(-shift / columns.stride));
      const last = Math.min(outWidth - 1, Math.floor((width - 1 - shift) / columns.stride));
      if (last < first) continue;
      for (let p = 0; p < outHeight; p++) {
        const h = p * rows.stride + r * rows.dilation - rows.padBegin;
        if (h < 0 || h >= height) continue;
        runs.push({
          tap: r * columns.kernel + s,
          from: h * width + first * columns.stride + shift,
          at: p * outWidth + first,
          count: last - first + 1,
        });
      }
    }
  return runs;
}
