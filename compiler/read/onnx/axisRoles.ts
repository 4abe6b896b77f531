// What the axes of a network's values are, followed from the image through the nodes: so a cut knows
// [N,C,H,W] from [N,H,W,C], and tokens [N,T,C] from anything else of three axes. An axis of which nothing is
// known becomes known again where it is added to one that is (the shortcut around a block).
import type { OpName } from "../../ir/opNames.ts";
import type { Dim, Graph, Node, Shape, Value } from "../../ir/types.ts";
import { type AxisParts, isOuter, reshapedParts, wholePart } from "./axisParts.ts";

/** Parts of each axis of a value. */
export type AxisRoles = readonly AxisParts[];

/** Roles of the axes of every value of `graph`, whose image input has the given layout. */
export function axisRoles(graph: Graph, layout: "NCHW" | "NHWC"): ReadonlyMap<Value, AxisRoles> {
  const roles = new Map<Value, AxisRoles>();
  const find = (value: Value | undefined): AxisRoles =>
    (value && roles.get(value)) ?? unknownRoles(value?.type.shape ?? []);
  for (const input of graph.inputs) roles.set(input, imageRoles(input.type.shape, layout));
  for (const node of graph.nodes) {
    const made = rolesOfNode({ node, find, numbers: (i) => numbersOf(graph, node, i) });
    node.outputs.forEach((output, i) => {
      const found = made[i];
      const isRight = found?.length === output.type.shape.length;
      roles.set(output, isRight ? found : unknownRoles(output.type.shape));
    });
  }
  return roles;
}

function imageRoles(shape: Shape, layout: "NCHW" | "NHWC" = "NCHW"): AxisRoles {
  const order =
    layout === "NCHW"
      ? (["batch", "channels", "height", "width"] as const)
      : (["batch", "height", "width", "channels"] as const);
  return shape.map((dim, i) => wholePart(order[i] ?? "unknown", dim));
}

function unknownRoles(shape: Shape): AxisRoles {
  return shape.map((dim) => wholePart("unknown", dim));
}

function isKnown(parts: AxisParts | undefined): parts is AxisParts {
  return parts?.every(({ kind }) => kind !== "unknown") === true && parts.length > 0;
}

function isChannels(parts: AxisParts | undefined): boolean {
  return parts?.some(({ kind }) => kind === "channels") === true;
}

/** Height and width of the grid that an axis of tokens holds, and how many tokens come before it. */
export function tokensOf(
  parts: AxisParts | undefined,
): { readonly grid: readonly [number, number]; readonly before: number } | undefined {
  const [first, second] = parts ?? [];
  if (first?.kind === "tokens" && first.grid) return { grid: first.grid, before: first.before ?? 0 };
  const isGrid = isOuter(first, "height") && isOuter(second, "width") && parts?.length === 2;
  return isGrid ? { grid: [first.size, second.size], before: 0 } : undefined;
}

interface Step {
  readonly node: Node;
  readonly find: (value: Value | undefined) => AxisRoles;
  /** The numbers of a constant input. */
  readonly numbers: (index: number) => readonly number[] | undefined;
}

/** Roles for each output of a node. */
type Rule = (step: Step) => readonly AxisRoles[];

function numbersOf(graph: Graph, node: Node, index: number): readonly number[] | undefined {
  const value = node.inputs[index];
  const data = value && graph.constants.get(value)?.data;
  return data && Array.from(data);
}

function rolesOfNode(step: Step): readonly AxisRoles[] {
  const { op, outputs } = step.node;
  const rule = Object.hasOwn(RULES, op.name) ? RULES[op.name] : undefined;
  if (rule) return rule(step);
  if (op.axes === "elementwise") return united(step);
  if (/^(Reduce|Arg)/.test(op.name)) return reduced(step);
  return outputs.map((output) => kept(step, output));
}

