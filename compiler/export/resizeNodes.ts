// Training's resize as nodes of an ONNX graph, for images of any size: the arithmetic of libvips 8.18
// (vips_resize with Lanczos 3, called by sharp with fit "fill"), to the bit. Each axis is reduced by a matrix
// that the graph makes from the image's size: an integer box first, then Lanczos weights in 4096ths at places
// in 64ths of a pixel, rounded to bytes; enlargements are Catmull-Rom, half a pixel off as libvips has them.
// All sums are of integers below 2^24, which float32 holds exactly, in whatever order they are added.
// Shape letters: n rows in, k rows in a box, b boxes, T rows wanted, M numbers of a row.
import { RESIZE_ONE, RESIZE_STEPS } from "./imageReading.ts";
import type { OnnxNodes } from "./onnxNodes.ts";

/** Of a reduced axis at most 4 pixels remain for each wanted one: 2 round(3 * 4) + 1 weights. */
const TAPS = 25;
/** libvips adds up the places of 10 rows, and of all columns, from a start. */
const ROWS_AT_A_TIME = 10;

/** Sizes of one axis, int64 [1] each. */
interface Axis {
  /** Pixels before. */
  readonly size: string;
  readonly target: number;
  /** Pixels that become one in the box, at least 1. */
  readonly box: string;
  /** Pixels behind the box. */
  readonly boxes: string;
  /** Pixels behind the reduction: `target`, or `size` where that is less. */
  readonly kept: string;
}

/** What is resized: bytes [1,H,W,channels], or one plane [H,W] of float32 with the numbers of bytes. */
export interface ResizeInput {
  readonly image: string;
  /** int64 [1]. */
  readonly height: string;
  readonly width: string;
  readonly channels: number;
  readonly isBytes: boolean;
}

/** Emits the resize to `height` by `width`; the result is float32 [1,height,width,channels] of 0 to 255. */
export function resizeNodes(b: OnnxNodes, input: ResizeInput, height: number, width: number): string {
  const { channels } = input;
  const [rows, columns] = [axisOf(b, input.height, height), axisOf(b, input.width, width)];
  const across = b.op("Mul", [input.width, b.ints(channels)]);
  const sums = input.isBytes ? byteSums(b, input, rows, across) : boxSums(b, input.image, rows, across);
  const low = reduced(b, sums, rows, ROWS_AT_A_TIME);
  // [rows,W,channels] -> [W,rows,channels]: both axes are done as rows of a matrix.
  const turned = turn(b, low, [rows.kept, input.width, b.ints(channels)]);
  const down = b.op("Mul", [rows.kept, b.ints(channels)]);
  const small = reduced(b, boxSums(b, turned, columns, down), columns, width);
  const grows = b.op("Or", [
    b.op("Less", [input.height, b.ints(height)]),
    b.op("Less", [input.width, b.ints(width)]),
  ]);
  const wide = enlarged(b, small, columns, grows);
  const back = turn(b, wide, [b.ints(width), rows.kept, b.ints(channels)]);
  const shape = b.ints(1, height, width, channels);
  return clipped(b, b.op("Reshape", [enlarged(b, back, rows, grows), shape]));
}

function axisOf(b: OnnxNodes, size: string, target: number): Axis {
  const box = b.op("Max", [b.op("Div", [size, b.ints(2 * target)]), b.ints(1)]);
  const boxes = b.op("Div", [b.op("Add", [size, b.op("Sub", [box, b.ints(1)])]), box]);
  return { size, target, box, boxes, kept: b.op("Min", [size, b.ints(target)]) };
}

/** Rows repeated at the end until the box divides them, [n,M] or [1,n,...] -> with `axis` longer. */
function filledUp(b: OnnxNodes, x: string, { size, box, boxes }: Axis, axis: number, rank: number): string {
  const missing = b.op("Sub", [b.op("Mul", [box, boxes]), size]);
  const zeros = (count: number): string[] => (count > 0 ? [b.ints(...new Array<number>(count).fill(0))] : []);
  const pads = b.shape(...zeros(rank + axis), missing, ...zeros(rank - axis - 1));
  return b.op("Pad", [x, pads], { mode: "edge" });
}

/** Sums over boxes of rows of bytes: [1,n,W,C] -> [b,M]. Never as float32, which is four times the bytes. */
function byteSums(b: OnnxNodes, { image }: ResizeInput, rows: Axis, across: string): string {
  const filled = filledUp(b, image, rows, 1, 4);
  const stacked = b.op("Reshape", [filled, b.shape(rows.boxes, rows.box, across)]);
  const ones = b.op("Expand", [b.constant("uint8", [1]), b.shape(b.ints(1), rows.box)]);
  const sums = b.op("MatMulInteger", [ones, stacked]);
  return b.cast(b.op("Reshape", [sums, b.shape(rows.boxes, across)]), "float32");
}

/** The same of float32 [n,M]. */
function boxSums(b: OnnxNodes, x: string, rows: Axis, across: string): string {
  const filled = filledUp(b, x, rows, 0, 2);
  const stacked = b.op("Reshape", [filled, b.shape(rows.boxes, rows.box, across)]);
  return b.op("ReduceSum", [stacked, b.ints(1)], { keepdims: 0 });
}

