// Matrix products. Shape letters: rows M, inner K, columns N.
import {
  defineOp,
  type EvaluateContext,
  type Lowering,
  type NDArray,
  type Op,
  type VjpContext,
} from "../ir/op.ts";
import { concreteDim, concreteShape, elementCount, type Shape, type Value } from "../ir/types.ts";
import { broadcastShapes, expectKind, sumToShape } from "./elementwise.ts";
import { broadcastData, broadcastStrides, outputWith, viewOffsets, zerosForOutput } from "./strided.ts";

/**
 * Both factors with all leading axes, so that their matrices lie one behind the other, each with its own
 * partner: CUDA's kernel then multiplies them in one strided batch; for stretched axes it would upload lists
 * of addresses at every run.
 */
const wholeStacks: Lowering = ({ b, input, outputs }) => {
  const [x, y] = [input(0), input(1)];
  const lead = concreteShape(outputs[0]?.type.shape ?? []).slice(0, -2);
  const whole = (value: Value): Value => {
    const shape = concreteShape(value.type.shape);
    const wanted = [...lead, ...shape.slice(-2)];
    return String(shape) === String(wanted) ? value : b.expand(value, wanted);
  };
  return [b.emit("MatMul", [whole(x), whole(y)])];
};

export const MatMul = defineOp("MatMul", {
  doc: "z = x y: [.., M, K] by [.., K, N], leading axes broadcast; a vector is a row left, a column right",
  source: "ONNX MatMul-13 (numpy.matmul)",
  inputs: ["x", "y"],
  outputs: ["z"],
  axes: "stops",
  precision: "halves",
  // each output is a sum of K products
  flops: ({ inputs, outputs }, size) => 2 * size(outputs[0]) * size(inputs[0]?.type.shape.slice(-1)),
  infer: (ctx) => {
    const [x, y] = [ctx.input(0), ctx.input(1)];
    for (const type of [x, y]) expectKind(ctx, type, "number");
    if (x.shape.length === 0 || y.shape.length === 0 || x.dtype !== y.dtype)
      ctx.fail(`expected two matrices of one dtype, found ${x.dtype}[${x.shape}] and ${y.dtype}[${y.shape}]`);
    const [left, right] = [asMatrix(x.shape, "row"), asMatrix(y.shape, "column")];
    if (left.at(-1) !== right.at(-2))
      ctx.fail(
        `expected the columns of the first to be the rows of the second, found [${x.shape}], [${y.shape}]`,
      );
    const shape = [
      ...broadcastShapes([left.slice(0, -2), right.slice(0, -2)], ctx.fail),
      ...(x.shape.length === 1 ? [] : [left.at(-2)!]),
      ...(y.shape.length === 1 ? [] : [right.at(-1)!]),
    ];
    return [{ dtype: x.dtype, shape }];
  },
  // dx = dz y^T, dy = x^T dz, summed over the leading axes that were broadcast
  vjp: differentiateMatMul,
  evaluate: (ctx) => {
    const [x, y] = [ctx.input(0), ctx.input(1)];
    const left = { ...x, shape: concreteShape(asMatrix(x.shape, "row")) };
    const right = { ...y, shape: concreteShape(asMatrix(y.shape, "column")) };
    const lead = ctx.outputs[0]!.shape.slice(0, Math.max(left.shape.length, right.shape.length) - 2).map(
      concreteDim,
    );
    const [rows, inner, columns] = [left.shape.at(-2)!, left.shape.at(-1)!, right.shape.at(-1)!];
    const z = zerosForOutput(ctx);
    const lefts = matrixStarts(left.shape, lead);
    const rights = matrixStarts(right.shape, lead);
    lefts.forEach((from, k) => {
      const [a, b] = [x.data.subarray(from), y.data.subarray(rights[k]!)];
      multiplyInto(z.data.subarray(k * rows * columns), a, b, { rows, inner, columns });
    });
    return [z];
  },
  lower: { wholeStacks },
});

function asMatrix(shape: Shape, vector: "row" | "column"): Shape {
  if (shape.length !== 1) return shape;
  return vector === "row" ? [1, ...shape] : [...shape, 1];
}

