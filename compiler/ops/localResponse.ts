// LRN, local response normalisation: each number by those of its neighbours in other channels.
import { defineOp, type EvaluateContext, type NDArray, type Op } from "../ir/op.ts";
import { concreteShape, elementCount, type Value } from "../ir/types.ts";
import { sameAsInput, scalarLike } from "./elementwise.ts";
import { outputWith } from "./strided.ts";

const LRN = defineOp("LRN", {
  doc: "y = x / (bias + alpha / size q)^beta, q the sum of x^2 over `size` neighbouring channels of [N,C,...]",
  source: "ONNX LRN-13 (Krizhevsky et al. 2012)",
  inputs: ["x"],
  attrs: {
    alpha: { kind: "float", default: 1e-4 },
    beta: { kind: "float", default: 0.75 },
    bias: { kind: "float", default: 1 },
    size: { kind: "int" },
  },
  axes: "stops",
  precision: "float32",
  infer: (ctx) => {
    const { shape } = ctx.input(0);
    if (shape.length < 3 || typeof shape[1] !== "number") ctx.fail(`expected [N,C,...], found [${shape}]`);
    if (ctx.attrs.int("size") % 2 !== 1)
      ctx.fail(`expected an odd size (ONNX Runtime has no other), found ${ctx.attrs.int("size")}`);
    return sameAsInput("float")(ctx);
  },
  // With u = bias + alpha / size q and t the sum over the neighbours (being one is mutual, as size is odd):
  // dx = dy u^-beta - 2 alpha beta / size x t(dy x u^(-beta - 1))
  vjp: ({ b, dy, input, attrs }) => {
    const x = input(0);
    const [n = 1, c = 1, ...sizes] = concreteShape(x.type.shape);
    const flat = (value: Value): Value => b.reshape(value, [n, c, elementCount(sizes)]);
    const [alpha, beta, size] = [attrs.float("alpha"), attrs.float("beta"), attrs.int("size")];
    const band = b.constant({ dtype: x.type.dtype, shape: [c, c], data: neighbourBand(c, size) });
    const [rows, drows] = [flat(x), flat(dy)];
    const sums = b.emit("MatMul", [band, b.mul(rows, rows)]);
    const scaled = b.mul(sums, scalarLike(b, alpha / size, x));
    const u = b.add(scaled, scalarLike(b, attrs.float("bias"), x));
    const direct = b.mul(drows, b.emit("Pow", [u, scalarLike(b, -beta, x)]));
    const through = b.emit("MatMul", [band, b.div(b.mul(direct, rows), u)]);
    const indirect = b.mul(b.mul(rows, scalarLike(b, (2 * alpha * beta) / size, x)), through);
    return [b.reshape(b.sub(direct, indirect), [n, c, ...sizes])];
  },
  evaluate: evaluateResponse,
});

/** 1 where channel j (column) is at most (size - 1) / 2 from channel i (row), size being odd. */
function neighbourBand(channels: number, size: number): Float64Array {
  const reach = (size - 1) / 2;
  return Float64Array.from({ length: channels * channels }, (_, at) =>
    Math.abs((at % channels) - Math.floor(at / channels)) <= reach ? 1 : 0,
  );
}

function evaluateResponse(ctx: EvaluateContext): readonly NDArray[] {
  const x = ctx.input(0);
  const c = x.shape[1]!;
  const inner = elementCount(x.shape.slice(2));
  const size = ctx.attrs.int("size");
  const band = neighbourBand(c, size);
  const factor = ctx.attrs.float("alpha") / size;
  const y = x.data.map((value, i) => {
    const channel = Math.floor(i / inner) % c;
    const first = i - channel * inner;
    let squares = 0;
    for (let other = 0; other < c; other++)
      squares += band[channel * c + other]! * x.data[first + other * inner]! ** 2;
    return value / (ctx.attrs.float("bias") + factor * squares) ** ctx.attrs.float("beta");
  });
  return outputWith(ctx, y);
}

/** Ops of this family. */
export const LOCAL_RESPONSE: readonly Op[] = [LRN];
