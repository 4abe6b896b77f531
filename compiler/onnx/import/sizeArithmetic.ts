// Shape arithmetic: exporters compute the operands of Reshape and its like from Shape, Gather, Concat and
// so on. Known sizes are constants and fold by themselves; here are the lists that hold a symbol (the
// batch), and the operators that make constants out of types. Each function gives undefined where it has
// nothing to say.
import { evaluateNode, toArray } from "../../ir/interpret.ts";
import { concreteDim, type Dim, type TensorData, type Value } from "../../ir/types.ts";
import { type Imported, isSizeList, type NodeCall, type Results, type SizeList } from "./nodeCall.ts";
import { MAX_FOLDED_ELEMENTS } from "./standardNode.ts";

/** Operators that move elements of input 0 (Concat: of all inputs) by what their other inputs say. */
const MOVERS: readonly string[] = [
  ...[
    "Concat",
    "Gather",
    "Slice",
    "Squeeze",
    "Unsqueeze",
    "Reshape",
    "Flatten",
    "Split",
    "Tile",
    "Transpose",
  ],
  ...["Identity", "Cast", "Expand"],
];

/** The node's results if one of its inputs holds a symbol and what it does with it can be followed. */
export function foldSizes(node: NodeCall): Results | undefined {
  const first = node.inputs[0];
  if (!node.inputs.some((input) => input && isSizeList(input))) return undefined;
  if (node.operator === "Shape" && first && isSizeList(first))
    return [sizesOf(node, first.shape, "int64", [first.shape.length])];
  const controls = node.operator === "Concat" ? [] : node.inputs.slice(1);
  const isMoved = MOVERS.includes(node.operator) && first && isSizeList(first);
  if (node.operator === "Concat" || (isMoved && !controls.some((each) => each && isSizeList(each))))
    return moveSizes(withInputs(node));
  if (node.operator === "Where") return [chooseSizes(node)];
  const rule = ELEMENT_RULES[node.operator];
  return rule && [combineSizes(node, rule)];
}

/** Squeeze, Unsqueeze and Split before opset 13 have attributes for what are inputs since. */
function withInputs(node: NodeCall): NodeCall {
  const name = ["axes", "split"].find((each) => node.has(each));
  if (name === undefined) return node;
  const operand = node.b.ints(node.ints(name));
  return node.with({ inputs: [node.inputs[0], operand], attrs: { [name]: undefined } });
}

/** Shape-15: the sizes of x from `start` to before `end`. */
export function shapeOf(node: NodeCall): Results {
  const { shape } = node.value(0).type;
  const sizes = shape.slice(node.int("start", 0), node.has("end") ? node.int("end") : shape.length);
  return [sizesOf(node, sizes, "int64", [sizes.length])];
}

/** Size-13: the number of elements. */
export function sizeOf(node: NodeCall): Results {
  const { shape } = node.value(0).type;
  const symbols = shape.filter((dim) => typeof dim === "string");
  const count = shape.reduce<number>(
    (product, dim) => (typeof dim === "number" ? product * dim : product),
    1,
  );
  if (symbols.length > 1 || (symbols.length === 1 && count !== 1)) return unknownSize(node, shape);
  return [sizesOf(node, [symbols[0] ?? count], "int64", [])];
}

/** ConstantOfShape-9: `value` (default: float32 0) everywhere. */
export function constantOfShape(node: NodeCall): Results {
  const shape = node.numbers(0);
  const value: TensorData = node.has("value")
    ? node.tensor("value")
    : { dtype: "float32", shape: [1], data: new Float32Array(1) };
  if (shape.some((size) => !(size >= 0))) node.fail("E_MODEL_SHAPE", `of the shape [${shape}]`);
  const count = boundedCount(
    node,
    shape.reduce((product, size) => product * size, 1),
  );
  const data = new Float64Array(count).fill(value.data[0] ?? 0);
  return [constantNamed(node, { dtype: value.dtype, shape, data })];
}

