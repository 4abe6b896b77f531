// Moves transpositions towards the outputs, through everything that works element by element or along axes,
// until they meet their inverse and cancel (identities.ts). So NHWC graphs, as tf2onnx writes them around
// NCHW convolutions, come out clean. Values are the same to the bit, except that reductions may sum in
// another order.
import type { GraphBuilder } from "../ir/builder.ts";
import type { AxisUse } from "../ir/opTraits.ts";
import { rewriteGraph } from "../ir/rewrite.ts";
import { TURNED_SUFFIX } from "../ir/tensorSource.ts";
import type { Node, Shape, TensorData, Value } from "../ir/types.ts";
import { stridesOf, viewOffsets } from "../ops/strided.ts";
import type { Pass } from "./pass.ts";

/** A value that is the transposition of another: axis i of it is axis perm[i] of `source`. */
interface Transposed {
  readonly source: Value;
  readonly perm: readonly number[];
}

interface Context {
  readonly node: Node;
  readonly b: GraphBuilder;
  readonly find: (value: Value | undefined) => Transposed | undefined;
  /** The node that made a value. */
  readonly producer: (value: Value | undefined) => Node | undefined;
}

type Rule = (ctx: Context) => readonly Value[] | undefined;

export const transposePushing: Pass = {
  name: "transpose-pushing",
  run: (graph, ops) => {
    const producers = new Map<Value, Node>();
    let seen = 0;
    const result = rewriteGraph(graph, ops, (node, b) => {
      for (; seen < b.nodes.length; seen++)
        for (const output of b.nodes[seen]?.outputs ?? []) {
          const made = b.nodes[seen];
          if (made) producers.set(output, made);
        }
      const producer = (value: Value | undefined) => value && producers.get(value);
      const find = (value: Value | undefined): Transposed | undefined => {
        const made = producer(value);
        const perm = made?.attrs.perm as readonly number[] | undefined;
        const source = made?.inputs[0];
        return made?.op.axes === "permutes" && perm && source ? { source, perm } : undefined;
      };
      const { axes } = node.op;
      return axes === "stops" ? undefined : RULES[axes]({ node, b, find, producer });
    });
    return result.changed ? result.graph : graph;
  },
};

/**
 * f(T x, T y, constants) = T f(x, y, constants); at least one input is transposed, all those by one
 * permutation.
 */
const throughElementwise: Rule = ({ node, b, find, producer }) => {
  const perm = node.inputs.map(find).find((each) => each)?.perm;
  const rank = node.outputs[0]?.type.shape.length;
  if (!perm || perm.length !== rank || node.outputs.length !== 1) return undefined;
  const inputs = node.inputs.map((input) => input && untransposed(input, perm, b, find, producer));
  if (inputs.some((input, i) => node.inputs[i] && !input)) return undefined;
  return [b.transpose(b.emit(node.op.name, inputs, node.attrs), perm)];
};

/**
 * x such that T x is the input: its source, a constant with its axes put back, or a reshape that moves
 * nothing.
 */
function untransposed(
  input: Value,
  perm: readonly number[],
  b: GraphBuilder,
  find: Context["find"],
  producer: Context["producer"],
): Value | undefined {
  const known = find(input);
  if (known) return String(known.perm) === String(perm) ? known.source : undefined;
  const data = b.constantData(input);
  if (data && data.data.length === 1 && data.shape.length <= perm.length) return input;
  const shape = [...perm.slice(input.type.shape.length).map(() => 1), ...input.type.shape];
  const inverse = perm.map((_, axis) => perm.indexOf(axis));
  if (shape.length !== perm.length) return undefined;
  if (data) return transposedConstant(b, input, { ...data, shape: shape.map(Number) }, inverse);
  // [N,1,1,C] made by a Reshape or a keepdims reduction over pixels is [N,C,1,1] in the other order.
  if (producer(input)?.op.identity !== "reshape" || !keepsOrder(shape, inverse)) return undefined;
  return reshapeTo(
    b,
    input,
    inverse.map((axis) => shape[axis] ?? 1),
  );
}

function transposedConstant(b: GraphBuilder, value: Value, data: TensorData, perm: readonly number[]): Value {
  const strides = stridesOf(data.shape);
  const shape = perm.map((axis) => data.shape[axis] ?? 1);
  const offsets = viewOffsets(
    shape,
    perm.map((axis) => strides[axis] ?? 0),
  );
  const numbers = Float64Array.from(offsets, (offset) => data.data[offset] ?? 0);
  const moved = data.data instanceof Float32Array ? Float32Array.from(numbers) : numbers;
  const constant = { dtype: data.dtype, shape, data: moved };
  return b.constant(constant, `${value.name}${TURNED_SUFFIX}`);
}

/** Whether a transposition leaves the elements in their order: only axes of size 1 change places. */
function keepsOrder(shape: Shape, perm: readonly number[]): boolean {
  const moved = perm.filter((axis) => shape[axis] !== 1);
  return moved.every((axis, i) => i === 0 || (moved[i - 1] ?? 0) < axis);
}

