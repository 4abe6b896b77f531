// Rounding and remainders, elementwise.
import { defineOp, type Op, zeroDerivative } from "../ir/op.ts";
import { isFloat } from "../ir/types.ts";
import { broadcastInputs, mapWith, sameAsInput, unbroadcastAll, zipWith } from "./elementwise.ts";

const Ceil = defineOp("Ceil", {
  doc: "y = the smallest integer not below x",
  source: "ONNX Ceil-13",
  inputs: ["x"],
  axes: "elementwise",
  precision: "float32",
  infer: sameAsInput("float"),
  vjp: zeroDerivative("it is constant between integers"),
  evaluate: mapWith(Math.ceil),
});

const Round = defineOp("Round", {
  doc: "y = the integer nearest to x; of two, the even one",
  source: "ONNX Round-11",
  inputs: ["x"],
  axes: "elementwise",
  precision: "float32",
  infer: sameAsInput("float"),
  vjp: zeroDerivative("it is constant between halves"),
  evaluate: mapWith((x) => {
    const below = Math.floor(x);
    if (x - below !== 0.5) return Math.round(x);
    return below % 2 === 0 ? below : below + 1;
  }),
});

const Mod = defineOp("Mod", {
  doc: "z = the remainder of x / y: with fmod 1 (compulsory for floats) of the sign of x, else of that of y",
  source: "ONNX Mod-13",
  inputs: ["x", "y"],
  outputs: ["z"],
  attrs: { fmod: { kind: "int", default: 0 } },
  axes: "elementwise",
  precision: "float32",
  infer: (ctx) => {
    if (isFloat(ctx.input(0).dtype) && ctx.attrs.int("fmod") !== 1) ctx.fail("floats need fmod 1, found 0");
    return broadcastInputs("number")(ctx);
  },
  // z = x - y trunc(x / y), whose last factor is constant in pieces: dx = dz, dy = -dz trunc(x / y), and the
  // truncated quotient is (x - z) / y
  vjp: (ctx) => {
    const { b, dy: dz } = ctx;
    const quotient = () => b.emit("Round", [b.div(b.sub(ctx.input(0), ctx.output(0)), ctx.input(1))]);
    return unbroadcastAll(ctx, [() => dz, () => b.neg(b.mul(dz, quotient()))]);
  },
  evaluate: (ctx) =>
    zipWith(ctx.attrs.int("fmod") === 1 ? (x, y) => x % y : (x, y) => x - y * Math.floor(x / y))(ctx),
});

/** Ops of this family. */
export const ROUNDING: readonly Op[] = [Ceil, Round, Mod];
