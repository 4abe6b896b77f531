// Builds a graph node by node. Names come from origins ("shared_layers[0]/Conv"), never from counters of the
// process, so the same calls give the same graph. The short methods at the end are the vocabulary in which
// models, derivatives, lowerings and optimizers are written.
import { InternalError, need } from "../diagnostics.ts";
import { contentKey, contentName, isUnnamedConstant } from "./constantNames.ts";
import { inferTypes, type OpTable } from "./op.ts";
import type { OpName } from "./opNames.ts";
import type { GraphPurpose, TensorRole } from "./roles.ts";
import type { Attrs, DType, Graph, Node, Output, Region, TensorData, TensorType, Value } from "./types.ts";

export class GraphBuilder {
  readonly ops: OpTable;
  readonly #name: string;
  readonly #purpose: GraphPurpose | undefined;
  readonly #inputs: Value[] = [];
  readonly #constants = new Map<Value, TensorData>();
  readonly #constantsByContent = new Map<string, Value>();
  readonly #nodes: Node[] = [];
  readonly #outputs: Output[] = [];
  readonly #names = new Set<string>();
  /** Last number that was appended to a name which was taken. */
  readonly #suffixes = new Map<string, number>();
  readonly #values = new Set<Value>();
  /** Names that nodes still to be adopted will bring: nothing else may take them. */
  readonly #reserved = new Set<string>();
  /** The graph that this one is a copy of so far, until something is made that it has not. */
  #copied: Graph | undefined;
  #origin: string;
  #region: Region | undefined;

  /** `purpose`: of a graph that a bundle will hold. */
  constructor(name: string, ops: OpTable, purpose?: GraphPurpose) {
    this.#name = name;
    this.#purpose = purpose;
    this.#origin = name;
    this.ops = ops;
  }

  /**
   * A builder that goes on where `graph` ends: its inputs, constants, nodes and outputs are there already.
   */
  static extend(graph: Graph, ops: OpTable, name = graph.name): GraphBuilder {
    const b = new GraphBuilder(name, ops, graph.purpose);
    for (const input of graph.inputs) b.adoptInput(input);
    for (const [value, data] of graph.constants) b.adoptConstant(value, data);
    for (const node of graph.nodes) b.adoptNode(node);
    b.#outputs.push(...graph.outputs);
    return b;
  }

  /**
   * A builder with the inputs and constants of `graph`, which takes over its nodes in their order or others in
   * their place. It costs nothing until something new is made: a rewriting that finds nothing to do, which
   * most are, names no value again.
   */
  static rewriting(graph: Graph, ops: OpTable): GraphBuilder {
    const b = new GraphBuilder(graph.name, ops, graph.purpose);
    b.#copied = graph;
    b.#inputs.push(...graph.inputs);
    for (const [value, data] of graph.constants) b.#constants.set(value, data);
    return b;
  }

  /** Keeps the names of `graph`'s nodes free for adoptNode, whatever is emitted before. */
  reserveNames(graph: Graph): void {
    this.#enterCopied();
    for (const node of graph.nodes) for (const output of node.outputs) this.#reserved.add(output.name);
  }

  get nodes(): readonly Node[] {
    return this.#nodes;
  }

  /** The origin given to what is emitted next. */
  get origin(): string {
    return this.#origin;
  }

