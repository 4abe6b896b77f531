// Exporters merge initializers that hold equal numbers: of a network fresh from its constructor all zero
// biases, all ones of norms, all running means. Trained, they must be apart: one copy for each use, as the
// network had them. What was shared on purpose (a kernel of two convolutions) holds numbers that no two
// tensors have by chance, and stays one. In: an imported graph; out: the same graph, constants apart.
import { isPathOfModule, sourceOf, type TensorSource, type TensorSources } from "../ir/tensorSource.ts";
import type { Graph, Node, TensorData, Value } from "../ir/types.ts";
import { isUniform } from "./numberPatterns.ts";
import { placeOf, type Use } from "./tensorUses.ts";

export interface UntiedGraph {
  readonly graph: Graph;
  readonly sources: TensorSources;
  /** Constants that were one in the file, by its name there; those that stay one have one. */
  readonly shared: ReadonlyMap<string, readonly Value[]>;
}

/** One tensor of the file by all the names that it has there, with everything that reads it. */
interface SharedTensor {
  readonly root: Value;
  readonly data: TensorData;
  readonly uses: readonly NamedUse[];
}

interface NamedUse extends Use {
  /** The tensor under the name that it is read by. */
  readonly value: Value;
}

/**
 * Gives a copy of its own to each use of a tensor that exporters merge: statistics of batch norms, with their
 * scale and bias; all that holds one number throughout. Weights of Keras layers are shared where a layer is
 * called twice: only its statistics are separated.
 */
export function untieTensors(graph: Graph, sources: TensorSources): UntiedGraph {
  const inputs = new Map<Node, Map<number, Value>>();
  const constants = new Map(graph.constants);
  const newSources = new Map(sources);
  const free = nameGiver(graph);
  const shared = new Map<string, Value[]>();
  const put = ({ node, index }: Use, value: Value): void => {
    inputs.set(node, (inputs.get(node) ?? new Map<number, Value>()).set(index, value));
  };
  for (const { root, data, uses } of sharedTensors(graph, sources)) {
    const source = sourceOf(sources, uses[0]?.value.name ?? root.name);
    const apart = uses.filter((use) => isMerged(use, data, source));
    const together = uses.filter((use) => !apart.includes(use));
    for (const use of together) put(use, root);
    if (together.length > 0) {
      constants.set(root, data);
      newSources.set(root.name, { kind: source.kind });
    }
    const given = new Set<Value>(together.length > 0 ? [root] : []);
    // What a node reads twice for itself, Where(c, x, x), is one use, unless its places are parameters.
    const ofNode = new Map<Node, Value>();
    for (const use of apart) {
      const again = placeOf(use) === undefined ? ofNode.get(use.node) : undefined;
      if (again) {
        put(use, again);
        continue;
      }
      const isFree = isNumber(use, data) || !given.has(use.value);
      const own = isFree ? use.value : { ...use.value, name: free(`${use.value.name}@${placeName(use)}`) };
      given.add(own);
      constants.set(own, data);
      // A merged tensor has the name of one; what that was says nothing of the others.
      const isClaimed = (source.kind === "parameter" || source.kind === "buffer") && apart.length > 1;
      const kind = isClaimed ? "initializer" : source.kind;
      newSources.set(own.name, own === root ? { kind } : { kind, aliasOf: root.name });
      put(use, own);
      ofNode.set(use.node, own);
    }
    const readers = new Set(uses.map((use) => (placeOf(use) === undefined ? use.node : use)));
    if (readers.size > 1) shared.set(root.name, [...given]);
  }
  const nodes = graph.nodes.map((node) => {
    const own = inputs.get(node);
    return own ? { ...node, inputs: node.inputs.map((input, i) => own.get(i) ?? input) } : node;
  });
  const used = new Set(nodes.flatMap((node) => node.inputs));
  const kept = [...constants].filter(([value]) => used.has(value));
  return { graph: { ...graph, nodes, constants: new Map(kept) }, sources: newSources, shared };
}

/** Float tensors that are read in more than one place, or under another name than their own. */
function sharedTensors(graph: Graph, sources: TensorSources): SharedTensor[] {
  const roots = new Map([...graph.constants.keys()].map((value) => [value.name, value]));
  const shared = new Map<Value, { readonly data: TensorData; readonly uses: NamedUse[] }>();
  for (const node of graph.nodes)
    node.inputs.forEach((value, index) => {
      const data = value && graph.constants.get(value);
      if (!value || data?.dtype !== "float32") return;
      const name = sourceOf(sources, value.name).aliasOf ?? value.name;
      const root = roots.get(name) ?? { ...value, name };
      roots.set(name, root);
      const uses: NamedUse[] = shared.get(root)?.uses ?? [];
      uses.push({ node, index, value });
      shared.set(root, { data, uses });
    });
  return [...shared].flatMap(([root, { data, uses }]) =>
    uses.length > 1 || uses[0]?.value !== root ? [{ root, data, uses }] : [],
  );
}

/** Whether a use shares its numbers with others only because an exporter found them equal. */
function isMerged(use: NamedUse, data: TensorData, { kind }: TensorSource): boolean {
  const place = placeOf(use);
  if (place === "running_mean" || place === "running_var") return true;
  // Of a batch norm everything is its own.
  const isOfBatchNorm = use.node.op.traits.includes("runningStatistics") && place !== undefined;
  if (kind === "weight" || kind === "made") return false;
  if (isOfBatchNorm) return true;
  if (isNumber(use, data)) return isPathOfModule(use.value.name);
  return kind !== "constant" && isUniform(data);
}

/** Whether a use is of a single number that no layer expects: copies go by names, formulas repeat numbers. */
function isNumber(use: Use, data: TensorData): boolean {
  return data.data.length === 1 && placeOf(use) === undefined;
}

/** A place by the node's result and the operator's own name of the input: `n1.scale`. */
function placeName({ node, index }: Use): string {
  const input = node.op.inputs[Math.min(index, node.op.inputs.length - 1)] ?? String(index);
  return `${node.outputs[0]?.name ?? node.op.name}.${input.replace(/[?*]$/, "")}`;
}

/** Makes names that no value of the graph has. */
function nameGiver(graph: Graph): (base: string) => string {
  const values = [...graph.inputs, ...graph.constants.keys(), ...graph.nodes.flatMap((node) => node.outputs)];
  const taken = new Set(values.map(({ name }) => name));
  return (base) => {
    let name = base;
    for (let suffix = 2; taken.has(name); suffix++) name = `${base}:${suffix}`;
    taken.add(name);
    return name;
  };
}