function reshapeTo(b: GraphBuilder, x: Value, shape: Shape): Value | undefined {
  const symbols = shape.filter((dim) => typeof dim !== "number");
  if (symbols.length > 1) return undefined;
  return b.reshape(
    x,
    shape.map((dim) => (typeof dim === "number" ? dim : -1)),
  );
}

/** Reduce(T x, axes) = T' Reduce(x, perm[axes]); without keepdims, T' permutes the axes that are left. */
const throughReduction: Rule = ({ node, b, find }) => {
  const known = find(node.inputs[0]);
  const axes = node.inputs[1] && b.constantData(node.inputs[1])?.data;
  if (!known || !axes || axes.length === 0) return undefined;
  const { source, perm } = known;
  const rank = perm.length;
  const reduced = Array.from(axes, (axis) => perm[axis < 0 ? axis + rank : axis] ?? 0).sort((x, y) => x - y);
  const result = b.emit(node.op.name, [source, b.ints(reduced)], node.attrs);
  if (node.attrs.keepdims !== 0) return [b.transpose(result, perm)];
  const left = perm.filter((axis) => !reduced.includes(axis));
  const order = [...left].sort((x, y) => x - y);
  const rest = left.map((axis) => order.indexOf(axis));
  return [rest.every((axis, i) => axis === i) ? result : b.transpose(result, rest)];
};

/** Concat, Split, Softmax and their like work along one axis. */
const alongAxis: Rule = ({ node, b, find, producer }) => {
  const perm = find(node.inputs[0])?.perm;
  const spec = node.op.attrs.axis?.default;
  const given = node.attrs.axis ?? spec;
  if (!perm || typeof given !== "number") return undefined;
  const axis = perm[given < 0 ? given + perm.length : given];
  const isData = (i: number): boolean => i === 0 || node.op.axes === "alongAll";
  const inputs = node.inputs.map((input, i) =>
    input && isData(i) ? untransposed(input, perm, b, find, producer) : input,
  );
  if (axis === undefined || inputs.some((input, i) => node.inputs[i] && !input)) return undefined;
  const attrs = { ...node.attrs, axis };
  return b.emitAll(node.op.name, inputs, attrs, node.outputs.length).map((value) => b.transpose(value, perm));
};

/** Pad(T x, pads) = T Pad(x, the pads of the same axes). */
const throughPad: Rule = ({ node, b, find }) => {
  const known = find(node.inputs[0]);
  const pads = node.inputs[1] && b.constantData(node.inputs[1])?.data;
  if (!known || !pads || node.inputs[3]) return undefined;
  const { source, perm } = known;
  const inverse = perm.map((_, axis) => perm.indexOf(axis));
  const moved = [0, perm.length].flatMap((side) => inverse.map((axis) => pads[side + axis] ?? 0));
  return [b.transpose(b.emit(node.op.name, [source, b.ints(moved), node.inputs[2]], node.attrs), perm)];
};

/** Slice(T x, ..., axes) = T Slice(x, ..., perm[axes]). */
const throughSlice: Rule = ({ node, b, find }) => {
  const known = find(node.inputs[0]);
  const starts = node.inputs[1] && b.constantData(node.inputs[1])?.data;
  const axes = node.inputs[3] ? b.constantData(node.inputs[3])?.data : starts?.map((_, i) => i);
  if (!known || !axes) return undefined;
  const { source, perm } = known;
  const moved = Array.from(axes, (axis) => perm[axis < 0 ? axis + perm.length : axis] ?? 0);
  const [, from, to, , steps] = node.inputs;
  const inputs = [source, from, to, b.ints(moved), ...(steps ? [steps] : [])];
  return [b.transpose(b.emit(node.op.name, inputs, node.attrs), perm)];
};

/** A transposition that only moves axes of size 1 before or after a Reshape is part of it. */
const intoReshape: Rule = ({ node, b, find }) => {
  const known = find(node.inputs[0]);
  const [y] = node.outputs;
  if (!known || !y || !keepsOrder(known.source.type.shape, known.perm)) return undefined;
  const reshaped = reshapeTo(b, known.source, y.type.shape);
  return reshaped && [reshaped];
};

const afterReshape: Rule = ({ node, b, producer }) => {
  const [x] = node.inputs;
  const [y] = node.outputs;
  const perm = node.attrs.perm as readonly number[] | undefined;
  if (!x || !y || !perm || producer(x)?.op.identity !== "reshape" || !keepsOrder(x.type.shape, perm))
    return undefined;
  const reshaped = reshapeTo(b, x, y.type.shape);
  return reshaped && [reshaped];
};

const RULES: Readonly<Record<Exclude<AxisUse, "stops">, Rule>> = {
  elementwise: throughElementwise,
  along: alongAxis,
  alongAll: alongAxis,
  reduces: throughReduction,
  pads: throughPad,
  slices: throughSlice,
  reshapes: intoReshape,
  permutes: afterReshape,
};