/** Where the matrix of each leading index begins, the leading axes broadcast to `lead`. */
export function matrixStarts(shape: readonly number[], lead: readonly number[]): Int32Array {
  const size = elementCount(shape.slice(-2));
  const strides = broadcastStrides(shape.slice(0, -2), lead);
  return viewOffsets(
    lead,
    strides.map((stride) => stride * size),
  );
}

/** z += x y for row-major matrices. */
export function multiplyInto(
  z: Float64Array,
  x: Float64Array,
  y: Float64Array,
  sizes: { readonly rows: number; readonly inner: number; readonly columns: number },
): void {
  const { rows, inner, columns } = sizes;
  for (let m = 0; m < rows; m++)
    for (let k = 0; k < inner; k++) {
      const factor = x[m * inner + k]!;
      for (let n = 0; n < columns; n++)
        z[m * columns + n] = z[m * columns + n]! + factor * y[k * columns + n]!;
    }
}

function differentiateMatMul(ctx: VjpContext): readonly (Value | undefined)[] {
  const { b, needs } = ctx;
  const [xVector, yVector] = [ctx.input(0).type.shape.length === 1, ctx.input(1).type.shape.length === 1];
  const unsqueeze = (value: Value, axis: number): Value => b.emit("Unsqueeze", [value, b.ints([axis])]);
  const squeeze = (value: Value, axis: number): Value => b.emit("Squeeze", [value, b.ints([axis])]);
  const x = xVector ? unsqueeze(ctx.input(0), 0) : ctx.input(0);
  const y = yVector ? unsqueeze(ctx.input(1), 1) : ctx.input(1);
  let dz = yVector ? unsqueeze(ctx.dy, -1) : ctx.dy;
  if (xVector) dz = unsqueeze(dz, -2);
  // Gemm reads a transposed matrix where it stands; there is no such product of stacks of matrices.
  const plain = x.type.shape.length === 2 && y.type.shape.length === 2;
  if (isStackByOne(x, y)) return differentiateRows(ctx, x, y, dz);
  const dx = () => (plain ? b.emit("Gemm", [dz, y], { transB: 1 }) : b.emit("MatMul", [dz, swapLast(b, y)]));
  const dy = () => (plain ? b.emit("Gemm", [x, dz], { transA: 1 }) : b.emit("MatMul", [swapLast(b, x), dz]));
  const back = (value: Value, like: Value, vectorAxis: number | undefined): Value => {
    const sum = sumToShape(b, value, like.type.shape);
    return vectorAxis === undefined ? sum : squeeze(sum, vectorAxis);
  };
  return [
    needs[0] ? back(dx(), x, xVector ? 0 : undefined) : undefined,
    needs[1] ? back(dy(), y, yVector ? 1 : undefined) : undefined,
  ];
}

/** Whether all the matrices of a stack are multiplied by one and the same. */
function isStackByOne(x: Value, y: Value): boolean {
  return x.type.shape.length > 2 && y.type.shape.length === 2 && hasKnownSizes(x) && hasKnownSizes(y);
}

function hasKnownSizes(value: Value): boolean {
  return value.type.shape.every((dim) => typeof dim === "number");
}

/**
 * The rule for a stack [.., M, K] by one matrix [K, N]: all rows of the stack are rows of one matrix, so each
 * derivative is one product, and none is summed over the stack.
 */
function differentiateRows(
  { b, needs, input }: VjpContext,
  x: Value,
  y: Value,
  dz: Value,
): readonly (Value | undefined)[] {
  const [inner, columns] = concreteShape(y.type.shape) as [number, number];
  const rows = elementCount(x.type.shape) / inner;
  const dzRows = b.reshape(dz, [rows, columns]);
  const dx = () => b.reshape(b.emit("Gemm", [dzRows, y], { transB: 1 }), concreteShape(x.type.shape));
  const dy = () => b.emit("Gemm", [b.reshape(x, [rows, inner]), dzRows], { transA: 1 });
  const isVector = input(1).type.shape.length === 1;
  return [
    needs[0] ? dx() : undefined,
    needs[1] ? (isVector ? b.emit("Squeeze", [dy(), b.ints([1])]) : dy()) : undefined,
  ];
}

function swapLast(b: VjpContext["b"], value: Value): Value {
  const axes = value.type.shape.map((_, axis) => axis);
  return b.transpose(value, [...axes.slice(0, -2), axes.length - 1, axes.length - 2]);
}