/** Operators that keep the shape (norms, softmax) keep the roles. */
function kept({ node, find }: Step, output: Value): AxisRoles {
  const [x] = node.inputs;
  const roles = find(x);
  return output.type.shape.map(
    (dim, i) => (x?.type.shape[i] === dim && roles[i]) || wholePart("unknown", dim),
  );
}

/** Of values that broadcast together: what is known of any of them; a piece of an axis says least. */
const united: Rule = ({ node, find }) => {
  const shape = node.outputs[0]?.type.shape ?? [];
  const roles = shape.map((dim, axis) => {
    const known = node.inputs.flatMap((input) => {
      const at = axis - shape.length + (input?.type.shape.length ?? 0);
      const parts = find(input)[at];
      return isKnown(parts) && input?.type.shape[at] === dim ? [parts] : [];
    });
    const best = known.find((parts) => parts.every((part) => isOuter(part, part.kind)));
    return best ?? known[0] ?? wholePart("unknown", dim);
  });
  return [roles];
};

/** Convolutions, poolings and the like: images [N,C,H,W], whatever was known; others keep what they had. */
const image: Rule = (step) =>
  step.node.outputs.map((output) =>
    output.type.shape.length === 4 ? imageRoles(output.type.shape) : kept(step, output),
  );

/** Norms over the last axis are over channels. */
const layerNorm: Rule = (step) => {
  const [x] = step.node.inputs;
  const rank = x?.type.shape.length ?? 0;
  const axis = Number(step.node.attrs.axis ?? -1);
  const roles = step.find(x);
  const isOfChannels = (axis === -1 || axis === rank - 1) && !isKnown(roles.at(-1));
  return [isOfChannels ? roles.with(-1, wholePart("channels", x?.type.shape.at(-1))) : roles];
};

const transposed: Rule = ({ node, find }) => {
  const roles = find(node.inputs[0]);
  const perm = (node.attrs.perm as readonly number[] | undefined) ?? roles.map((_, i) => i).reverse();
  return [perm.map((axis) => roles[axis] ?? [])];
};

/** Rows of the first, columns of the second; a linear layer keeps what its axis is, channels or places. */
const product: Rule = ({ node, find }) => {
  const [a, b] = node.inputs;
  const [rolesA, rolesB] = [find(a), find(b)];
  const shape = node.outputs[0]?.type.shape ?? [];
  const isLayer = !rolesB.some(isKnown);
  const isLeftLayer = !rolesA.some(isKnown) && !isLayer;
  const roles = shape.map((dim, axis) => {
    const fromEnd = axis - shape.length;
    if (fromEnd === -1 && isLayer) return mapped(rolesA.at(-1), a?.type.shape.at(-1), dim);
    if (fromEnd === -1) return rolesB.at(-1) ?? [];
    if (fromEnd === -2 && isLeftLayer) return mapped(rolesB.at(-2), b?.type.shape.at(-2), dim);
    const [partsA, partsB] = [rolesA.at(fromEnd), fromEnd === -2 ? undefined : rolesB.at(fromEnd)];
    return (isKnown(partsA) ? partsA : partsB) ?? wholePart("unknown", dim);
  });
  return [roles];
};

/** An axis behind a linear layer along it: channels stay channels, places only if they stay as many. */
function mapped(parts: AxisParts | undefined, before: Dim | undefined, after: Dim): AxisParts {
  if (isChannels(parts)) return wholePart("channels", after);
  return (before === after ? parts : undefined) ?? wholePart("unknown", after);
}

const gemm: Rule = ({ node, find }) => {
  const [rows, columns] = node.outputs[0]?.type.shape ?? [];
  const [first] = node.attrs.transA === 1 ? [] : find(node.inputs[0]);
  return [[first ?? wholePart("unknown", rows), wholePart("channels", columns)]];
};

