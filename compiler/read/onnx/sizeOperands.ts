// Reshape, Expand, Tile, Slice and Resize whose operands name the batch: written without it, so that the
// graph is right for any batch. -1 and 0 stand for it in a Reshape, repeats for each image in an Expand.
import { dimAt, quotientDim } from "../../ir/dims.ts";
import type { Dim, Value } from "../../ir/types.ts";
import { stretchToBatch } from "./batchStretch.ts";
import { isSizeList, type NodeCall, type Results } from "./nodeCall.ts";
import { type Sizes, sizesAt, unknownSizes } from "./sizeArithmetic.ts";
import { standardNode } from "./standardNode.ts";

/** "To the end", as exporters write it. */
const TO_THE_END = 2 ** 31 - 1;

function hasSizes(node: NodeCall, index: number): boolean {
  const input = node.inputs[index];
  return input !== undefined && isSizeList(input);
}

/** Reshape to sizes that depend on the batch. */
export function reshapeBySizes(node: NodeCall): Results {
  if (!hasSizes(node, 1)) return standardNode(node);
  const x = node.value(0);
  const { shape } = x.type;
  const { dims } = sizesAt(node, 1);
  const copies = node.int("allowzero", 0) === 0;
  const wrong = (): never => unknownSizes(node, 1);
  const named = dims.map((dim, i): Dim => (dim === 0 && copies ? (shape[i] ?? wrong()) : dim));
  const open = named.indexOf(-1);
  const rest = open < 0 ? undefined : quotientDim(shape, named.toSpliced(open, 1), wrong);
  const whole = rest === undefined ? named : named.with(open, rest);
  const operand = whole.map((dim, i) => {
    if (typeof dim === "number") return dim;
    return copies && shape[i] === dim ? 0 : -1;
  });
  if (operand.filter((size) => size === -1).length > 1) wrong();
  return standardNode(node.with({ inputs: [x, node.b.ints(operand)] }));
}

/** Expand to sizes that depend on the batch: axes of size 1 are repeated for each image. */
export function expandBySizes(node: NodeCall): Results {
  if (!hasSizes(node, 1)) return standardNode(node);
  const { dims, source } = sizesAt(node, 1);
  const x = node.value(0);
  const lead = dims.length - x.type.shape.length;
  const own = (axis: number): Dim => x.type.shape[axis - lead] ?? 1;
  const isNew = (dim: Dim, axis: number): dim is string => typeof dim === "string" && own(axis) !== dim;
  // Numbers, and how often an image repeats what the batch repeats; a batch that x has already stays.
  const operand = dims.map((dim, axis) => (dim === own(axis) ? 1 : dimAt(dim, 1)));
  const [y = x] = standardNode(node.with({ inputs: [x, node.b.ints(operand)] })) as readonly Value[];
  const axis = dims.findIndex(isNew);
  if (axis < 0) return [y];
  if (own(axis) !== 1 || dims.findLastIndex(isNew) !== axis) unknownSizes(node, 1);
  return [stretchToBatch(node.ctx, y, { axis, before: 1, after: operand[axis] ?? 1 }, source)];
}

/** Tile by repeats that depend on the batch. */
export function tileBySizes(node: NodeCall): Results {
  if (!hasSizes(node, 1)) return standardNode(node);
  const { dims, source } = sizesAt(node, 1);
  const repeats = dims.map((dim) => dimAt(dim, 1));
  const [y] = standardNode(node.with({ inputs: [node.value(0), node.b.ints(repeats)] })) as readonly Value[];
  const axis = dims.findIndex((dim) => typeof dim === "string");
  const size = y?.type.shape[axis];
  if (!y || typeof size !== "number") return unknownSizes(node, 1);
  return [stretchToBatch(node.ctx, y, { axis, before: 1, after: size }, source)];
}

/** Slice by bounds that depend on the batch: the whole of an axis that has it. */
export function sliceBySizes(node: NodeCall): Results {
  if (!hasSizes(node, 1) && !hasSizes(node, 2)) return standardNode(node);
  const { shape } = node.value(0).type;
  const starts = sizesAt(node, 1).dims;
  const ends = sizesAt(node, 2).dims;
  const axes = node.inputs[3] ? node.numbers(3) : starts.map((_, i) => i);
  const bounds = ends.map((end, i) => {
    const start = starts[i] ?? 0;
    if (typeof start === "number" && typeof end === "number") return { start, end };
    const dim = shape.at(axes[i] ?? 0);
    // Sizes that grow with the batch lie beyond the end of any axis that does not only where they equal it.
    return start === 0 && end === dim
      ? { start, end: TO_THE_END }
      : unknownSizes(node, typeof end === "string" ? 2 : 1);
  });
  const [, , , ...rest] = node.inputs;
  const lists = [node.b.ints(bounds.map(({ start }) => start)), node.b.ints(bounds.map(({ end }) => end))];
  return standardNode(node.with({ inputs: [node.value(0), ...lists, ...rest] }));
}

/**
 * Resize by the sizes of all axes, or by scales that give whole sizes: by the sizes of the axes that change.
 * (With scales the sampled places are those of the scale, which is the quotient of the sizes then.)
 */
export function resizeBySizes(node: NodeCall): Results {
  const x = node.value(0);
  const { shape } = x.type;
  if (node.has("axes") || node.int("antialias", 0) !== 0) return standardNode(node);
  const sizes = node.inputs[3] ? sizesAt(node, 3) : sizesOfScales(node, shape);
  if (!sizes || sizes.dims.length !== shape.length) return standardNode(node);
  const { fixedBatch } = node.ctx;
  const kept = sizes.dims.map((dim, axis) => dim === shape[axis] || dim === fixedBatch?.fileDim(x, axis));
  const axes = kept.flatMap((isKept, axis) => (isKept ? [] : [axis]));
  if (axes.length === 0) return [x];
  const wanted = axes.map((axis) => sizes.dims[axis] ?? 1);
  if (wanted.some((dim) => typeof dim === "string")) unknownSizes(node, 3);
  const inputs = [x, undefined, undefined, node.b.ints(wanted.map(Number))];
  return standardNode(node.with({ inputs, attrs: { axes } }));
}

/** Sizes that constant scales lead to, if all are whole. */
function sizesOfScales(node: NodeCall, shape: readonly Dim[]): Sizes | undefined {
  const scales = node.constant(2)?.data;
  if (scales?.length !== shape.length) return undefined;
  const dims = shape.map((dim, axis): Dim => {
    const scale = scales[axis] ?? 1;
    return scale === 1 ? dim : Math.round(Number(dim) * scale);
  });
  const isWhole = dims.every((dim, axis) => {
    const from = shape[axis];
    return dim === from || (typeof from === "number" && Number(dim) / from === scales[axis]);
  });
  return isWhole ? { dims, source: node.value(0) } : undefined;
}