const Gemm = defineOp("Gemm", {
  doc: "y = alpha a' b' + beta c; a' is a, or its transpose if transA; likewise b'; c broadcasts to [M, N]",
  source: "ONNX Gemm-13",
  inputs: ["a", "b", "c?"],
  attrs: {
    alpha: { kind: "float", default: 1 },
    beta: { kind: "float", default: 1 },
    transA: { kind: "int", default: 0 },
    transB: { kind: "int", default: 0 },
  },
  axes: "stops",
  precision: "halves",
  // each output is a sum of K products
  flops: ({ inputs, outputs, attrs }, size) => {
    const inner = attrs.transA === 1 ? 0 : 1;
    return 2 * size(outputs[0]) * size(inputs[0]?.type.shape.slice(inner, inner + 1));
  },
  infer: (ctx) => {
    const [a, b, c] = [ctx.input(0), ctx.input(1), ctx.inputs[2]];
    expectKind(ctx, a, "number");
    if (a.shape.length !== 2 || b.shape.length !== 2 || a.dtype !== b.dtype || (c && c.dtype !== a.dtype))
      ctx.fail(`expected matrices of one dtype, found ${a.dtype}[${a.shape}], ${b.dtype}[${b.shape}]`);
    const [rows, inner] = ctx.attrs.int("transA") ? a.shape.toReversed() : a.shape;
    const [innerB, columns] = ctx.attrs.int("transB") ? b.shape.toReversed() : b.shape;
    if (inner !== innerB) ctx.fail(`expected ${inner} rows in the second matrix, found ${innerB}`);
    const shape = [rows!, columns!];
    if (c && String(broadcastShapes([shape, c.shape], ctx.fail)) !== String(shape))
      ctx.fail(`expected a third operand that broadcasts to [${shape}], found [${c.shape}]`);
    return [{ dtype: a.dtype, shape }];
  },
  // da' = alpha dy b'^T, db' = alpha a'^T dy, each transposed back; dc = beta dy, summed where c was
  // broadcast
  vjp: ({ b, dy, input, inputs, attrs, needs }) => {
    const alpha = attrs.float("alpha");
    const [transA, transB] = [attrs.int("transA"), attrs.int("transB")];
    const product = (x: Value, y: Value, transX: number, transY: number): Value =>
      b.emit("Gemm", [x, y], { alpha, transA: transX, transB: transY });
    const da = () => (transA ? product(input(1), dy, transB, 1) : product(dy, input(1), 0, 1 - transB));
    const db = () => (transB ? product(dy, input(0), 1, transA) : product(input(0), dy, 1 - transA, 0));
    const beta = attrs.float("beta");
    const c = inputs[2];
    const scaled = () => (beta === 1 ? dy : b.mul(dy, b.scalar(beta, dy.type.dtype)));
    return [
      needs[0] ? da() : undefined,
      needs[1] ? db() : undefined,
      c && needs[2] ? sumToShape(b, scaled(), c.type.shape) : undefined,
    ];
  },
  evaluate: evaluateGemm,
});

function evaluateGemm(ctx: EvaluateContext): readonly NDArray[] {
  const a = ctx.attrs.int("transA") ? transposed(ctx.input(0)) : ctx.input(0);
  const b = ctx.attrs.int("transB") ? transposed(ctx.input(1)) : ctx.input(1);
  const y = zerosForOutput(ctx);
  const [rows, inner, columns] = [a.shape[0]!, a.shape[1]!, b.shape[1]!];
  multiplyInto(y.data, a.data, b.data, { rows, inner, columns });
  const c = ctx.inputs[2] && broadcastData(ctx.inputs[2], y.shape);
  const [alpha, beta] = [ctx.attrs.float("alpha"), ctx.attrs.float("beta")];
  return outputWith(
    ctx,
    y.data.map((product, i) => alpha * product + (c ? beta * c[i]! : 0)),
  );
}

function transposed(x: NDArray): NDArray {
  const [rows, columns] = [x.shape[0]!, x.shape[1]!];
  const data = viewOffsets([columns, rows], [1, columns]);
  return { ...x, shape: [columns, rows], data: Float64Array.from(data, (offset) => x.data[offset]!) };
}

/** Ops of this family. */
export const MATMUL: readonly Op[] = [MatMul, Gemm];
