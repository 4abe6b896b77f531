// sign(x) |x|^k: the derivative of |x|^(k+1) / (k+1), which norms of every order share.
import type { GraphBuilder } from "../ir/builder.ts";
import type { Value } from "../ir/types.ts";
import { scalarLike } from "./elementwise.ts";

/** sign(x) |x|^k for k >= 0, in the shape of x. */
export function signedPower(b: GraphBuilder, x: Value, k: number): Value {
  if (k === 1) return x;
  const sign = b.emit("Sign", [x]);
  if (k === 0) return sign;
  return b.mul(sign, b.emit("Pow", [b.emit("Abs", [x]), scalarLike(b, k, x)]));
}
