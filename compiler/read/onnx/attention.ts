// ONNX's Attention, written out: softmax(softcap(scale Q K^T) + mask) V for each head. Source: its function
// body in ONNX 1.23 (opsets 23 and 24), with the rule that a query whose keys are all masked gives zeros.
import type { Dim, DType, Value } from "../../ir/types.ts";
import type { NodeCall, Results } from "./nodeCall.ts";

/** Q [N,H,L,D], K [N,G,S,D], V [N,G,S,E] of H query heads and G key heads; in three dimensions heads last. */
interface Heads {
  readonly query: Value;
  readonly key: Value;
  readonly value: Value;
}

/** Attention-23 -> Y as Q came: [N,H,L,E], or [N,L,H*E]; and keys and values [N,G,S,*] where asked for. */
export function attention(node: NodeCall): Results {
  const refused = ["past_key", "past_value", "nonpad_kv_seqlen"].find((_, i) => node.inputs[4 + i]);
  if (refused !== undefined) node.fail("E_MODEL_OP", `${refused} is not supported: it is about sequences`);
  if (node.outputs[3]) node.fail("E_MODEL_OP", "the output qk_matmul_output is not supported");
  const { b } = node;
  const isFlat = node.value(0).type.shape.length === 3;
  const heads = { query: headsOf(node, 0, "q_num_heads"), key: headsOf(node, 1), value: headsOf(node, 2) };
  const [, count = 1] = heads.query.type.shape;
  const [key, value] = [repeated(node, heads.key, count), repeated(node, heads.value, count)];
  const weights = weightsOf(node, { query: heads.query, key, value });
  const result = b.emit("MatMul", [weights, value]);
  const flat = () => b.reshape(b.transpose(result, [0, 2, 1, 3]), [0, 0, -1]);
  return [isFlat ? flat() : result, heads.key, heads.value];
}

/** Of [N,L,H*D] the heads apart: [N,H,L,D]. */
function headsOf(node: NodeCall, index: number, attribute = "kv_num_heads"): Value {
  const { b } = node;
  const x = node.value(index);
  const rank = x.type.shape.length;
  if (rank === 4) return x;
  if (rank !== 3) return node.fail("E_MODEL_SHAPE", `input ${index} has ${rank} dimensions, expected 3 or 4`);
  const count = node.int(attribute);
  if (!(count > 0 && Number(x.type.shape[2]) % count === 0))
    node.fail("E_MODEL_SHAPE", `${count} heads of [${x.type.shape}]`);
  return b.transpose(b.reshape(x, [0, 0, count, Number(x.type.shape[2]) / count]), [0, 2, 1, 3]);
}

/** Fewer key heads than query heads: each serves several queries in a row. */
function repeated(node: NodeCall, x: Value, count: Dim): Value {
  const { b } = node;
  const [, own = 1, length, size] = x.type.shape;
  if (own === count) return x;
  const times = Number(count) / Number(own);
  if (!Number.isInteger(times)) node.fail("E_MODEL_SHAPE", `${own} key heads for ${count} query heads`);
  const apart = b.reshape(x, [0, Number(own), 1, Number(length), Number(size)]);
  const wide = b.expand(apart, [1, 1, times, 1, 1]);
  return b.reshape(wide, [0, Number(count), Number(length), Number(size)]);
}

/** [N,H,L,S]: how much each query takes of each key. */
function weightsOf(node: NodeCall, { query, key }: Heads): Value {
  const { b } = node;
  const { dtype, shape } = query.type;
  const scale = node.has("scale") ? node.float("scale") : 1 / Math.sqrt(Number(shape[3]));
  const products = b.emit("MatMul", [b.mul(query, b.scalar(scale, dtype)), b.transpose(key, [0, 1, 3, 2])]);
  const softcap = node.float("softcap", 0);
  const limit = b.scalar(softcap, dtype);
  const capped = softcap > 0 ? b.mul(b.emit("Tanh", [b.div(products, limit)]), limit) : products;
  const bias = biasOf(node, [Number(shape[2]), Number(key.type.shape[2])], dtype);
  if (!bias) return b.emit("Softmax", [capped], { axis: -1 });
  const weights = b.emit("Softmax", [b.add(capped, bias)], { axis: -1 });
  // A query may always take of its own key where only the order masks.
  if (!node.inputs[3]) return weights;
  const largest = b.emit("ReduceMax", [bias, b.ints([-1])], { keepdims: 1 });
  const isMasked = b.emit("Equal", [largest, b.scalar(Number.NEGATIVE_INFINITY, dtype)]);
  return b.where(isMasked, b.scalar(0, dtype), weights);
}

/** Added to the products, broadcast to [N,H,L,S]: -inf where a key is masked; undefined for nothing. */
function biasOf(node: NodeCall, [queries, keys]: readonly [number, number], type: DType): Value | undefined {
  const { b } = node;
  const parts: Value[] = [];
  const mask = node.optionalValue(3);
  if (mask) parts.push(padded(node, additive(node, mask, type), keys));
  if (node.int("is_causal", 0) !== 0) {
    const data = Float64Array.from({ length: queries * keys }, (_, i) =>
      i % keys > Math.floor(i / keys) ? Number.NEGATIVE_INFINITY : 0,
    );
    parts.push(b.constant({ dtype: type, shape: [queries, keys], data }));
  }
  return parts.length === 0 ? undefined : parts.reduce((sum, part) => b.add(sum, part));
}

function additive({ b }: NodeCall, mask: Value, dtype: DType): Value {
  if (mask.type.dtype !== "bool") return mask;
  return b.where(mask, b.scalar(0, dtype), b.scalar(Number.NEGATIVE_INFINITY, dtype));
}

/** A mask may know fewer keys than there are: the others are masked. */
function padded({ b }: NodeCall, mask: Value, keys: number): Value {
  const { shape, dtype } = mask.type;
  const missing = keys - Number(shape.at(-1));
  if (!(missing > 0) || shape.at(-1) === 1) return mask;
  const pads = [...shape.map(() => 0), ...shape.map((_, i) => (i === shape.length - 1 ? missing : 0))];
  const none = b.scalar(Number.NEGATIVE_INFINITY, dtype);
  return b.emit("Pad", [mask, b.ints(pads), none], { mode: "constant" });
}
