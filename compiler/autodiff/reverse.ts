// Reverse-mode differentiation as a transformation of a graph: appends, to the builder that holds the forward
// graph, the nodes that compute the gradient of one scalar. Each op's `vjp` knows its own part; this file
// only walks.
import { InternalError, MttcError, need } from "../diagnostics.ts";
import type { GraphBuilder } from "../ir/builder.ts";
import { readAttrs, type VjpContext } from "../ir/op.ts";
import {
  concreteShape,
  elementCount,
  isFloat,
  type Node,
  sameType,
  typeText,
  type Value,
} from "../ir/types.ts";

/**
 * Gradient of `objective` (a float scalar) with respect to each of `parameters`, same shape and dtype as
 * they. A parameter that the objective does not depend on gets zeros. E_NOT_DIFFERENTIABLE names the node,
 * its operator and its origin when an operator without a derivative lies between them. An InternalError
 * where a derivative gives cotangents of another number, shape or dtype than the node's inputs: they would
 * broadcast, or count as zero, without a word.
 */
export function appendGradients(
  b: GraphBuilder,
  objective: Value,
  parameters: readonly Value[],
): Map<Value, Value> {
  if (!isFloat(objective.type.dtype) || objective.type.shape.length > 0)
    throw new InternalError(`${objective.name} is ${typeText(objective.type)}, an objective a float scalar`);
  const seed = b.within(`gradient(${objective.origin})`, () => b.scalar(1, objective.type.dtype));
  const cotangents = appendCotangents(b, objective, seed, parameters);
  return new Map(
    parameters.map((parameter) => [parameter, cotangents.get(parameter) ?? zerosLike(b, parameter)]),
  );
}

/**
 * Cotangents of those of `sources` that `value` depends on, where `seed`, of its type, is that of `value`:
 * the gradient of sum(seed value). Sizes may be symbols as far as the operators' derivatives allow (E_SHAPE).
 * Errors as appendGradients.
 */
export function appendCotangents(
  b: GraphBuilder,
  value: Value,
  seed: Value,
  sources: readonly Value[],
): Map<Value, Value> {
  return need(appendSweeps(b, [{ value, seed }], sources)[0], value.name);
}

/** A value and its cotangent, of one type. */
export interface SeededValue {
  readonly value: Value;
  readonly seed: Value;
}

/**
 * The same for several values, each by itself, in one walk: what the derivatives of a node have in common is
 * computed once, and what only that node's derivatives need of the forward pass is free after it.
 */
export function appendSweeps(
  b: GraphBuilder,
  seeded: readonly SeededValue[],
  sources: readonly Value[],
): readonly Map<Value, Value>[] {
  for (const { value, seed } of seeded)
    if (!sameType(value.type, seed.type))
      throw new InternalError(
        `${value.name} is ${typeText(value.type)}, its cotangent ${typeText(seed.type)}`,
      );
  const nodes = [...b.nodes];
  const active = reachableFrom(sources, nodes);
  const sweeps = seeded.map(({ value, seed }) => new Map<Value, Value>([[value, seed]]));
  for (const node of nodes.toReversed()) {
    if (!node.inputs.some((input) => input && active.has(input))) continue;
    for (const cotangents of sweeps) {
      const incoming = node.outputs.map((output) => cotangents.get(output));
      if (!incoming.some(Boolean)) continue;
      const derive = (): void => {
        const outgoing = differentiateNode(b, node, incoming, active);
        node.inputs.forEach((input, i) => {
          const cotangent = outgoing[i];
          if (!input || !cotangent || !active.has(input)) return;
          const known = cotangents.get(input);
          cotangents.set(input, known ? b.add(known, cotangent) : cotangent);
        });
      };
      b.within(`gradient(${node.outputs[0]?.origin})`, derive, node.outputs[0]?.region);
    }
  }
  return sweeps.map((cotangents) => foundOf(sources, cotangents));
}

function foundOf(sources: readonly Value[], cotangents: ReadonlyMap<Value, Value>): Map<Value, Value> {
  return new Map(
    sources.flatMap((source) => {
      const cotangent = cotangents.get(source);
      return cotangent ? [[source, cotangent] as const] : [];
    }),
  );
}

function differentiateNode(
  b: GraphBuilder,
  node: Node,
  cotangents: readonly (Value | undefined)[],
  active: ReadonlySet<Value>,
): readonly (Value | undefined)[] {
  const { op } = node;
  if (typeof op.vjp !== "function") {
    if (op.vjp.isZero) return [];
    throw new MttcError({
      code: "E_NOT_DIFFERENTIABLE",
      message:
        `${op.name} lies on the way from the loss to a trained parameter and has no derivative: ` +
        op.vjp.notDifferentiable,
      at: { node: node.outputs[0]?.name ?? op.name, origin: node.outputs[0]?.origin ?? "" },
      hint: "freeze the part of the network up to this node",
    });
  }
  const present = (value: Value | undefined, what: string): Value => {
    if (!value) throw new InternalError(`${op.name}: the derivative asks for ${what}, which is absent`);
    return value;
  };
  const context: VjpContext = {
    b,
    inputs: node.inputs,
    outputs: node.outputs,
    cotangents,
    attrs: readAttrs(op, node.attrs),
    needs: node.inputs.map((input) => input !== undefined && active.has(input)),
    input: (index) => present(node.inputs[index], `input ${index}`),
    output: (index) => present(node.outputs[index], `output ${index}`),
    get dy() {
      return present(cotangents[0], "the cotangent of output 0");
    },
  };
  const outgoing = op.vjp(context);
  const fault = cotangentFault(node, outgoing, context.needs);
  if (fault !== undefined)
    throw new InternalError(`derivative of ${op.name} (${node.outputs[0]?.name}): ${fault}`);
  return outgoing;
}

/**
 * What is wrong with the number or the types of cotangents that a derivative gave. A cotangent has the type
 * of its input. There is an entry for every input that needs one, `undefined` if it is zero, and no value
 * for an input that the node does not have.
 */
export function cotangentFault(
  { inputs }: Pick<Node, "inputs">,
  cotangents: readonly (Value | undefined)[],
  needs: readonly boolean[],
): string | undefined {
  const needed = needs.lastIndexOf(true);
  if (cotangents.length <= needed)
    return `it gives ${cotangents.length} cotangents, and input ${needed} needs one`;
  for (const [i, cotangent] of cotangents.entries()) {
    const input = inputs[i];
    if (cotangent && !input) return `there is a cotangent of input ${i}, which is absent`;
    if (cotangent && input && !sameType(cotangent.type, input.type))
      return `the cotangent of input ${i} is ${typeText(cotangent.type)}, the input ${typeText(input.type)}`;
  }
  return undefined;
}

/** Float values that depend on any of `sources`: only they carry cotangents. */
function reachableFrom(sources: readonly Value[], nodes: readonly Node[]): Set<Value> {
  const active = new Set<Value>(sources);
  for (const node of nodes)
    if (node.inputs.some((input) => input && active.has(input)))
      for (const output of node.outputs) if (isFloat(output.type.dtype)) active.add(output);
  return active;
}

/** A constant of zeros of the value's type. */
export function zerosLike(b: GraphBuilder, value: Value): Value {
  const shape = concreteShape(value.type.shape);
  return b.constant({ dtype: value.type.dtype, shape, data: new Float64Array(elementCount(shape)) });
}
