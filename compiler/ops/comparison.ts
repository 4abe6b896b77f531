// Comparisons, logic and choice. Truth values are bool tensors; the derivatives of comparisons are zero.
import { defineOp, type EvaluateContext, type NDArray, type Op, zeroDerivative } from "../ir/op.ts";
import { resolveAxis } from "./axes.ts";
import {
  broadcastInputs,
  broadcastShapes,
  type DTypeKind,
  expectKind,
  mapWith,
  sameAsInput,
  scalarLike,
  sumToShape,
  zipWith,
} from "./elementwise.ts";
import { broadcastData, groupOffsets, zerosForOutput } from "./strided.ts";

/** A bool of two tensors of one dtype, with broadcasting. */
function defineComparison(
  name: string,
  entry: {
    readonly doc: string;
    readonly source: string;
    readonly kind: DTypeKind;
    readonly commutative: boolean;
    readonly test: (x: number, y: number) => boolean;
  },
): Op {
  return defineOp(name, {
    doc: entry.doc,
    source: entry.source,
    inputs: ["x", "y"],
    outputs: ["z"],
    traits: entry.commutative ? ["elementwise", "commutative"] : ["elementwise"],
    infer: broadcastInputs(entry.kind, "bool"),
    vjp: zeroDerivative("truth values do not change smoothly"),
    evaluate: zipWith((x, y) => (entry.test(x, y) ? 1 : 0)),
  });
}

const Equal = defineComparison("Equal", {
  doc: "z = x is y",
  source: "ONNX Equal-13",
  kind: "any",
  commutative: true,
  test: (x, y) => x === y,
});

const Greater = defineComparison("Greater", {
  doc: "z = x > y",
  source: "ONNX Greater-13",
  kind: "number",
  commutative: false,
  test: (x, y) => x > y,
});

const GreaterOrEqual = defineComparison("GreaterOrEqual", {
  doc: "z = x >= y",
  source: "ONNX GreaterOrEqual-16",
  kind: "number",
  commutative: false,
  test: (x, y) => x >= y,
});

const Less = defineComparison("Less", {
  doc: "z = x < y",
  source: "ONNX Less-13",
  kind: "number",
  commutative: false,
  test: (x, y) => x < y,
});

const LessOrEqual = defineComparison("LessOrEqual", {
  doc: "z = x <= y",
  source: "ONNX LessOrEqual-16",
  kind: "number",
  commutative: false,
  test: (x, y) => x <= y,
});

const And = defineComparison("And", {
  doc: "z = x and y",
  source: "ONNX And-7",
  kind: "bool",
  commutative: true,
  test: (x, y) => x !== 0 && y !== 0,
});

const Or = defineComparison("Or", {
  doc: "z = x or y",
  source: "ONNX Or-7",
  kind: "bool",
  commutative: true,
  test: (x, y) => x !== 0 || y !== 0,
});

const Not = defineOp("Not", {
  doc: "y = not x",
  source: "ONNX Not-1",
  inputs: ["x"],
  traits: ["elementwise"],
  infer: sameAsInput("bool"),
  vjp: zeroDerivative("truth values do not change smoothly"),
  evaluate: mapWith((x) => (x === 0 ? 1 : 0)),
});

const Where = defineOp("Where", {
  doc: "z = x where the condition (bool) holds, else y; all three broadcast",
  source: "ONNX Where-16",
  inputs: ["condition", "x", "y"],
  outputs: ["z"],
  traits: ["elementwise"],
  infer: (ctx) => {
    const [condition, x, y] = [ctx.input(0), ctx.input(1), ctx.input(2)];
    expectKind(ctx, condition, "bool");
    if (x.dtype !== y.dtype) ctx.fail(`expected two tensors of one dtype, found ${x.dtype} and ${y.dtype}`);
    return [{ dtype: x.dtype, shape: broadcastShapes([condition.shape, x.shape, y.shape], ctx.fail) }];
  },
  // dx = dz where the condition holds, else 0; dy = 0 where the condition holds, else dz
  vjp: (ctx) => {
    const { b, dy: dz } = ctx;
    const [condition, x, y] = [ctx.input(0), ctx.input(1), ctx.input(2)];
    const zero = scalarLike(b, 0, dz);
    return [
      undefined,
      ctx.needs[1] ? sumToShape(b, b.where(condition, dz, zero), x.type.shape) : undefined,
      ctx.needs[2] ? sumToShape(b, b.where(condition, zero, dz), y.type.shape) : undefined,
    ];
  },
  evaluate: (ctx) => {
    const z = zerosForOutput(ctx);
    const condition = broadcastData(ctx.input(0), z.shape);
    const x = broadcastData(ctx.input(1), z.shape);
    const y = broadcastData(ctx.input(2), z.shape);
    for (let i = 0; i < z.data.length; i++) z.data[i] = condition[i] === 0 ? y[i]! : x[i]!;
    return [z];
  },
});

const ArgMax = defineOp("ArgMax", {
  doc: "y = position (int64) of the largest along `axis`; of equal ones the first, or, if asked, the last",
  source: "ONNX ArgMax-13",
  inputs: ["x"],
  attrs: {
    axis: { kind: "int", default: 0 },
    keepdims: { kind: "int", default: 1 },
    select_last_index: { kind: "int", default: 0 },
  },
  infer: (ctx) => {
    const { shape } = ctx.input(0);
    expectKind(ctx, ctx.input(0), "number");
    const axis = resolveAxis(ctx.attrs.int("axis"), shape.length, ctx.fail);
    const after = ctx.attrs.int("keepdims") === 1 ? [1] : [];
    return [{ dtype: "int64", shape: shape.toSpliced(axis, 1, ...after) }];
  },
  vjp: zeroDerivative("a position does not change smoothly"),
  evaluate: evaluateArgMax,
});

function evaluateArgMax(ctx: EvaluateContext): readonly NDArray[] {
  const x = ctx.input(0);
  const axis = resolveAxis(ctx.attrs.int("axis"), x.shape.length);
  const last = ctx.attrs.int("select_last_index") === 1;
  const group = groupOffsets(x.shape, [axis]);
  const inner = x.shape.slice(axis + 1).reduce((product, size) => product * size, 1);
  const y = zerosForOutput(ctx);
  const best = new Float64Array(y.data.length).fill(Number.NEGATIVE_INFINITY);
  x.data.forEach((value, i) => {
    const at = group[i]!;
    if (value > best[at]! || (last && value === best[at])) {
      best[at] = value;
      y.data[at] = Math.floor(i / inner) % x.shape[axis]!;
    }
  });
  return [y];
}

/** Ops of this family. */
export const COMPARISON: readonly Op[] = [
  ...[Equal, Greater, GreaterOrEqual, Less, LessOrEqual],
  ...[And, Or, Not, Where, ArgMax],
];
