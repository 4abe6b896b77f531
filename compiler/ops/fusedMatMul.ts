// ONNX Runtime's matrix product that reads its operands transposed where they stand, so that gradients need
// no Transpose. Not ONNX's: only lowerings emit it, import refuses it. Shape letters as in matmul.ts.
import {
  defineOp,
  type EvaluateContext,
  type InferContext,
  type NDArray,
  notDifferentiable,
  type Op,
} from "../ir/op.ts";
import { concreteDim, concreteShape, type Shape, type TensorType } from "../ir/types.ts";
import { broadcastShapes, expectKind } from "./elementwise.ts";
import { matrixStarts, multiplyInto } from "./matmul.ts";
import { outputWith, viewOffsets, zerosForOutput } from "./strided.ts";

const FusedMatMul = defineOp("FusedMatMul", {
  domain: "com.microsoft",
  doc: "y = alpha a' b': a' is a, [.., M, K], or its last two axes exchanged if transA; likewise b'; leading axes broadcast",
  source: "ONNX Runtime com.microsoft FusedMatMul-1",
  inputs: ["a", "b"],
  attrs: {
    alpha: { kind: "float", default: 1 },
    transA: { kind: "int", default: 0 },
    transB: { kind: "int", default: 0 },
  },
  axes: "stops",
  precision: "float32",
  infer: (ctx) => [inferProduct(ctx)],
  vjp: notDifferentiable("only lowerings emit it, after differentiation"),
  evaluate: evaluateProduct,
});

function inferProduct(ctx: InferContext): TensorType {
  const [a, b] = [ctx.input(0), ctx.input(1)];
  expectKind(ctx, a, "float");
  if (a.shape.length < 2 || b.shape.length < 2 || a.dtype !== b.dtype)
    ctx.fail(`expected matrices of one dtype, found ${a.dtype}[${a.shape}] and ${b.dtype}[${b.shape}]`);
  const left = ctx.attrs.int("transA") ? exchangeLast(a.shape) : a.shape;
  const right = ctx.attrs.int("transB") ? exchangeLast(b.shape) : b.shape;
  if (left.at(-1) !== right.at(-2))
    ctx.fail(`expected ${left.at(-1)} rows in the second matrix, found ${right.at(-2)}`);
  const lead = broadcastShapes([left.slice(0, -2), right.slice(0, -2)], ctx.fail);
  return { dtype: a.dtype, shape: [...lead, left.at(-2)!, right.at(-1)!] };
}

function evaluateProduct(ctx: EvaluateContext): readonly NDArray[] {
  const a = ctx.attrs.int("transA") ? transposeLast(ctx.input(0)) : ctx.input(0);
  const b = ctx.attrs.int("transB") ? transposeLast(ctx.input(1)) : ctx.input(1);
  const y = zerosForOutput(ctx);
  const lead = concreteShape(ctx.outputs[0]!.shape).slice(0, -2);
  const [rows, inner, columns] = [a.shape.at(-2)!, a.shape.at(-1)!, b.shape.at(-1)!];
  const rights = matrixStarts(b.shape, lead);
  matrixStarts(a.shape, lead).forEach((from, k) => {
    const into = y.data.subarray(k * rows * columns);
    multiplyInto(into, a.data.subarray(from), b.data.subarray(rights[k]!), { rows, inner, columns });
  });
  const alpha = ctx.attrs.float("alpha");
  return outputWith(
    ctx,
    y.data.map((product) => alpha * product),
  );
}

function exchangeLast(shape: Shape): Shape {
  return [...shape.slice(0, -2), shape.at(-1)!, shape.at(-2)!];
}

function transposeLast(x: NDArray): NDArray {
  const shape = exchangeLast(x.shape).map(concreteDim);
  const strides = shape.map((_, axis) => x.shape.slice(axis + 1).reduce((size, dim) => size * dim, 1));
  strides.splice(-2, 2, 1, shape.at(-2)!);
  const data = Float64Array.from(viewOffsets(shape, strides), (offset) => x.data[offset]!);
  return { ...x, shape, data };
}

/** Ops of this family. */
export const FUSED_PRODUCTS: readonly Op[] = [FusedMatMul];
