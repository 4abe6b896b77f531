// The IR's rules, checked after every pass: unique names, definition before use, attributes and types as the
// ops have them, only operators that the stage allows, an origin on every value. A broken rule is a fault of
// mttc, not of the user.
import { InternalError } from "../diagnostics.ts";
import { type AttrSpec, inferTypes } from "./op.ts";
import {
  type AttrValue,
  type Graph,
  type Node,
  sameType,
  type TensorData,
  type TensorType,
  typeText,
  type Value,
} from "./types.ts";

export interface VerifyOptions {
  /** Whether operators of our own (domain "mttc") are legal: true until lowering. */
  readonly allowOwnOps: boolean;
  /** Says in the error who made the graph: a pass and those before it. */
  readonly after: string;
  /** What earlier verifications found good of graphs that this one was made from. */
  readonly checked?: CheckedNodes | undefined;
}

/**
 * Nodes whose attributes and types are known to be right. Nodes and values never change, so one that a pass
 * has left as it was is right still, unless a constant that it reads has other numbers now.
 */
export class CheckedNodes {
  /** The constants that each node was checked with, by input. */
  readonly #nodes = new WeakMap<Node, readonly (TensorData | undefined)[]>();

  /** Whether the node was checked with the constants that it has in `graph`. */
  has(node: Node, graph: Graph): boolean {
    const known = this.#nodes.get(node);
    return known !== undefined && node.inputs.every((input, i) => known[i] === constantOf(input, graph));
  }

  add(node: Node, graph: Graph): void {
    this.#nodes.set(
      node,
      node.inputs.map((input) => constantOf(input, graph)),
    );
  }
}

function constantOf(input: Value | undefined, graph: Graph): TensorData | undefined {
  return input && graph.constants.get(input);
}

/** Throws an InternalError that names `options.after` and the first bad value. */
export function verifyGraph(graph: Graph, options: VerifyOptions): void {
  const defined = new Set<Value>();
  const names = new Set<string>();
  const fail = (message: string): never => {
    throw new InternalError(`graph ${graph.name}, after ${options.after}: ${message}`);
  };
  const define = (value: Value): void => {
    if (defined.has(value)) fail(`${value.name} is defined twice`);
    if (names.has(value.name)) fail(`two values are named ${value.name}`);
    if (value.origin === "") fail(`${value.name} has no origin`);
    defined.add(value);
    names.add(value.name);
  };
  for (const input of graph.inputs) define(input);
  for (const [value, data] of graph.constants) {
    define(value);
    if (!sameType(value.type, data))
      fail(`constant ${value.name} is ${typeText(value.type)}, its data ${typeText(data)}`);
    const count = data.shape.reduce((product, dim) => product * dim, 1);
    if (count !== data.data.length)
      fail(`constant ${value.name} has ${data.data.length} numbers for ${typeText(data)}`);
  }
  for (const node of graph.nodes) {
    for (const input of node.inputs) {
      if (input && !defined.has(input))
        fail(`${node.outputs[0]?.name} uses ${input.name} before it is defined`);
    }
    if (node.op.domain === "mttc" && !options.allowOwnOps)
      fail(`${node.outputs[0]?.name ?? node.op.name}: ${node.op.name} should have been lowered`);
    if (!options.checked?.has(node, graph)) {
      checkNode(graph, node, fail);
      options.checked?.add(node, graph);
    }
    for (const output of node.outputs) define(output);
  }
  const outputNames = new Set<string>();
  for (const { name, value } of graph.outputs) {
    if (!defined.has(value)) fail(`output ${name} is ${value.name}, which nothing defines`);
    if (outputNames.has(name)) fail(`two outputs are named ${name}`);
    outputNames.add(name);
  }
}

function checkNode(graph: Graph, node: Node, fail: (message: string) => never): void {
  const name = node.outputs[0]?.name ?? node.op.name;
  const required = node.op.inputs.filter((input) => !/[?*]$/.test(input)).length;
  if (node.inputs.slice(0, required).some((input) => input === undefined) || node.inputs.length < required)
    fail(`${name}: ${node.op.name} needs ${required} inputs`);
  if (node.inputs.length > node.op.inputs.length && !node.op.inputs.at(-1)?.endsWith("*"))
    fail(`${name}: ${node.op.name} takes ${node.op.inputs.length} inputs, has ${node.inputs.length}`);
  checkAttrs(node, name, fail);
  if (node.outputs.length === 0) fail(`${name}: ${node.op.name} has no outputs`);
  const types = inferredTypes(graph, node, name, fail);
  node.outputs.forEach((output, i) => {
    const type = types[i] ?? fail(`${name}: ${node.op.name} has no output ${i}`);
    if (output.origin !== node.outputs[0]?.origin)
      fail(`${output.name} is from ${output.origin}, its node from ${node.outputs[0]?.origin}`);
    if (!sameType(type, output.type))
      fail(`${output.name} is typed ${typeText(output.type)}, ${node.op.name} gives ${typeText(type)}`);
  });
}

function checkAttrs({ op, attrs }: Node, name: string, fail: (message: string) => never): void {
  for (const [attr, value] of Object.entries(attrs)) {
    const spec = op.attrs[attr] ?? fail(`${name}: ${op.name} has no attribute ${attr}`);
    if (!isOfKind(value, spec.kind))
      fail(`${name}: attribute ${attr} of ${op.name} is not of kind ${spec.kind}`);
  }
  for (const [attr, spec] of Object.entries(op.attrs))
    if (spec.default === undefined && !(attr in attrs)) fail(`${name}: ${op.name} needs attribute ${attr}`);
}

function isOfKind(value: AttrValue, kind: AttrSpec["kind"]): boolean {
  if (kind === "string") return typeof value === "string";
  const numbers = Array.isArray(value) ? value : [value];
  const isList = kind === "ints" || kind === "floats";
  const areInts = kind === "int" || kind === "ints";
  return (
    Array.isArray(value) === isList &&
    numbers.every((x) => typeof x === "number" && (!areInts || Number.isSafeInteger(x)))
  );
}

/** The types that the op gives; whatever its shape rule refuses is a fault of who made the graph. */
function inferredTypes(
  graph: Graph,
  node: Node,
  name: string,
  fail: (message: string) => never,
): readonly TensorType[] {
  try {
    return inferTypes(
      node.op,
      node.inputs.map((input) => input?.type),
      node.inputs.map((input) => input && graph.constants.get(input)),
      node.attrs,
      name,
    );
  } catch (error) {
    return fail(`${name}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
