// Which axis of an operator's output holds what an axis of an input holds, for axes that the operator treats
// as a mere list: each element along them is computed alone. Written down for the operators that image
// networks have; where an operator mixes an axis, or is not known here, there is no answer.
import { dimAt } from "../../ir/dims.ts";
import { type AttrReader, type Op, readAttrs } from "../../ir/op.ts";
import type { OpName } from "../../ir/opNames.ts";
import type { Attrs, Value } from "../../ir/types.ts";

/** A node with what its constant inputs hold. */
export interface AxisNode {
  readonly op: Op;
  readonly inputs: readonly (Value | undefined)[];
  readonly attrs: Attrs;
  /** The numbers of a constant input. */
  readonly numbers: (index: number) => readonly number[] | undefined;
}

/** The axis of the outputs for `axis` of input `input`, both from the front; undefined where it is mixed. */
export type AxisMap = (input: number, axis: number) => number | undefined;

interface Rule extends AxisNode {
  readonly read: AttrReader;
  readonly rank: (input: number) => number;
}

type RuleOf = (node: Rule, input: number, axis: number) => number | undefined;

/** The map of a node. */
export function axisMapOf(node: AxisNode): AxisMap {
  const rank = (input: number): number => node.inputs[input]?.type.shape.length ?? 0;
  const rule: Rule = { ...node, read: readAttrs(node.op, node.attrs), rank };
  const isElementwise = node.op.axes === "elementwise";
  const follow = isElementwise
    ? broadcast
    : Object.hasOwn(RULES, node.op.name)
      ? RULES[node.op.name]
      : undefined;
  return (input, axis) => follow?.(rule, input, axis);
}

/** Axes are counted from the last on. */
const broadcast: RuleOf = ({ inputs, rank }, input, axis) =>
  axis + Math.max(...inputs.map((_, i) => rank(i))) - rank(input);

/** Axis 0 of the first inputs, `count` of them; the others are weights. */
function imagesOnly(count: number): RuleOf {
  return (_, input, axis) => (input < count && axis === 0 ? 0 : undefined);
}

const matMul: RuleOf = ({ rank }, input, axis) => {
  const mixed = rank(input) - (input === 0 ? 1 : 2);
  if (rank(0) < 2 || rank(1) < 2 || axis === mixed) return undefined;
  return axis + Math.max(rank(0), rank(1)) - rank(input);
};

const gemm: RuleOf = ({ read, rank }, input, axis) => {
  if (input === 2) return axis + 2 - rank(2);
  const kept = input === 0 ? read.int("transA") : 1 - read.int("transB");
  return axis === kept ? input : undefined;
};

const reduction: RuleOf = ({ numbers, read, rank }, input, axis) => {
  const listed = numbers(1) ?? [];
  const all = Array.from({ length: rank(0) }, (_, i) => i);
  const none = read.int("noop_with_empty_axes") === 1 ? [] : all;
  const axes = listed.length > 0 ? listed.map((each) => fromFront(each, rank(0))) : none;
  if (input !== 0 || axes.includes(axis)) return undefined;
  return read.int("keepdims") === 1 ? axis : axis - axes.filter((each) => each < axis).length;
};

const position: RuleOf = ({ read, rank }, _, axis) => {
  const at = fromFront(read.int("axis"), rank(0));
  if (axis === at) return undefined;
  return read.int("keepdims") === 1 || axis < at ? axis : axis - 1;
};

/** Every axis but the one that the attribute names. */
const besideAxis: RuleOf = ({ read, rank }, input, axis) =>
  axis === fromFront(read.int("axis"), rank(input)) ? undefined : axis;

const besideAxisOfImages: RuleOf = (node, input, axis) =>
  input === 0 ? besideAxis(node, input, axis) : undefined;

const cumulative: RuleOf = ({ numbers, rank }, input, axis) =>
  input === 0 && axis !== fromFront(numbers(1)?.[0] ?? 0, rank(0)) ? axis : undefined;

const layerNorm: RuleOf = ({ read, rank }, input, axis) =>
  input === 0 && axis < fromFront(read.int("axis"), rank(0)) ? axis : undefined;

const meanVariance: RuleOf = ({ read }, _, axis) => (read.ints("axes").includes(axis) ? undefined : axis);

const transpose: RuleOf = ({ read, rank }, _, axis) =>
  read.has("perm") ? read.ints("perm").indexOf(axis) : rank(0) - 1 - axis;

