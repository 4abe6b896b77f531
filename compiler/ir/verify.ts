// The IR's rules, checked after every pass: unique names, definition before use, types as the ops infer them, only
// operators that the stage allows, an origin on every value. A broken rule is a fault of mttc, not of the user.
import { InternalError } from "../diagnostics.ts";
import { inferTypes } from "./op.ts";
import { type Graph, type Node, sameType, typeText, type Value } from "./types.ts";

export interface VerifyOptions {
  /** Whether operators of our own (domain "mttc") are legal: true until lowering. */
  readonly allowOwnOps: boolean;
  /** Says in the error who made the graph: a pass and those before it. */
  readonly after: string;
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
    checkNode(graph, node, options, fail);
    for (const output of node.outputs) define(output);
  }
  const outputNames = new Set<string>();
  for (const { name, value } of graph.outputs) {
    if (!defined.has(value)) fail(`output ${name} is ${value.name}, which nothing defines`);
    if (outputNames.has(name)) fail(`two outputs are named ${name}`);
    outputNames.add(name);
  }
}

function checkNode(graph: Graph, node: Node, options: VerifyOptions, fail: (message: string) => never): void {
  const name = node.outputs[0]?.name ?? node.op.name;
  if (node.op.domain === "mttc" && !options.allowOwnOps)
    fail(`${name}: ${node.op.name} should have been lowered`);
  const required = node.op.inputs.filter((input) => !/[?*]$/.test(input)).length;
  if (node.inputs.slice(0, required).some((input) => input === undefined) || node.inputs.length < required)
    fail(`${name}: ${node.op.name} needs ${required} inputs`);
  if (node.inputs.length > node.op.inputs.length && !node.op.inputs.at(-1)?.endsWith("*"))
    fail(`${name}: ${node.op.name} takes ${node.op.inputs.length} inputs, has ${node.inputs.length}`);
  for (const attr of Object.keys(node.attrs))
    if (!node.op.attrs[attr]) fail(`${name}: ${node.op.name} has no attribute ${attr}`);
  const types = inferTypes(
    node.op,
    node.inputs.map((input) => input?.type),
    node.inputs.map((input) => input && graph.constants.get(input)),
    node.attrs,
    name,
  );
  node.outputs.forEach((output, i) => {
    const type = types[i] ?? fail(`${name}: ${node.op.name} has no output ${i}`);
    if (!sameType(type, output.type))
      fail(`${output.name} is typed ${typeText(output.type)}, ${node.op.name} gives ${typeText(type)}`);
  });
}
