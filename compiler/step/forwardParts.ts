// Parts of a graph that forward passes are made of: all that some outputs need; and a pass of the same batch
// once more, by other parameters, which is what depends on them: the rest (augmentation, frozen layers,
// counts, masks) is computed once for both passes.
import { need } from "../diagnostics.ts";
import type { GraphBuilder } from "../ir/builder.ts";
import type { Graph, Node, Output, Value } from "../ir/types.ts";

/** A graph in two: what is looked at again, and what the whole has to tell for that. */
export interface RepeatedPart {
  /** Its inputs have the names of the changed inputs and of `kept`, its outputs those that are wanted. */
  readonly graph: Graph;
  /** Further outputs of the whole: values that the part takes and that stay as they are. */
  readonly kept: readonly Output[];
}

/** The part of `graph` that its outputs `wanted` need, as far as that depends on the inputs `changed`. */
export function repeatedPart(
  graph: Graph,
  changed: ReadonlySet<string>,
  wanted: ReadonlySet<string>,
): RepeatedPart {
  const outputs = graph.outputs.filter(({ name }) => wanted.has(name));
  const sources = graph.inputs.filter(({ name }) => changed.has(name));
  const moved = new Set(sources);
  const depends = (value: Value | undefined): boolean => value !== undefined && moved.has(value);
  const moving = graph.nodes.filter(({ inputs, outputs: made }) => {
    const isMoved = inputs.some(depends);
    if (isMoved) for (const value of made) moved.add(value);
    return isMoved;
  });
  const nodes = neededFor(
    outputs.map(({ value }) => value),
    moving,
  );
  const taken = new Set([...nodes.flatMap(({ inputs }) => inputs), ...outputs.map(({ value }) => value)]);
  const kept = [...taken].filter((value): value is Value => value !== undefined && !moved.has(value));
  return {
    graph: { ...graph, inputs: [...sources, ...kept], constants: new Map(), nodes, outputs },
    kept: kept.map((value) => ({ name: keptName(value), value })),
  };
}

/** What of a graph its outputs `wanted` need, its inputs too. */
export function neededPart(graph: Graph, wanted: (output: Output) => boolean): Graph {
  const outputs = graph.outputs.filter(wanted);
  const results = outputs.map(({ value }) => value);
  const nodes = neededFor(results, graph.nodes);
  const taken = new Set([...nodes.flatMap(({ inputs }) => inputs), ...results]);
  return { ...graph, inputs: graph.inputs.filter((input) => taken.has(input)), nodes, outputs };
}

/**
 * Emits the part, with the values that `changedTo` gives by name and what `whole`, the inlined outputs of the
 * whole graph, has kept. Returns the wanted outputs by name.
 */
export function emitRepeated(
  b: GraphBuilder,
  { graph, kept }: RepeatedPart,
  changedTo: ReadonlyMap<string, Value>,
  whole: ReadonlyMap<string, Value>,
): ReadonlyMap<string, Value> {
  const ofWhole = kept.map(({ name, value }) => [value.name, need(whole.get(name), name)] as const);
  return b.inline(graph, new Map([...changedTo, ...ofWhole]));
}

function keptName({ name }: Value): string {
  return `kept/${name}`;
}

/** Those of `nodes`, in their order, that `values` are made by. */
function neededFor(values: readonly Value[], nodes: readonly Node[]): readonly Node[] {
  const needed = new Set<Value | undefined>(values);
  const found = nodes.toReversed().filter(({ inputs, outputs }) => {
    if (!outputs.some((output) => needed.has(output))) return false;
    for (const input of inputs) needed.add(input);
    return true;
  });
  return found.reverse();
}