/** Sums over boxes [b,M] -> means, reduced to [kept,M]. */
function reduced(b: OnnxNodes, sums: string, rows: Axis, run: number): string {
  const matrix = reduceMatrix(b, rows, run);
  return clipped(b, rounded(b, b.op("MatMul", [matrix, means(b, sums, rows.box)])));
}

/**
 * (sum + k / 2) (2^24 / k) / 2^24, all divisions rounded down: the mean, one less where the sum divides
 * without rest and 2^24 does not.
 */
function means(b: OnnxNodes, sums: string, box: string): string {
  const rest = b.op("Mod", [b.ints(2 ** 24), box]);
  const less = b.op("Min", [rest, b.ints(1)]);
  const amend = b.op("Sub", [b.op("Div", [box, b.ints(2)]), less]);
  const sum = b.op("Add", [sums, b.cast(amend, "float32")]);
  return b.op("Floor", [b.op("Div", [sum, b.cast(box, "float32")])]);
}

function rounded(b: OnnxNodes, sums: string): string {
  const half = b.op("Add", [sums, b.constant("float32", [RESIZE_ONE / 2])]);
  return b.op("Floor", [b.op("Mul", [half, b.constant("float32", [1 / RESIZE_ONE])])]);
}

function clipped(b: OnnxNodes, x: string): string {
  return b.op("Clip", [x, b.constant("float32", [0], []), b.constant("float32", [255], [])]);
}

/** [m,M] as `sizes`, the first two axes exchanged, as a matrix again. */
function turn(b: OnnxNodes, x: string, sizes: readonly [string, string, string]): string {
  const [first, second, third] = sizes;
  const stacked = b.op("Reshape", [x, b.shape(first, second, third)]);
  const turned = b.op("Transpose", [stacked], { perm: [1, 0, 2] });
  return b.op("Reshape", [turned, b.shape(second, b.op("Mul", [first, third]))]);
}

/** float32 [kept,b] of whole 4096ths: Lanczos weights, or ones where nothing is to be reduced. */
function reduceMatrix(b: OnnxNodes, rows: Axis, run: number): string {
  const { target, boxes, kept } = rows;
  const { first, fraction, residual } = placesOf(b, rows, run);
  const taps = b.constant("int64", range(TAPS), [1, TAPS]);
  const half = b.cast(b.op("Round", [b.op("Mul", [residual, b.constant("float64", [3])])]), "int64");
  const centre = b.op("Sub", [
    b.op("Add", [
      b.op("Div", [b.cast(fraction, "float64"), b.constant("float64", [RESIZE_STEPS])]),
      b.cast(half, "float64"),
    ]),
    b.constant("float64", [0.5]),
  ]);
  const scale = b.op("Div", [b.constant("float64", [1]), residual]);
  const x = b.op("Mul", [b.op("Sub", [b.cast(taps, "float64"), centre]), scale]);
  const weights = wholeWeights(b, lanczos(b, x));
  const from = b.op("Add", [b.op("Sub", [first, half]), taps]);
  const lanczosRows = b.op("Slice", [scattered(b, weights, from, boxes), b.ints(0), kept, b.ints(0)]);
  const isReduced = b.op("Greater", [rows.size, b.ints(target)]);
  return b.op("Where", [isReduced, lanczosRows, identityMatrix(b, kept, boxes)]);
}

/**
 * Where the wanted rows lie among the boxes: whole pixels and 64ths, int64 [T,1], and the factor that is left
 * to the weights, float64 [1]. float64, added up as libvips does it: on a border between two 64ths the last
 * bit decides.
 */
function placesOf(b: OnnxNodes, { size, target, box }: Axis, run: number) {
  const double = (value: number): string => b.constant("float64", [value]);
  const [pixels, k] = [b.cast(size, "float64"), b.cast(box, "float64")];
  const inverse = b.op("Div", [double(1), b.op("Div", [pixels, double(target)])]);
  const factor = b.op("Div", [double(1), inverse]);
  const extra = b.op("Div", [b.op("Sub", [b.op("Mul", [factor, double(target)]), pixels]), k]);
  const residual = b.op("Div", [factor, k]);
  const offset = b.op("Sub", [b.op("Div", [b.op("Add", [double(1), extra]), double(2)]), double(1)]);
  const runs = Math.ceil(target / run);
  const starts = b.constant(
    "float64",
    range(runs).map((i) => i * run + 0.5),
    [runs, 1],
  );
  const scaled = b.op("Sub", [b.op("Sub", [b.op("Mul", [starts, residual]), double(0.5)]), offset]);
  const isStart = b.constant(
    "bool",
    range(run).map((i) => (i === 0 ? 1 : 0)),
    [1, run],
  );
  const steps = b.op("CumSum", [b.op("Where", [isStart, scaled, residual]), b.constant("int64", [1], [])]);
  const flat = b.op("Reshape", [steps, b.ints(runs * run, 1)]);
  const places = b.op("Slice", [flat, b.ints(0), b.ints(target), b.ints(0)]);
  const fine = b.cast(b.op("Mul", [places, double(2 * RESIZE_STEPS)]), "int64");
  return { ...pixelAndFraction(b, fine), residual };
}