/** Axes that are not sliced, or taken whole. */
const slice: RuleOf = ({ inputs, numbers, rank }, input, axis) => {
  const [starts = [], ends = [], axes, steps] = [1, 2, 3, 4].map(numbers);
  const at = (axes ?? starts.map((_, i) => i)).findIndex((each) => fromFront(each, rank(0)) === axis);
  if (input !== 0 || at < 0) return input === 0 ? axis : undefined;
  const size = dimAt(inputs[0]?.type.shape[axis] ?? 1, 1);
  const isWhole = starts[at] === 0 && (ends[at] ?? 0) >= 2 ** 31 - 1 && (steps?.[at] ?? 1) === 1;
  return isWhole && size > 0 ? axis : undefined;
};

const pad: RuleOf = ({ numbers, rank }, input, axis) => {
  const pads = numbers(1) ?? [];
  const at = (numbers(3) ?? Array.from({ length: rank(0) }, (_, i) => i)).findIndex(
    (each) => fromFront(each, rank(0)) === axis,
  );
  const isKept = at < 0 || (pads[at] === 0 && pads[at + pads.length / 2] === 0);
  return input === 0 && isKept ? axis : undefined;
};

const gather: RuleOf = ({ read, rank }, input, axis) => {
  const at = fromFront(read.int("axis"), rank(0));
  if (input === 1) return at + axis;
  if (axis === at) return undefined;
  return axis < at ? axis : axis + rank(1) - 1;
};

const expand: RuleOf = ({ numbers, rank }, input, axis) =>
  input === 0 ? axis + Math.max(rank(0), numbers(1)?.length ?? 0) - rank(0) : undefined;

const tile: RuleOf = ({ numbers }, input, axis) =>
  input === 0 && numbers(1)?.[axis] === 1 ? axis : undefined;

const oneHot: RuleOf = ({ read, rank }, input, axis) => {
  const at = fromFront(read.int("axis"), rank(0) + 1);
  if (input !== 0) return undefined;
  return axis < at ? axis : axis + 1;
};

/** By the label of the axis; products with "..." are not followed. */
const einsum: RuleOf = ({ read }, input, axis) => {
  const [left = "", right] = read.string("equation").replaceAll(" ", "").split("->");
  const label = left.split(",")[input]?.[axis];
  if (left.includes(".") || right === undefined || label === undefined) return undefined;
  const at = right.indexOf(label);
  return at < 0 ? undefined : at;
};

const triangle: RuleOf = ({ rank }, input, axis) => (input === 0 && axis < rank(0) - 2 ? axis : undefined);

function named(names: readonly string[], rule: RuleOf): Record<string, RuleOf> {
  return Object.fromEntries(names.map((name) => [name, rule]));
}

const REDUCTIONS = ["L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare"];

const RULES: Readonly<Partial<Record<OpName, RuleOf>>> = {
  ...named(["Conv", "ConvTranspose", "AveragePool", "MaxPool", "LpPool", "Resize"], imagesOnly(1)),
  ...named(["GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool", "LRN"], imagesOnly(1)),
  ...named(["InstanceNormalization", "BatchNormalization", "GroupNormalization"], imagesOnly(1)),
  ...named(["DepthToSpace", "SpaceToDepth"], imagesOnly(1)),
  ...named(["GridSample", "MaxUnpool"], imagesOnly(2)),
  ...named(
    REDUCTIONS.map((name) => `Reduce${name}`),
    reduction,
  ),
  ...named(["ArgMax", "ArgMin"], position),
  ...named(["Softmax", "LogSoftmax", "Hardmax", "LpNormalization", "Concat"], besideAxis),
  ...named(["GatherElements", "ScatterElements"], besideAxis),
  ...named(["Split", "TopK"], besideAxisOfImages),
  MatMul: matMul,
  Gemm: gemm,
  CumSum: cumulative,
  LayerNormalization: layerNorm,
  MeanVarianceNormalization: meanVariance,
  Transpose: transpose,
  Slice: slice,
  Pad: pad,
  Gather: gather,
  Expand: expand,
  Tile: tile,
  OneHot: oneHot,
  Einsum: einsum,
  Trilu: triangle,
};

function fromFront(axis: number, rank: number): number {
  return axis < 0 ? axis + rank : axis;
}
