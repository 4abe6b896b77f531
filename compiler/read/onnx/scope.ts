// Names of a foreign graph and what they stand for: the graph's own values, and those around it that a
// branch sees. Initializers become constants when they are first asked for, so that unused ones are never
// read.
import type { AttributeProto, NodeProto, TensorProto } from "../../codec/onnxSchema.ts";
import type { GraphBuilder } from "../../ir/builder.ts";
import type { TensorData } from "../../ir/types.ts";
import type { Imported } from "./nodeCall.ts";

export interface ScopeFields {
  /** Put before the names of values: "" for the file's own graph, else what the graph belongs to. */
  readonly prefix: string;
  readonly parent?: Scope;
  readonly initializers?: readonly TensorProto[];
  /** Versions of the operator sets by domain. */
  readonly opsets: ReadonlyMap<string, number>;
  /** Attributes of the call, inside a function. */
  readonly attributes?: ReadonlyMap<string, AttributeProto>;
  /** Branches and function bodies around this graph. */
  readonly depth: number;
}

export class Scope {
  readonly prefix: string;
  readonly opsets: ReadonlyMap<string, number>;
  readonly attributes: ReadonlyMap<string, AttributeProto> | undefined;
  readonly depth: number;
  readonly #parent: Scope | undefined;
  readonly #values = new Map<string, Imported>();
  readonly #initializers: ReadonlyMap<string, TensorProto>;

  constructor(fields: ScopeFields) {
    this.prefix = fields.prefix;
    this.opsets = fields.opsets;
    this.attributes = fields.attributes;
    this.depth = fields.depth;
    this.#parent = fields.parent;
    this.#initializers = new Map((fields.initializers ?? []).map((tensor) => [tensor.name, tensor]));
  }

  /** False if the name is taken in this graph. */
  define(name: string, value: Imported): boolean {
    if (this.#values.has(name)) return false;
    this.#values.set(name, value);
    return true;
  }

  /** What a name of this graph stands for, if it has been asked for already. */
  known(name: string): Imported | undefined {
    return this.#values.get(name);
  }

  /** What a name stands for, here or around; undefined if nothing has defined it yet. */
  find(name: string, b: GraphBuilder, read: (tensor: TensorProto) => TensorData): Imported | undefined {
    const known = this.#values.get(name);
    if (known) return known;
    const tensor = this.#initializers.get(name);
    if (!tensor) return this.#parent?.find(name, b, read);
    const constant = b.constant(read(tensor), `${this.prefix}${name}`);
    this.#values.set(name, constant);
    return constant;
  }
}

/** The nodes that the named results need, in order; branches need what they name from outside. */
export function neededNodes(nodes: readonly NodeProto[], results: Iterable<string>): NodeProto[] {
  const needed = new Set(results);
  const kept: NodeProto[] = [];
  for (const node of nodes.toReversed()) {
    if (!node.output.some((name) => name !== "" && needed.has(name))) continue;
    for (const name of namesRead(node)) needed.add(name);
    kept.push(node);
  }
  return kept.reverse();
}

/** Names that a node reads, also those that its branches read. */
export function namesRead(node: NodeProto): Set<string> {
  const names = new Set<string>();
  const pending = [node];
  for (let next = pending.pop(); next; next = pending.pop()) {
    for (const name of next.input) names.add(name);
    for (const { g } of next.attribute) {
      for (const inner of g?.node ?? []) pending.push(inner);
      for (const output of g?.output ?? []) names.add(output.name);
    }
  }
  return names;
}