  /** Runs `body` with another origin for all that it emits, and another region where one is given. */
  within<T>(origin: string, body: () => T, region: Region | undefined = this.#region): T {
    const outer = [this.#origin, this.#region] as const;
    [this.#origin, this.#region] = [origin, region];
    try {
      return body();
    } finally {
      [this.#origin, this.#region] = outer;
    }
  }

  /** Declares a graph input; its name is taken as it is. `role`: what it is for, in a graph of a bundle. */
  input(name: string, dtype: DType, shape: TensorType["shape"], role?: TensorRole): Value {
    this.#enterCopied();
    return this.#adopt({ ...this.#place(name, { dtype, shape }), role }, this.#inputs);
  }

  /** Declares a graph output; `role` as of an input. */
  output(name: string, value: Value, role?: TensorRole): void {
    this.#outputs.push({ name, value, role });
  }

  /**
   * A constant; equal ones of up to 64 elements, or of one number throughout, are shared unless they are
   * given a name.
   */
  constant(data: TensorData, name?: string): Value {
    this.#enterCopied();
    const wanted = name ?? contentName(data, this.#origin);
    const known = this.#constantsByContent.get(contentKey(data, wanted));
    if (known && name === undefined) return known;
    const value = this.#place(this.#unique(wanted), { dtype: data.dtype, shape: data.shape });
    this.#values.add(value);
    this.#keepConstant(value, data);
    return value;
  }

  /** The numbers behind a constant value, if it is one. */
  constantData(value: Value | undefined): TensorData | undefined {
    return value && this.#constants.get(value);
  }

  /**
   * Emits one node and returns all its outputs; `outputCount` asks for the optional ones (default: the first
   * only).
   */
  emitAll(
    opName: OpName,
    inputs: readonly (Value | undefined)[],
    attrs: Attrs = {},
    outputCount = 1,
  ): readonly Value[] {
    this.#enterCopied();
    const op = this.ops.get(opName);
    if (!op) throw new InternalError(`no operator ${opName} in the table`);
    for (const input of inputs)
      if (input && !this.#values.has(input))
        throw new InternalError(`${opName}: ${input.name} is not of this graph`);
    const types = inferTypes(
      op,
      inputs.map((input) => input?.type),
      inputs.map((input) => this.constantData(input)),
      attrs,
      this.#origin,
    );
    const base = this.#unique(`${this.#origin}/${op.name}`);
    const outputs = types.slice(0, outputCount).map((type, i) => {
      const name =
        i === 0 ? base : this.#unique(`${base}.${(op.outputs[i] ?? String(i)).replace(/[?*]$/, "")}`);
      const value = this.#place(name, type);
      this.#values.add(value);
      return value;
    });
    this.#nodes.push({ op, inputs, outputs, attrs });
    return outputs;
  }

  /** Emits one node and returns its first output. */
  emit(opName: OpName, inputs: readonly (Value | undefined)[], attrs: Attrs = {}): Value {
    return need(this.emitAll(opName, inputs, attrs)[0], opName);
  }

  /** Takes over an input of another graph as it is. */
  adoptInput(input: Value): void {
    this.#enterCopied();
    this.#adopt(input, this.#inputs);
  }

  /** The input of that name, if there is one. */
  findInput(name: string): Value | undefined {
    return this.#inputs.find((input) => input.name === name);
  }

  /** The constant that was given that name, if there is one. */
  findConstant(name: string): Value | undefined {
    return [...this.#constants.keys()].find((constant) => constant.name === name);
  }

  /** Takes over a node of another graph as it is; its inputs must be here already. */
  adoptNode(node: Node): void {
    if (!this.#copied) for (const output of node.outputs) this.#adopt(output);
    this.#nodes.push(node);
  }

  adoptConstant(value: Value, data: TensorData): void {
    this.#enterCopied();
    this.#keepConstant(this.#adopt(value), data);
  }

  /**
   * Copies `graph` into this one. Inputs named in `feeds` become those values; the others become inputs here,
   * or the input of the same name where one exists. Returns the outputs by name.
   */
  inline(graph: Graph, feeds: ReadonlyMap<string, Value>): Map<string, Value> {
    this.#enterCopied();
    const here = new Map<Value, Value>();
    const map = (value: Value): Value => need(here.get(value), value.name);
    for (const input of graph.inputs) {
      const known = feeds.get(input.name) ?? this.findInput(input.name);
      here.set(input, known ?? this.#adopt(input, this.#inputs));
    }
    for (const [value, data] of graph.constants) {
      if (this.#names.has(value.name)) here.set(value, this.constant(data));
      else this.adoptConstant(this.#mapTo(here, value), data);
    }
    for (const node of graph.nodes) {
      const outputs = node.outputs.map((output) => {
        const copy = this.#names.has(output.name) ? { ...output, name: this.#unique(output.name) } : output;
        if (copy !== output) this.#values.add(copy);
        else this.#adopt(copy);
        here.set(output, copy);
        return copy;
      });
      this.#nodes.push({ ...node, inputs: node.inputs.map((input) => input && map(input)), outputs });
    }
    return new Map(graph.outputs.map((output) => [output.name, map(output.value)]));
  }

  /** The finished graph. */
  build(): Graph {
    return {
      name: this.#name,
      purpose: this.#purpose,
      inputs: [...this.#inputs],
      constants: new Map(this.#constants),
      nodes: [...this.#nodes],
      outputs: [...this.#outputs],
    };
  }

  /** A value that is made here. */
  #place(name: string, type: TensorType): Value {
    return { name, type, origin: this.#origin, region: this.#region };
  }

  #keepConstant(value: Value, data: TensorData): void {
    this.#constants.set(value, data);
    const key = isUnnamedConstant(value.name) ? contentKey(data, value.name) : "";
    if (key !== "" && !this.#constantsByContent.has(key)) this.#constantsByContent.set(key, value);
  }

  #mapTo(here: Map<Value, Value>, value: Value): Value {
    here.set(value, value);
    return value;
  }

  /** Enters what was copied without being looked at; before anything is named, or asked for by name. */
  #enterCopied(): void {
    const graph = this.#copied;
    if (!graph) return;
    this.#copied = undefined;
    this.reserveNames(graph);
    for (const value of [...this.#inputs, ...this.#constants.keys()]) this.#adopt(value);
    for (const [value, data] of this.#constants) this.#keepConstant(value, data);
    for (const { outputs } of this.#nodes) for (const output of outputs) this.#adopt(output);
  }

  #adopt(value: Value, into?: Value[]): Value {
    this.#reserved.delete(value.name);
    if (this.#names.has(value.name)) throw new InternalError(`two values named ${value.name}`);
    this.#names.add(value.name);
    this.#values.add(value);
    into?.push(value);
    return value;
  }

  /**
   * `base`, or with the first number from 2 on that makes a name which nothing has and nothing will bring.
   */
  #unique(base: string): string {
    const isFree = (name: string) => !this.#names.has(name) && !this.#reserved.has(name);
    let name = base;
    if (!isFree(base)) {
      let suffix = this.#suffixes.get(base) ?? 1;
      do name = `${base}:${++suffix}`;
      while (!isFree(name));
      this.#suffixes.set(base, suffix);
    }
    this.#names.add(name);
    return name;
  }

  // ------------------------------------------------------------------ vocabulary
  scalar(value: number, dtype: DType = "float32"): Value {
    return this.constant({ dtype, shape: [], data: Float64Array.of(value) });
  }
  ints(values: readonly number[]): Value {
    return this.constant({ dtype: "int64", shape: [values.length], data: Float64Array.from(values) });
  }
  add(x: Value, y: Value): Value {
    return this.emit("Add", [x, y]);
  }
  sub(x: Value, y: Value): Value {
    return this.emit("Sub", [x, y]);
  }
  mul(x: Value, y: Value): Value {
    return this.emit("Mul", [x, y]);
  }
  div(x: Value, y: Value): Value {
    return this.emit("Div", [x, y]);
  }
  neg(x: Value): Value {
    return this.emit("Neg", [x]);
  }
  where(condition: Value, x: Value, y: Value): Value {
    return this.emit("Where", [condition, x, y]);
  }
  cast(x: Value, dtype: DType): Value {
    return x.type.dtype === dtype ? x : this.emit("Cast", [x], { to: dtype });
  }
  reshape(x: Value, shape: readonly number[]): Value {
    return this.emit("Reshape", [x, this.ints(shape)]);
  }
  transpose(x: Value, perm: readonly number[]): Value {
    return this.emit("Transpose", [x], { perm });
  }
  reduceSum(x: Value, axes: readonly number[], keepdims: 0 | 1): Value {
    return this.emit("ReduceSum", [x, this.ints(axes)], { keepdims });
  }
  reduceMean(x: Value, axes: readonly number[], keepdims: 0 | 1): Value {
    return this.emit("ReduceMean", [x, this.ints(axes)], { keepdims });
  }
  expand(x: Value, shape: readonly number[]): Value {
    return this.emit("Expand", [x, this.ints(shape)]);
  }
  slice(
    x: Value,
    starts: readonly number[],
    ends: readonly number[],
    axes: readonly number[],
    steps?: readonly number[],
  ): Value {
    const more = steps ? [this.ints(steps)] : [];
    return this.emit("Slice", [x, this.ints(starts), this.ints(ends), this.ints(axes), ...more]);
  }
}
