// Another dtype for the same numbers. The derivative is a cast back, and zero where either side is not float.
import { defineOp, type Op } from "../ir/op.ts";
import { type DType, dtypeBytes, isFloat } from "../ir/types.ts";
import { outputWith } from "./strided.ts";

const DTYPES: readonly string[] = [
  "float32",
  "float64",
  "float16",
  "uint8",
  "uint16",
  "int32",
  "int64",
  "bool",
] satisfies DType[];

const Cast = defineOp("Cast", {
  doc: "y = x in the dtype `to`; the reference keeps the precision of float64 and truncates only to integers",
  source: "ONNX Cast-13",
  inputs: ["x"],
  attrs: { to: { kind: "string" } },
  axes: "elementwise",
  precision: "float32",
  identity: "typeKept",
  infer: (ctx) => {
    const to = ctx.attrs.string("to");
    if (!DTYPES.includes(to)) ctx.fail(`expected one of ${DTYPES.join(", ")}, found ${to}`);
    return [{ dtype: to as DType, shape: ctx.input(0).shape }];
  },
  // dx = dy in the dtype of x; 0 if either is not float
  vjp: ({ b, dy, input, output }) => {
    const from = input(0).type.dtype;
    return [isFloat(from) && isFloat(output(0).type.dtype) ? b.cast(dy, from) : undefined];
  },
  evaluate: (ctx) => outputWith(ctx, ctx.input(0).data.map(castTo(ctx.attrs.string("to") as DType))),
});

const CastLike = defineOp("CastLike", {
  doc: "y = x in the dtype of the second input (floats only; Cast does the others)",
  source: "ONNX CastLike-15",
  inputs: ["x", "like"],
  axes: "stops",
  precision: "float32",
  infer: (ctx) => {
    const [x, like] = [ctx.input(0), ctx.input(1)];
    if (!isFloat(like.dtype)) ctx.fail(`expected a float tensor to be like, found ${like.dtype}`);
    return [{ dtype: like.dtype, shape: x.shape }];
  },
  // dx = dy in the dtype of x; 0 if that is not float, and for the second input
  vjp: ({ b, dy, input }) => {
    const { dtype } = input(0).type;
    return [isFloat(dtype) ? b.cast(dy, dtype) : undefined, undefined];
  },
  evaluate: (ctx) => outputWith(ctx, ctx.input(0).data),
});

/** C's conversion to integers: truncation, then wrapping to the width; bool is "not zero". */
function castTo(dtype: DType): (x: number) => number {
  if (isFloat(dtype)) return (x) => x;
  if (dtype === "bool") return (x) => (x === 0 ? 0 : 1);
  if (dtype === "int64") return (x) => Math.trunc(x) + 0;
  const width = 2 ** (8 * dtypeBytes(dtype));
  const offset = dtype === "int32" ? width / 2 : 0;
  return (x) => ((((Math.trunc(x) + offset) % width) + width) % width) - offset;
}

/** Ops of this family. */
export const CASTS: readonly Op[] = [Cast, CastLike];