/** Letters of the equation are axes. */
const einsum: Rule = ({ node, find }) => {
  const [left = "", right = ""] = String(node.attrs.equation).replaceAll(" ", "").split("->");
  const terms = left.split(",");
  const shape = node.outputs[0]?.type.shape ?? [];
  const partsOf = (letter: string, axis: number): AxisParts =>
    terms.map((term, i) => find(node.inputs[i])[term.indexOf(letter)]).find(isKnown) ??
    wholePart("unknown", shape[axis]);
  return [/^[a-zA-Z,]*$/.test(left) ? [...right].map(partsOf) : []];
};

const reshaped: Rule = ({ node, find }) => [
  reshapedParts(find(node.inputs[0]), node.outputs[0]?.type.shape ?? []),
];

const reduced: Rule = ({ node, find, numbers }) => {
  const roles = find(node.inputs[0]);
  const given = node.attrs.axis === undefined ? numbers(1) : [Number(node.attrs.axis)];
  const axes = (given ?? roles.map((_, i) => i)).map((axis) => (axis < 0 ? axis + roles.length : axis));
  if (node.attrs.keepdims === 0) return [roles.filter((_, i) => !axes.includes(i))];
  return [roles.map((parts, i) => (axes.includes(i) ? [] : parts))];
};

function axisOf({ attrs }: Node, rank: number): number {
  const axis = Number(attrs.axis ?? 0);
  return axis < 0 ? axis + rank : axis;
}

/** Along the tokens others may come before and after; another axis stays what it is, only longer. */
const joined: Rule = (step) => {
  const { node, find } = step;
  const shape = node.outputs[0]?.type.shape ?? [];
  const axis = axisOf(node, shape.length);
  const [roles = []] = united(step);
  const along = node.inputs.map((input) => find(input)[axis]);
  const place = along.findIndex((parts) => tokensOf(parts));
  const tokens = tokensOf(along[place]);
  if (!tokens) return [roles.with(axis, resized(along.find(isKnown), shape[axis]))];
  if (along.filter((parts) => tokensOf(parts)).length > 1)
    return [roles.with(axis, wholePart("unknown", shape[axis]))];
  const sizes = node.inputs.slice(0, place).map((input) => Number(input?.type.shape[axis]));
  const before = sizes.reduce((sum, size) => sum + size, tokens.before);
  return [roles.with(axis, tokenParts(tokens.grid, before, shape[axis]))];
};

/** An axis of another length: a whole one is a whole one still, of a piece nothing is known. */
function resized(parts: AxisParts | undefined, dim: Dim | undefined): AxisParts {
  const [part] = parts ?? [];
  const isSame = part && isOuter(part, part.kind) && parts?.length === 1 && part.kind !== "tokens";
  return wholePart(isSame ? part.kind : "unknown", dim);
}

function tokenParts(grid: readonly [number, number], before: number, dim: Dim | undefined): AxisParts {
  const [height, width] = grid;
  if (dim === height * width && before === 0)
    return [...wholePart("height", height), ...wholePart("width", width)];
  return [{ kind: "tokens", size: Number(dim), grid, before }];
}

/** What is left of an axis from `start` on, `dim` long: tokens must hold the whole grid. */
function cutAxis(parts: AxisParts | undefined, start: number, dim: Dim | undefined): AxisParts {
  const tokens = tokensOf(parts);
  if (!tokens) return resized(parts, dim);
  const before = tokens.before - start;
  const needed = before + tokens.grid[0] * tokens.grid[1];
  const isWhole = before >= 0 && typeof dim === "number" && dim >= needed;
  return isWhole ? tokenParts(tokens.grid, before, dim) : wholePart("unknown", dim);
}