/** Range-11: start, start + delta, ... before limit. */
export function rangeOf(node: NodeCall): Results {
  const [start = 0, limit = 0, delta = 1] = [0, 1, 2].map((i) => node.numbers(i)[0] ?? 0);
  const wanted = Math.max(0, Math.ceil((limit - start) / delta));
  if (delta === 0 || !Number.isFinite(wanted)) node.fail("E_MODEL_SHAPE", `${start} to ${limit} by ${delta}`);
  const data = Float64Array.from({ length: boundedCount(node, wanted) }, (_, i) => start + i * delta);
  return [constantNamed(node, { dtype: node.value(0).type.dtype, shape: [data.length], data })];
}

function boundedCount(node: NodeCall, count: number): number {
  if (count <= MAX_FOLDED_ELEMENTS) return count;
  return node.fail("E_MODEL_ALLOC", `a constant of ${count} elements is asked for`);
}

/** A constant of the graph if all sizes are numbers, else a list. */
export function sizesOf(
  node: NodeCall,
  sizes: readonly Dim[],
  dtype: SizeList["dtype"],
  shape: readonly number[],
): Imported {
  if (sizes.some((size) => typeof size === "string")) return { dtype, shape, sizes };
  return constantNamed(node, { dtype, shape: [...shape], data: Float64Array.from(sizes, concreteDim) });
}

function constantNamed(node: NodeCall, data: TensorData): Value {
  return node.b.constant(data, node.outputs[0]);
}

/** The input as sizes; a constant is a list of numbers. */
function listOf(node: NodeCall, index: number): SizeList {
  const input = node.inputs[index];
  if (input && isSizeList(input)) return input;
  const { dtype, shape, data } = node.constant(index) ?? unknownSize(node, []);
  return { dtype, shape, sizes: Array.from(data) };
}

/**
 * Moves symbols as their operator moves any elements: it runs on positions, and the positions that come out
 * say which elements those are.
 */
function moveSizes(node: NodeCall): Results {
  const op = node.b.ops.get(node.operator) ?? unknownSize(node, []);
  const moved = node.operator === "Concat" ? node.inputs.length : 1;
  const lists = Array.from({ length: moved }, (_, i) => listOf(node, i));
  const all = lists.flatMap(({ sizes }) => sizes);
  const dtype = lists[0]?.dtype ?? "int64";
  const known = new Map<Value, TensorData>();
  let next = 0;
  const inputs = node.inputs.map((input, i): Value | undefined => {
    const list = lists[i];
    const positions = list && Float64Array.from(list.sizes, () => next++);
    const data =
      list && positions ? { dtype: "int64" as const, shape: list.shape, data: positions } : node.constant(i);
    if (!data) return input ? unknownSize(node, []) : undefined;
    const value: Value = { name: `${node.name}.${i}`, type: data, origin: node.name };
    known.set(value, data);
    return value;
  });
  const attrs =
    node.operator === "Cast"
      ? { to: "int64" }
      : Object.fromEntries(
          ["axis", "allowzero", "num_outputs"].flatMap((name) =>
            node.has(name) && op.attrs[name] ? [[name, node.int(name)]] : [],
          ),
        );
  const outputs: Value[] = node.outputs.map((name) => ({
    name,
    type: { dtype: "int64", shape: [] },
    origin: node.name,
  }));
  const read = (value: Value) => toArray(known.get(value) ?? unknownSize(node, []));
  const results = evaluateNode({ op, inputs, outputs, attrs }, read, known);
  return results.map((result, i) => {
    const sizes = Array.from(result.data, (position) => all[position] ?? 0);
    return i === 0 ? sizesOf(node, sizes, dtype, result.shape) : { dtype, shape: result.shape, sizes };
  });
}

type ElementRule = (x: Dim, y: Dim) => Dim | undefined;

