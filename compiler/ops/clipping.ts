// Elementwise functions that are held between two bounds. At a bound the derivative is that of the constant
// piece for HardSigmoid and HardSwish, and that of x for Clip (as PyTorch has it).
import { defineOp, type Op, type VjpContext } from "../ir/op.ts";
import type { TensorData, Value } from "../ir/types.ts";
import { expectKind, mapWith, sameAsInput, scalarLike, sumToShape } from "./elementwise.ts";

const Clip = defineOp("Clip", {
  doc: "y = min(max(x, min), max); either bound (a scalar) may be absent; the upper one wins",
  source: "ONNX Clip-13",
  inputs: ["x", "min?", "max?"],
  traits: ["scalarParameters"],
  axes: "elementwise",
  precision: "follows",
  hostInputs: [1, 2],
  infer: (ctx) => {
    const x = ctx.input(0);
    expectKind(ctx, x, "number");
    for (const bound of ctx.inputs.slice(1))
      if (bound && (bound.dtype !== x.dtype || bound.shape.length !== 0))
        ctx.fail(`expected bounds ${x.dtype}[], found ${bound.dtype}[${bound.shape}]`);
    return [x];
  },
  // dx = dy where min <= x <= max; dmin = sum of dy where x < min and min <= max; dmax = sum of dy where
  // max(x, min) > max
  vjp: differentiateClip,
  evaluate: (ctx) => {
    const low = ctx.inputs[1]?.data[0] ?? Number.NEGATIVE_INFINITY;
    const high = ctx.inputs[2]?.data[0] ?? Number.POSITIVE_INFINITY;
    return mapWith((x) => Math.min(Math.max(x, low), high))(ctx);
  },
});

/** Whether there are bounds, all known, and in order: then x is within them where Clip keeps it. */
function isOrdered(bounds: readonly (TensorData | undefined)[]): boolean {
  const numbers = bounds.map((bound) => bound?.data[0] ?? Number.NaN);
  return (
    numbers.length > 0 && numbers.every((bound, i) => bound >= (numbers[i - 1] ?? Number.NEGATIVE_INFINITY))
  );
}

function differentiateClip({
  b,
  dy,
  inputs,
  input,
  output,
  needs,
}: VjpContext): readonly (Value | undefined)[] {
  const [x, low, high] = [input(0), inputs[1], inputs[2]];
  const masked = (value: Value, mask: Value): Value => b.emit("MaskGrad", [value, mask]);
  const bounds = [low, high].filter((bound) => bound !== undefined);
  if (isOrdered(bounds.map((bound) => b.constantData(bound))) && !needs[1] && !needs[2])
    return [masked(dy, b.emit("Equal", [x, output(0)]))];
  const raised = low ? b.emit("Max", [x, low]) : x;
  const above = high && b.emit("Greater", [raised, high]);
  const kept = above ? masked(dy, b.emit("Not", [above])) : dy;
  const below = low && b.emit("Less", [x, low]);
  return [
    needs[0] ? (below ? masked(kept, b.emit("Not", [below])) : kept) : undefined,
    needs[1] && below ? sumToShape(b, masked(kept, below), []) : undefined,
    needs[2] && above ? sumToShape(b, masked(dy, above), []) : undefined,
  ];
}

const HardSigmoid = defineOp("HardSigmoid", {
  doc: "y = alpha x + beta, held in [0, 1]",
  source: "ONNX HardSigmoid-6",
  inputs: ["x"],
  attrs: { alpha: { kind: "float", default: 0.2 }, beta: { kind: "float", default: 0.5 } },
  axes: "elementwise",
  precision: "follows",
  infer: sameAsInput("float"),
  // dx = alpha dy where 0 < y < 1, else 0
  vjp: ({ b, dy, output, attrs }) => {
    const slope = scalarLike(b, attrs.float("alpha"), dy);
    return [b.emit("MaskGrad", [b.mul(dy, slope), strictlyInside(b, output(0))])];
  },
  evaluate: (ctx) => {
    const [alpha, beta] = [ctx.attrs.float("alpha"), ctx.attrs.float("beta")];
    return mapWith((x) => Math.min(Math.max(alpha * x + beta, 0), 1))(ctx);
  },
});

const HardSwish = defineOp("HardSwish", {
  doc: "y = x h(x) with h(x) = x / 6 + 1 / 2, held in [0, 1]",
  source: "ONNX HardSwish-14 (Howard et al. 2019)",
  inputs: ["x"],
  axes: "elementwise",
  precision: "follows",
  infer: sameAsInput("float"),
  // dx = dy (h + x / 6) where 0 < h < 1, else dy h
  vjp: ({ b, dy, input }) => {
    const gate = b.emit("HardSigmoid", [input(0)], { alpha: 1 / 6, beta: 0.5 });
    const slope = b.add(gate, b.div(input(0), scalarLike(b, 6, dy)));
    return [b.mul(dy, b.emit("PieceGrad", [slope, gate, strictlyInside(b, gate)]))];
  },
  evaluate: mapWith((x) => x * Math.min(Math.max(x / 6 + 0.5, 0), 1)),
});

/** Whether 0 < y < 1. */
function strictlyInside(b: VjpContext["b"], y: Value): Value {
  const above = b.emit("Greater", [y, scalarLike(b, 0, y)]);
  return b.emit("And", [above, b.emit("Less", [y, scalarLike(b, 1, y)])]);
}

/** Ops of this family. */
export const CLIPPING: readonly Op[] = [Clip, HardSigmoid, HardSwish];
