// Shape arithmetic: exporters compute the operands of Reshape and its like from Shape, Gather, Concat and
// so on. Known sizes are constants and fold by themselves; what depends on the batch is computed at several
// batches (sizeList.ts), by whatever operators the file uses. Here too: the operators that make constants
// out of types.
import { GraphBuilder } from "../../ir/builder.ts";
import { dimAt } from "../../ir/dims.ts";
import type { Dim, TensorData, Value } from "../../ir/types.ts";
import { stretchToBatch } from "./batchStretch.ts";
import { BATCH_HINT, type Convert, isSizeList, isValue, type NodeCall, type Results } from "./nodeCall.ts";
import { dimsOf, isConstantList, listOfDims, type SizeList, sizesText } from "./sizeList.ts";
import { MAX_FOLDED_ELEMENTS } from "./standardNode.ts";

/**
 * The node's results if it computes with sizes that depend on the batch, and with constants, alone: `convert`
 * is run on constants at each probe. Undefined where a result's own shape depends on the batch.
 */
export function foldSizes(node: NodeCall, convert: Convert): Results | undefined {
  const source = node.inputs.find(
    (input): input is SizeList => input !== undefined && isSizeList(input),
  )?.source;
  const isKnown = node.inputs.every((_, i) => !node.inputs[i] || isList(node, i) || node.constant(i));
  if (!source || !isKnown || makesShape(node)) return undefined;
  const atProbes = node.ctx.probes.map((_, probe) => evaluateAt(node, convert, probe));
  const [first = []] = atProbes;
  const results = first.map((data, i) => {
    const all = atProbes.flatMap((results) => results[i] ?? []);
    const isSame =
      all.length === atProbes.length && all.every(({ shape }) => String(shape) === String(data?.shape));
    if (!data || !isSame) return undefined;
    const numbers = all.map((each) => Float64Array.from(each.data));
    if (isConstantList(numbers)) return node.b.constant(data, node.outputs[i] || undefined);
    return { dtype: data.dtype, shape: data.shape, atProbes: numbers, source };
  });
  return results.includes(undefined) ? undefined : results;
}

/** Whether the shape of what the node gives depends on the batch, or which nodes there are (If) does. */
function makesShape({ operator, inputs }: NodeCall): boolean {
  if (operator === "If" || operator === "Range" || operator === "ConstantOfShape") return true;
  const shape = inputs[1];
  return ["Expand", "Tile", "Reshape"].includes(operator) && shape !== undefined && isSizeList(shape);
}

function isList(node: NodeCall, index: number): boolean {
  const input = node.inputs[index];
  return input !== undefined && isSizeList(input);
}

/** What the node gives at one probe; undefined for a result that is not computed at import. */
function evaluateAt(node: NodeCall, convert: Convert, probe: number): (TensorData | undefined)[] {
  const b = new GraphBuilder(node.name, node.b.ops);
  const inputs = node.inputs.map((input) => {
    if (!input) return undefined;
    const data = isSizeList(input) ? numbersAt(input, probe) : isValue(input) && node.numbersOf(input);
    return data ? b.constant(data) : undefined;
  });
  const apart = { b, weights: new Map(), sources: new Map(), fixedBatch: undefined };
  const results = convert(node.inContext(apart).with({ inputs }));
  return results.map((result) => (result && isValue(result) ? b.constantData(result) : undefined));
}

function numbersAt({ dtype, shape, atProbes }: SizeList, probe: number): TensorData {
  return { dtype, shape, data: atProbes[probe] ?? new Float64Array() };
}

/** Shape-15: the sizes of x from `start` to before `end`. */
export function shapeOf(node: NodeCall): Results {
  const x = node.value(0);
  const { shape } = x.type;
  const sizes = shape.slice(node.int("start", 0), node.has("end") ? node.int("end") : shape.length);
  return [sizesOf(node, sizes, x)];
}

/** Size-13: the number of elements. */
export function sizeOf(node: NodeCall): Results {
  const x = node.value(0);
  const { probes } = node.ctx;
  const counts = probes.map((batch) =>
    x.type.shape.reduce<number>((count, dim) => count * dimAt(dim, batch), 1),
  );
  const atProbes = counts.map((count) => Float64Array.of(count));
  if (isConstantList(atProbes))
    return [constantNamed(node, { dtype: "int64", shape: [], data: Float64Array.of(counts[0] ?? 0) })];
  return [{ dtype: "int64", shape: [], atProbes, source: x }];
}