/** 128ths of a pixel -> whole pixels, and 64ths rounded half up. */
function pixelAndFraction(b: OnnxNodes, fine: string): { first: string; fraction: string } {
  const first = b.op("Div", [fine, b.ints(2 * RESIZE_STEPS)]);
  const rest = b.op("Sub", [fine, b.op("Mul", [first, b.ints(2 * RESIZE_STEPS)])]);
  return { first, fraction: b.op("Div", [b.op("Add", [rest, b.ints(1)]), b.ints(2)]) };
}

/** sinc(x) sinc(x / 3) up to 3, 0 beyond. */
function lanczos(b: OnnxNodes, x: string): string {
  const double = (value: number): string => b.constant("float64", [value]);
  const sinc = (at: string): string => {
    const angle = b.op("Mul", [at, double(Math.PI)]);
    const isZero = b.op("Equal", [at, double(0)]);
    const safe = b.op("Where", [isZero, double(1), angle]);
    return b.op("Where", [isZero, double(1), b.op("Div", [b.op("Sin", [safe]), safe])]);
  };
  const product = b.op("Mul", [sinc(x), sinc(b.op("Div", [x, double(3)]))]);
  const isNear = b.op("LessOrEqual", [b.op("Abs", [x]), double(3)]);
  return b.op("Where", [isNear, product, double(0)]);
}

/** Weights [T,taps] -> whole 4096ths of their sum, towards zero, float32. */
function wholeWeights(b: OnnxNodes, weights: string): string {
  const shares = b.op("Div", [weights, b.op("ReduceSum", [weights, b.ints(1)], { keepdims: 1 })]);
  return b.cast(b.cast(b.op("Mul", [shares, b.constant("float64", [RESIZE_ONE])]), "int32"), "float32");
}

/** Weights [T,taps] at rows `from` [T,taps] of `count` -> a matrix [T,count]; the last rows go on. */
function scattered(b: OnnxNodes, weights: string, from: string, count: string): string {
  const last = b.op("Sub", [count, b.ints(1)]);
  const inside = b.op("Min", [b.op("Max", [from, b.ints(0)]), last]);
  const rows = b.op("Shape", [weights], { start: 0, end: 1 });
  const zeros = b.op("Expand", [b.constant("float32", [0]), b.shape(rows, count)]);
  return b.op("ScatterElements", [zeros, inside, weights], { axis: 1, reduction: "add" });
}

/** 4096 times the matrix [rows,columns] that changes nothing. */
function identityMatrix(b: OnnxNodes, rows: string, columns: string): string {
  const down = b.op("Unsqueeze", [counting(b, rows), b.ints(1)]);
  const isSame = b.op("Equal", [down, counting(b, columns)]);
  return b.op("Where", [isSame, b.constant("float32", [RESIZE_ONE]), b.constant("float32", [0])]);
}

/** 0, 1, ... before `count`, int64. */
function counting(b: OnnxNodes, count: string): string {
  const scalar = b.op("Squeeze", [count, b.ints(0)]);
  return b.op("Range", [b.constant("int64", [0], []), scalar, b.constant("int64", [1], [])]);
}

/** [kept,M] -> [T,M]: where any axis grows, both are moved by half a pixel. Not clipped. */
function enlarged(b: OnnxNodes, x: string, { kept, target }: Axis, grows: string): string {
  // One pixel further, so that no place is negative when it is divided.
  const rows = b.constant(
    "int64",
    range(target).map((j) => j * 2 * RESIZE_STEPS),
    [target, 1],
  );
  const shift = b.ints(RESIZE_STEPS);
  const fine = b.op("Add", [b.op("Div", [b.op("Mul", [rows, kept]), b.ints(target)]), shift]);
  const { first, fraction } = pixelAndFraction(b, fine);
  const table = b.constant("float32", range(RESIZE_STEPS + 1).flatMap(catmullRom), [RESIZE_STEPS + 1, 4]);
  const weights = b.op("Gather", [table, b.op("Squeeze", [fraction, b.ints(1)])]);
  const taps = b.constant(
    "int64",
    range(4).map((i) => i - 2),
    [1, 4],
  );
  const moved = scattered(b, weights, b.op("Add", [first, taps]), kept);
  const matrix = b.op("Where", [grows, moved, identityMatrix(b, b.ints(target), kept)]);
  return rounded(b, b.op("MatMul", [matrix, x]));
}

/** Weights of four neighbours at a 64th between the second and the third, in 4096ths towards zero. */
function catmullRom(step: number): number[] {
  const x = step / RESIZE_STEPS;
  const y = 1 - x;
  const weights = [
    ...[-0.5 * x * y * y, y * (1 + x - 1.5 * x * x)],
    ...[x * (0.5 + 2 * x - 1.5 * x * x), -0.5 * x * x * y],
  ];
  return weights.map((weight) => Math.trunc(RESIZE_ONE * weight));
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}