const sliced: Rule = ({ node, find, numbers }) => {
  const [x] = node.inputs;
  const shape = node.outputs[0]?.type.shape ?? [];
  const starts = numbers(1) ?? [];
  const axes = numbers(3) ?? starts.map((_, i) => i);
  const steps = numbers(4) ?? starts.map(() => 1);
  const roles = [...find(x)];
  axes.forEach((given, i) => {
    const axis = given < 0 ? given + roles.length : given;
    if (shape[axis] === x?.type.shape[axis] && steps[i] === 1) return;
    const from = starts[i] ?? 0;
    const start = from < 0 ? Math.max(0, from + Number(x?.type.shape[axis])) : from;
    const isRun = steps[i] === 1 || !tokensOf(roles[axis]);
    roles[axis] = isRun ? cutAxis(roles[axis], start, shape[axis]) : wholePart("unknown", shape[axis]);
  });
  return [roles];
};

const split: Rule = ({ node, find }) => {
  const roles = find(node.inputs[0]);
  const axis = axisOf(node, roles.length);
  let start = 0;
  return node.outputs.map(({ type }) => {
    const parts = cutAxis(roles[axis], start, type.shape[axis]);
    start += Number(type.shape[axis]);
    return roles.with(axis, parts);
  });
};

/**
 * An axis as indices [inner, outer] read it, each place once: PyTorch's Unfold without overlap, which puts
 * the places within a patch before the patches.
 */
function unfolded(
  parts: AxisParts,
  shape: Shape,
  indices: readonly number[],
): readonly AxisParts[] | undefined {
  const [inner, outer] = shape.map(Number);
  if (shape.length !== 2 || !inner || !outer) return undefined;
  const size = parts.reduce((product, part) => product * part.size, 1);
  const isTurned = indices.every((index, i) => index === (i % outer) * inner + Math.floor(i / outer));
  if (indices.length !== size || !isTurned) return undefined;
  return reshapedParts([parts], [outer, inner]).toReversed();
}

/** One index takes its axis away; several keep a whole axis, but not the order of tokens. */
const gathered: Rule = ({ node, find, numbers }) => {
  const [x, indices] = node.inputs;
  const roles = find(x);
  const shape = node.outputs[0]?.type.shape ?? [];
  const axis = axisOf(node, roles.length);
  const rank = indices?.type.shape.length ?? 0;
  const patches = unfolded(roles[axis] ?? [], indices?.type.shape ?? [], numbers(1) ?? []);
  if (patches) return [[...roles.slice(0, axis), ...patches, ...roles.slice(axis + 1)]];
  const own = Array.from({ length: rank }, (_, i) =>
    rank === 1 && !tokensOf(roles[axis])
      ? resized(roles[axis], shape[axis])
      : wholePart("unknown", shape[axis + i]),
  );
  return [[...roles.slice(0, axis), ...own, ...roles.slice(axis + 1)]];
};

const padded: Rule = ({ node, find }) => {
  const roles = find(node.inputs[0]);
  const shape = node.outputs[0]?.type.shape ?? [];
  return [
    roles.map((parts, i) => (node.inputs[0]?.type.shape[i] === shape[i] ? parts : resized(parts, shape[i]))),
  ];
};

const RULES: Readonly<Partial<Record<OpName, Rule>>> = {
  Conv: image,
  ConvTranspose: image,
  MaxPool: image,
  MaxUnpool: image,
  AveragePool: image,
  LpPool: image,
  GlobalAveragePool: image,
  GlobalMaxPool: image,
  GlobalLpPool: image,
  Resize: image,
  GridSample: image,
  DepthToSpace: image,
  SpaceToDepth: image,
  InstanceNormalization: image,
  GroupNormalization: image,
  BatchNormalization: image,
  LRN: image,
  LayerNormalization: layerNorm,
  Transpose: transposed,
  MatMul: product,
  Gemm: gemm,
  Einsum: einsum,
  Reshape: reshaped,
  Flatten: reshaped,
  Squeeze: reshaped,
  Unsqueeze: reshaped,
  Expand: united,
  Concat: joined,
  Slice: sliced,
  Split: split,
  Gather: gathered,
  Pad: padded,
};