/** What is known of symbols: they stand for sizes of at least 1. */
const ELEMENT_RULES: Readonly<Record<string, ElementRule>> = {
  Add: (x, y) => (x === 0 ? y : y === 0 ? x : undefined),
  Sub: (x, y) => (y === 0 ? x : x === y ? 0 : undefined),
  Mul: (x, y) => (x === 1 ? y : y === 1 ? x : x === 0 || y === 0 ? 0 : undefined),
  Div: (x, y) => (y === 1 ? x : x === y ? 1 : undefined),
  Max: (x, y) => (x === y || Number(y) <= 1 ? x : Number(x) <= 1 ? y : undefined),
  Equal: (x, y) => (x === y ? 1 : Number(x) < 1 || Number(y) < 1 ? 0 : undefined),
  Greater: (x, y) => (x === y ? 0 : Number(y) < 1 ? 1 : Number(x) < 1 ? 0 : undefined),
  Less: (x, y) => (x === y ? 0 : Number(x) < 1 ? 1 : Number(y) < 1 ? 0 : undefined),
};
/** The same rules for two numbers. */
const NUMBER_RULES: Readonly<Record<string, (x: number, y: number) => number>> = {
  Add: (x, y) => x + y,
  Sub: (x, y) => x - y,
  Mul: (x, y) => x * y,
  Div: (x, y) => Math.trunc(x / y),
  Max: Math.max,
  Equal: (x, y) => Number(x === y),
  Greater: (x, y) => Number(x > y),
  Less: (x, y) => Number(x < y),
};

function combineSizes(node: NodeCall, rule: ElementRule): Imported {
  const [x, y] = [listOf(node, 0), listOf(node, 1)];
  const longer = x.sizes.length >= y.sizes.length ? x : y;
  if (x.sizes.length !== y.sizes.length && Math.min(x.sizes.length, y.sizes.length) !== 1)
    return unknownSize(node, [...x.sizes, ...y.sizes]);
  const sizes = longer.sizes.map((_, i): Dim => {
    const [a = 0, b = 0] = [x.sizes[x.sizes.length === 1 ? 0 : i], y.sizes[y.sizes.length === 1 ? 0 : i]];
    if (typeof a === "number" && typeof b === "number") return NUMBER_RULES[node.operator]?.(a, b) ?? 0;
    return rule(a, b) ?? unknownSize(node, [a, b]);
  });
  const isTruth = ["Equal", "Greater", "Less"].includes(node.operator);
  return sizesOf(node, sizes, isTruth ? "bool" : longer.dtype, longer.shape);
}

function chooseSizes(node: NodeCall): Imported {
  const [condition, x, y] = [listOf(node, 0), listOf(node, 1), listOf(node, 2)];
  const sizes = condition.sizes.map((isFirst, i): Dim => {
    const { sizes } = isFirst ? x : y;
    return sizes[sizes.length === 1 ? 0 : i] ?? unknownSize(node, sizes);
  });
  return sizesOf(node, sizes, x.dtype, condition.shape);
}

/**
 * Operand of a Reshape of `x` to sizes with symbols: a symbol is copied where x has it in the same place,
 * and may stand as the rest (-1) once.
 */
export function reshapeOperandOf(node: NodeCall, x: Value, { sizes }: SizeList): number[] {
  const operand = sizes.map((size, i) =>
    typeof size === "number" ? size : x.type.shape[i] === size ? 0 : -1,
  );
  const open = operand.filter((size) => size === -1).length;
  return open <= 1 ? operand : unknownSize(node, sizes);
}

/** Operand of an Expand of `x` to sizes with symbols: x must have each symbol already. */
export function expandOperandOf(node: NodeCall, x: Value, { sizes }: SizeList): number[] {
  const lead = sizes.length - x.type.shape.length;
  return sizes.map((size, i) => {
    if (typeof size === "number") return size;
    return x.type.shape[i - lead] === size ? 1 : unknownSize(node, sizes);
  });
}

function unknownSize(node: NodeCall, sizes: readonly Dim[]): never {
  return node.fail(
    "E_MODEL_SHAPE",
    `sizes [${sizes}] depend on the batch in a way that is not followed`,
    "export the model with a fixed batch size, or name an `output` before this node",
  );
}
