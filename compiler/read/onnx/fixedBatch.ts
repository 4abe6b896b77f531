// Files that fix their batch (PyTorch's exporters do by default: 1, or that of the example), read for any
// other. Such a file is a function of its few images; ours runs it on each of many. Each value keeps, beside
// its shape, where the batch lies in it, before x N x after within one axis; an operator that treats that
// axis as a mere list is right for any N. Operands that were made from the file's batch are replaced, inputs
// that are the same for all images are repeated, the batch is moved to another axis where an operator mixes
// its own (possible for a batch of 1, whose place is free). What is left mixes images and is refused.
import type { GraphBuilder } from "../../ir/builder.ts";
import { dimAt } from "../../ir/dims.ts";
import { interpret } from "../../ir/interpret.ts";
import type { Attrs, Node, Shape, TensorData, Value } from "../../ir/types.ts";
import { type AxisMap, axisMapOf } from "./batchAxes.ts";
import { stretchToBatch } from "./batchStretch.ts";
import type { BatchPlaces, NodeCall } from "./nodeCall.ts";

/** The batch in one axis of before * N * after elements. */
export interface Place {
  readonly axis: number;
  readonly before: number;
  readonly after: number;
}

/** Operators that keep all elements in their order. */
const SAME_ORDER: readonly string[] = ["Reshape", "Flatten", "Squeeze", "Unsqueeze"];
/** Elements of a value that is computed to see whether it repeats itself. */
const MAX_FOLDED_ELEMENTS = 2 ** 20;
/** Operators whose inputs must have one shape, that of the batch included; others broadcast. */
const SAME_SHAPES: readonly string[] = ["Concat", "GatherElements", "ScatterElements", "GridSample"];

export class FixedBatch implements BatchPlaces {
  readonly #places = new Map<Value, Place>();
  readonly #fileBatch: number;
  #followed = 0;

  /** Of a file whose image has a batch of `fileBatch`; `image` is ours, with a symbol as axis 0. */
  constructor(image: Value, fileBatch: number) {
    this.#fileBatch = fileBatch;
    this.#places.set(image, { axis: 0, before: 1, after: 1 });
  }

  /** Where the batch lies in a value; undefined for one that is the same for all images. */
  placeOf(value: Value): Place | undefined {
    return this.#places.get(value);
  }

  fileDim(value: Value, axis: number): number {
    return dimAt(value.type.shape[axis] ?? 1, this.#fileBatch);
  }

  adapt(node: NodeCall): NodeCall {
    this.follow(node);
    const inputs = node.inputs.map((_, i) => node.optionalValue(i));
    if (node.operator === "Expand" && this.#isBatchExpand(node, inputs[0])) return this.#expandToBatch(node);
    if (!inputs.some((input) => input && this.placeOf(input))) return node;
    const adapted = this.#withOwnOperands(node) ?? this.#withAlignedInputs(node, inputs);
    this.follow(node);
    return adapted;
  }

  /** Finds the places in what was emitted since; E_MODEL_SHAPE at `node` for a mix of images. */
  follow(node: NodeCall): void {
    const { nodes } = node.b;
    for (; this.#followed < nodes.length; this.#followed++) {
      const made = nodes[this.#followed];
      if (!made?.inputs.some((input) => input && this.placeOf(input))) continue;
      const place = SAME_ORDER.includes(made.op.name)
        ? this.#reshapedPlace(made)
        : this.#keptPlace(made, node);
      if (!place) this.#refuse(node);
      for (const output of made.outputs) this.#places.set(output, place);
    }
  }

  /** What the output of a node that keeps the order says: the batch lies where the symbol is. */
  #reshapedPlace({ inputs: [x], outputs: [y] }: Node): Place | undefined {
    const from = x && this.placeOf(x);
    const axis = y?.type.shape.findIndex((dim) => typeof dim === "string") ?? -1;
    if (!x || !y || !from || axis < 0) return undefined;
    return placeWithin(
      y.type.shape.map((dim) => dimAt(dim, 1)),
      axis,
      this.#before(x, from),
      1,
    );
  }

  /** Elements outside the batch. */
  #before(x: Value, { axis, before }: Place): number {
    return product(x.type.shape.slice(0, axis).map((dim) => dimAt(dim, 1))) * before;
  }

  #keptPlace(made: Node, node: NodeCall): Place | undefined {
    const follow = axisMapOf({ ...made, numbers: (i) => numbersOf(node, made.inputs[i]) });
    const places = made.inputs.flatMap((input, i): (Place | undefined)[] => {
      const place = input && this.placeOf(input);
      return place ? [mapped(place, follow, i)] : [];
    });
    const [first] = places;
    return places.every((place) => isSamePlace(place, first)) ? first : undefined;
  }