/** ConstantOfShape-9: `value` (default: float32 0) everywhere; one size may be a multiple of the batch. */
export function constantOfShape(node: NodeCall): Results {
  const value: TensorData = node.has("value")
    ? node.tensor("value")
    : { dtype: "float32", shape: [1], data: new Float32Array(1) };
  const { dims, source } = sizesAt(node, 0);
  const axis = dims.findIndex((dim) => typeof dim === "string");
  const shape = dims.map((dim) => dimAt(dim, 1));
  if (shape.some((size) => !(size >= 0))) node.fail("E_MODEL_SHAPE", `of the shape [${shape}]`);
  const count = boundedCount(
    node,
    shape.reduce((product, size) => product * size, 1),
  );
  const data = new Float64Array(count).fill(value.data[0] ?? 0);
  const constant = constantNamed(node, { dtype: value.dtype, shape, data });
  if (axis < 0) return [constant];
  return [stretchToBatch(node.ctx, constant, { axis, before: 1, after: shape[axis] ?? 1 }, source)];
}

/** Range-11: start, start + delta, ... before limit; up to the batch it is counted when the graph runs. */
export function rangeOf(node: NodeCall): Results {
  const [start = 0, limit = 0, delta = 1] = [0, 1, 2].map((i) => sizesAt(node, i).dims[0]);
  if (typeof start === "string" || typeof delta === "string" || (typeof limit === "string" && delta !== 1))
    return unknownSizes(
      node,
      [0, 1, 2].findIndex((i) => isList(node, i)),
    );
  const dtype = isList(node, 0) ? "int64" : node.value(0).type.dtype;
  if (typeof limit === "string") return [countToBatch(node, dtype, dimAt(limit, 1), start)];
  const wanted = Math.max(0, Math.ceil((limit - start) / delta));
  if (delta === 0 || !Number.isFinite(wanted)) node.fail("E_MODEL_SHAPE", `${start} to ${limit} by ${delta}`);
  const data = Float64Array.from({ length: boundedCount(node, wanted) }, (_, i) => start + i * delta);
  return [constantNamed(node, { dtype, shape: [data.length], data })];
}

/** 0, 1, ... factor * N - 1: ones of that count, summed up to each exclusively. */
function countToBatch(node: NodeCall, dtype: Value["type"]["dtype"], factor: number, start: number): Value {
  const { source } = sizesAt(node, 1);
  if (start !== 0) unknownSizes(node, 1);
  const ones = node.b.constant({ dtype, shape: [factor], data: new Float64Array(factor).fill(1) });
  const all = stretchToBatch(node.ctx, ones, { axis: 0, before: 1, after: factor }, source);
  return node.b.emit("CumSum", [all, node.b.scalar(0, "int64")], { exclusive: 1 });
}

function boundedCount(node: NodeCall, count: number): number {
  if (count <= MAX_FOLDED_ELEMENTS) return count;
  return node.fail("E_MODEL_ALLOC", `a constant of ${count} elements is asked for`);
}

/** A constant of the graph if all sizes are numbers, else a list. */
function sizesOf(node: NodeCall, dims: readonly Dim[], source: Value): SizeList | Value {
  if (dims.some((dim) => typeof dim === "string")) return listOfDims(dims, source, node.ctx.probes);
  return constantNamed(node, { dtype: "int64", shape: [dims.length], data: Float64Array.from(dims, Number) });
}

function constantNamed(node: NodeCall, data: TensorData): Value {
  return node.b.constant(data, node.outputs[0]);
}

/** An operand that lists sizes, with what has the batch that they name. */
export interface Sizes {
  readonly dims: readonly Dim[];
  readonly source: Value | undefined;
}

/** Input `index` as sizes: numbers, or multiples of the batch; E_MODEL_SHAPE for anything else. */
export function sizesAt(node: NodeCall, index: number): Sizes {
  const input = node.inputs[index];
  const { batch, image, probes } = node.ctx;
  if (!input || !isSizeList(input)) return { dims: node.numbers(index), source: image };
  const dims = dimsOf(input, probes, String(batch)).map((dim) => dim ?? unknownSizes(node, index));
  return { dims, source: input.source };
}

/** The refusal of sizes that are no multiple of the batch, or stand where none can. */
export function unknownSizes(node: NodeCall, index: number): never {
  const input = node.inputs[index];
  const text = input && isSizeList(input) ? sizesText(input, node.ctx.probes) : "";
  return node.fail(
    "E_MODEL_SHAPE",
    `sizes [${text}] depend on the batch in a way that is not followed`,
    BATCH_HINT,
  );
}