  /** Nodes whose operands are made anew. */
  #withOwnOperands(node: NodeCall): NodeCall | undefined {
    const x = node.value(0);
    const place = this.placeOf(x);
    if (!place) return undefined;
    if (node.operator === "Reshape") return this.#reshape(node, x, place);
    if (node.operator === "Squeeze") return this.#squeeze(node, x, place);
    if (node.operator === "Expand") return this.#expand(node, x, place);
    return node.operator === "Slice" ? this.#slice(node, x, place) : undefined;
  }

  /** Reshape to the file's sizes: -1 where the batch comes to lie. */
  #reshape(node: NodeCall, x: Value, place: Place): NodeCall {
    const sizes = x.type.shape.map((_, axis) => this.fileDim(x, axis));
    const copies = node.int("allowzero", 0) === 0;
    const asked = node.numbers(1).map((size, axis) => (size === 0 && copies ? (sizes[axis] ?? 0) : size));
    const open = product(sizes) / product(asked.filter((size) => size !== -1));
    const target = asked.map((size) => (size === -1 ? open : size));
    if (product(target) !== product(sizes) || product(target) === 0) return node;
    return this.#reshapeTo(node, x, place, target);
  }

  #reshapeTo(node: NodeCall, x: Value, place: Place, target: readonly number[]): NodeCall {
    const sizes = x.type.shape.map((_, axis) => this.fileDim(x, axis));
    const isSame = String(target) === String(sizes);
    const before = this.#before(x, place);
    const axis = isSame ? place.axis : bestAxis(target, before, this.#fileBatch);
    if (axis === undefined) return this.#refuse(node);
    const operand = node.b.ints(target.with(axis, -1));
    return node.with({
      operator: "Reshape",
      inputs: [x, operand],
      attrs: { allowzero: undefined, axes: undefined },
    });
  }

  /** A Squeeze that takes the batch's own axis away. */
  #squeeze(node: NodeCall, x: Value, place: Place): NodeCall | undefined {
    const sizes = x.type.shape.map((_, axis) => this.fileDim(x, axis));
    const listed = node.inputs[1]
      ? node.numbers(1)
      : sizes.flatMap((size, axis) => (size === 1 ? [axis] : []));
    const axes = listed.map((axis) => (axis < 0 ? axis + sizes.length : axis));
    if (sizes[place.axis] !== 1 || !axes.includes(place.axis)) return undefined;
    const target = sizes.filter((_, axis) => !axes.includes(axis));
    return target.length > 0 ? this.#reshapeTo(node, x, place, target) : this.#refuse(node);
  }

  /** Expand of what has the batch: 1 in its axis leaves it. */
  #expand(node: NodeCall, x: Value, place: Place): NodeCall | undefined {
    const sizes = node.numbers(1);
    const axis = place.axis + sizes.length - x.type.shape.length;
    if (axis < 0 || sizes[axis] === 1) return undefined;
    if (sizes[axis] !== this.fileDim(x, place.axis)) return this.#refuse(node);
    return node.with({ inputs: [x, node.b.ints(sizes.with(axis, 1))] });
  }

  /** Whether what is the same for all images is expanded to the file's batch, of more than one. */
  #isBatchExpand(node: NodeCall, x: Value | undefined): boolean {
    const sizes = node.constant(1)?.data;
    if (!x || !sizes || this.placeOf(x) || this.#fileBatch === 1) return false;
    const isOne =
      sizes.length > x.type.shape.length || (sizes.length === x.type.shape.length && x.type.shape[0] === 1);
    return sizes.length > 1 && sizes[0] === this.#fileBatch && isOne;
  }

  #expandToBatch(node: NodeCall): NodeCall {
    const [x, sizes] = [node.value(0), node.numbers(1)];
    const whole = node.b.expand(x, sizes.with(0, 1));
    const { image } = node.ctx;
    const stretched = stretchToBatch(node.ctx, whole, { axis: 0, before: 1, after: 1 }, image);
    this.follow(node);
    return node.with({ operator: "Identity", inputs: [stretched] });
  }

  /** The whole of the batch's axis, by the file's size of it. */
  #slice(node: NodeCall, x: Value, place: Place): NodeCall | undefined {
    const [starts, ends] = [node.numbers(1), node.numbers(2)];
    const axes = node.inputs[3] ? node.numbers(3) : starts.map((_, i) => i);
    const at = axes.findIndex((axis) => (axis < 0 ? axis + x.type.shape.length : axis) === place.axis);
    if (at < 0 || starts[at] !== 0 || (ends[at] ?? 0) < this.fileDim(x, place.axis)) return undefined;
    const [, from, , ...rest] = node.inputs;
    return node.with({ inputs: [x, from, node.b.ints(ends.with(at, 2 ** 31 - 1)), ...rest] });
  }

  /** Inputs with the batch in one place; those that are the same for all images repeated where needed. */
  #withAlignedInputs(node: NodeCall, inputs: readonly (Value | undefined)[]): NodeCall {
    const follow = mapOfCall(node, inputs);
    if (!follow) return node;
    const moved = inputs.map((input, i) => input && this.#movedInput(node, input, (axis) => follow(i, axis)));
    const places = moved.map((input, i) => {
      const place = input && this.placeOf(input);
      return place && mapped(place, follow, i);
    });
    const target = places.find((place) => place !== undefined);
    if (!target) return node;
    const aligned = moved.map((input, i) => {
      if (!input || isSamePlace(places[i], target)) return input;
      const axis = input.type.shape.findIndex((_, each) => follow(i, each) === target.axis);
      if (axis < 0) return input;
      if (this.placeOf(input)) return this.#moved(node, input, axis);
      return this.#stretched(node, input, { ...target, axis });
    });
    return node.with({ inputs: aligned });
  }

  /** The input with its batch in an axis that the node does not mix, if it can be moved there. */
  #movedInput(node: NodeCall, input: Value, follow: (axis: number) => number | undefined): Value {
    const place = this.placeOf(input);
    if (!place || follow(place.axis) !== undefined || this.#fileBatch !== 1) return input;
    const free = input.type.shape.flatMap((_, axis) => (follow(axis) === undefined ? [] : [axis]));
    const axis = free.find((each) => this.fileDim(input, each) === 1) ?? free[0];
    return axis === undefined ? input : this.#moved(node, input, axis);
  }

  /** The batch (of 1 in the file) as the outer part of another axis. */
  #moved(node: NodeCall, x: Value, to: number): Value {
    const place = this.placeOf(x);
    if (!place || this.#fileBatch !== 1) return x;
    const { axis, before, after } = place;
    const { b } = node;
    const sizes = x.type.shape.map((_, each) => this.fileDim(x, each));
    const apart = b.reshape(x, [...sizes.slice(0, axis), before, -1, after, ...sizes.slice(axis + 1)]);
    const others = Array.from({ length: sizes.length + 2 }, (_, i) => i).filter((i) => i !== axis + 1);
    const at = to <= axis ? to : to + 1;
    const turned = b.transpose(apart, others.toSpliced(at, 0, axis + 1));
    const result = b.reshape(turned, sizes.with(to, -1));
    this.follow(node);
    return result;
  }

  /** What is the same for all images, of the file's batch in an axis, for ours. */
  #stretched(node: NodeCall, x: Value, place: Place): Value {
    const size = this.fileDim(x, place.axis);
    const whole = place.before * this.#fileBatch * place.after;
    const mustMatch = SAME_SHAPES.includes(node.operator);
    if (size !== whole || (size === 1 && !mustMatch)) return x;
    const one = this.#fileBatch === 1 ? x : this.#ofOneImage(node, x, place);
    const result = stretchToBatch(node.ctx, one, place, node.ctx.image);
    this.follow(node);
    return result;
  }

  /**
   * What repeats itself for each image of the file's batch, once: a constant, or what is computed from
   * constants (a projected position grid).
   */
  #ofOneImage(node: NodeCall, x: Value, { axis, before, after }: Place): Value {
    const { b } = node;
    const data = b.constantData(x) ?? valueOfConstants(b, x);
    if (!data) return this.#refuse(node);
    const outer = product(data.shape.slice(0, axis)) * before;
    const inner = after * product(data.shape.slice(axis + 1));
    const one = firstOfEach(data.data, { outer, inner, count: this.#fileBatch });
    if (!one) return this.#refuse(node);
    const shape = data.shape.with(axis, before * after);
    if (b.constantData(x)) return b.constant({ dtype: data.dtype, shape, data: one });
    const apart = b.reshape(x, [outer, this.#fileBatch, inner]);
    return b.reshape(b.slice(apart, [0], [1], [1]), shape);
  }

  #refuse(node: NodeCall): never {
    const images = this.#fileBatch === 1 ? "1 image" : `${this.#fileBatch} images`;
    return node.fail(
      "E_MODEL_SHAPE",
      `the file fixes its batch to ${images}, and here images cannot be told apart`,
      "export it with a batch that is dynamic (dynamic_shapes, or dynamic_axes), or name a value before this node as `output`",
    );
  }
}

function isSamePlace(a: Place | undefined, b: Place | undefined): boolean {
  return a?.axis === b?.axis && a?.before === b?.before && a?.after === b?.after;
}

function mapped(place: Place, follow: AxisMap, input: number): Place | undefined {
  const axis = follow(input, place.axis);
  return axis === undefined ? undefined : { ...place, axis };
}

/**
 * The place in `axis` of `sizes` (the batch counted as `batch`) with `outer` elements outside the batch, if
 * it can lie there.
 */
function placeWithin(
  sizes: readonly number[],
  axis: number,
  outer: number,
  batch: number,
): Place | undefined {
  const before = outer / product(sizes.slice(0, axis));
  const after = (sizes[axis] ?? 1) / before / batch;
  return Number.isInteger(before) && Number.isInteger(after) && after > 0
    ? { axis, before, after }
    : undefined;
}

/**
 * The axis of a reshape's target that holds the batch. For a batch of 1 several can: one of size 1 is the
 * batch's own; else it is merged with what follows it (windows, heads) or with what is before; channels,
 * which come last, only if nothing else is left.
 */
function bestAxis(target: readonly number[], outer: number, batch: number): number | undefined {
  const last = target.length - 1;
  const rated = target.flatMap((size, axis) => {
    const place = placeWithin(target, axis, outer, batch);
    if (!place || place.before * place.after * batch !== size) return [];
    const isOwn = place.before === 1 && place.after === 1;
    const rating = isOwn ? 0 : axis === last ? 3 : place.before === 1 ? 1 : 2;
    return [{ axis, rating }];
  });
  const [first] = rated.sort((a, b) => a.rating - b.rating || a.axis - b.axis);
  return first?.axis;
}

/**
 * The first of `count` equal parts of `inner` numbers, for each of `outer` groups; undefined where they are
 * not equal.
 */
function firstOfEach(
  data: TensorData["data"],
  { outer, inner, count }: { readonly outer: number; readonly inner: number; readonly count: number },
): Float64Array | undefined {
  const one = new Float64Array(outer * inner);
  const isRepeated = data.every((number, i) => {
    const [row, column] = [Math.floor(i / (inner * count)), i % inner];
    const isFirst = Math.floor(i / inner) % count === 0;
    if (isFirst) one[row * inner + column] = number;
    return isFirst || one[row * inner + column] === number;
  });
  return isRepeated ? one : undefined;
}

/** The numbers of a value that depends on constants alone; undefined where it does not, or is too large. */
function valueOfConstants(b: GraphBuilder, value: Value): TensorData | undefined {
  const needed = new Set<Value>([value]);
  const nodes = b.nodes.toReversed().filter(({ inputs, outputs }) => {
    if (!outputs.some((output) => needed.has(output))) return false;
    for (const input of inputs) if (input) needed.add(input);
    return true;
  });
  const made = new Set(nodes.flatMap(({ outputs }) => outputs));
  const constants = new Map<Value, TensorData>();
  for (const each of needed) {
    const data = b.constantData(each);
    if (data) constants.set(each, data);
    else if (!made.has(each)) return undefined;
    if (product(each.type.shape) > MAX_FOLDED_ELEMENTS) return undefined;
  }
  const outputs = [{ name: "value", value }];
  return interpret(
    { name: "constants", inputs: [], constants, nodes: nodes.reverse(), outputs },
    new Map(),
  ).get("value");
}

function numbersOf(node: NodeCall, value: Value | undefined): readonly number[] | undefined {
  const data = node.b.constantData(value)?.data;
  return data && Array.from(data);
}

/** The axis map of a node that is still to be emitted; undefined for an operator that is not in the table. */
function mapOfCall(node: NodeCall, inputs: readonly (Value | undefined)[]): AxisMap | undefined {
  const op = node.b.ops.get(node.operator);
  if (!op || SAME_ORDER.includes(op.name)) return undefined;
  const attrs: Record<string, Attrs[string]> = {};
  for (const [name, spec] of Object.entries(op.attrs)) {
    const { kind } = spec;
    // A compulsory one that is missing is told where the node is emitted.
    if (!node.has(name) && spec.default === undefined) return undefined;
    if (!node.has(name) || (op.name === "Cast" && name === "to")) continue;
    if (kind === "int") attrs[name] = node.int(name);
    if (kind === "ints") attrs[name] = node.ints(name);
    if (kind === "string") attrs[name] = node.string(name);
  }
  return axisMapOf({ op, inputs, attrs, numbers: (i) => numbersOf(node, inputs[i]) });
}

function product(sizes: Shape): number {
  return sizes.reduce<number>((count, size) => count * Number(size), 1);
}
