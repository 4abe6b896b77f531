// Which tensors a graph reads and writes in a step. What changes lies in two sets, "a" and "b": a graph reads
// one and writes the other. The groups flip on their own clocks: weights (with slots and the step counter)
// once per logical batch; batch-norm statistics, gradient accumulators and, where the next batch is copied
// while the present one is computed, a micro-batch's inputs once per micro-batch.
import { type GraphEntry, type Manifest, nextName, type StateEntry } from "../../compiler/bundle/manifest.ts";
import { InternalError } from "../../compiler/diagnostics.ts";
import { isBatchInput } from "./microBatch.ts";

type Side = "a" | "b";
const SIDES: readonly Side[] = ["a", "b"];
/** The set of accumulators that is always zero: a logical batch begins with it. */
const ZERO = "zero";

const GROUPS = ["weights", "statistics", "accumulators", "inputs"] as const;
export type Group = (typeof GROUPS)[number];

/** Tensor ids by the names of a graph's inputs and outputs, and a name for just these. */
export interface BoundTensors {
  readonly name: string;
  readonly inputs: Readonly<Record<string, string>>;
  readonly outputs: Readonly<Record<string, string>>;
}

export class Alternation {
  readonly #sides: Record<Group, Side> = { weights: "a", statistics: "a", accumulators: "a", inputs: "a" };
  readonly #groups = new Map<string, Group>();
  readonly #accumulators: ReadonlySet<string>;
  readonly #doublesInputs: boolean;

  /** `doublesInputs`: a micro-batch's inputs alternate, too. */
  constructor({ state, accumulators }: Manifest, doublesInputs: boolean) {
    this.#doublesInputs = doublesInputs;
    this.#accumulators = new Set(accumulators.map(({ name }) => name));
    for (const entry of state) this.#groups.set(entry.name, groupOfState(entry));
    for (const name of this.#accumulators) this.#groups.set(name, "accumulators");
  }

  /** Whether a graph's input is not state: somebody writes it before each run. */
  isWritten(name: string): boolean {
    return !this.#groups.has(name);
  }

  /** The tensor that holds a state tensor now. */
  current(name: string): string {
    return `${this.#sides[this.#groups.get(name) ?? missing(name)]}:${name}`;
  }

  /** The tensor of a graph's written input that the next run reads, or the one after it. */
  input(graph: string, name: string, run: "next" | "after" = "next"): string {
    const { inputs } = this.#sides;
    return this.#inputId(graph, name, run === "next" ? inputs : other(inputs));
  }

  /** The tensor of a graph's output that is not state. */
  output(graph: string, name: string): string {
    return localName(graph, name);
  }

  /** All tensors that a name stands for. */
  idsOfState(name: string): readonly string[] {
    const sides = this.#accumulators.has(name) ? [...SIDES, ZERO] : SIDES;
    return sides.map((side) => `${side}:${name}`);
  }

  idsOfInput(graph: string, name: string): readonly string[] {
    return [...new Set(SIDES.map((side) => this.#inputId(graph, name, side)))];
  }

  /**
   * What a graph's next run reads and writes; `fromZero` when the accumulators begin anew. The name tells
   * apart what differs, and nothing else.
   */
  bindingOf(graph: string, { inputs, outputs }: GraphEntry, fromZero: boolean): BoundTensors {
    const source = (name: string): string => {
      const group = this.#groups.get(name);
      if (group === undefined) return this.input(graph, name);
      return fromZero && group === "accumulators" ? `${ZERO}:${name}` : this.current(name);
    };
    const target = (name: string): string => {
      const state = stateOfOutput(name);
      if (state === undefined) return this.output(graph, name);
      return `${other(this.#sides[this.#groups.get(state) ?? missing(state)])}:${state}`;
    };
    const states = outputs.flatMap(({ name }) => stateOfOutput(name) ?? []);
    const used = new Set<Group | undefined>([
      ...inputs.map(({ name }) => this.#groups.get(name) ?? this.#groupOfInput(graph, name)),
      ...states.map((state) => this.#groups.get(state)),
    ]);
    const sides = GROUPS.filter((group) => used.has(group)).map((group) => this.#sides[group]);
    return {
      name: `${graph}:${sides.join("")}${fromZero ? ZERO : ""}`,
      inputs: Object.fromEntries(inputs.map(({ name }) => [name, source(name)])),
      outputs: Object.fromEntries(outputs.map(({ name }) => [name, target(name)])),
    };
  }

  /** What was written is from now on what is read. */
  flip(...groups: readonly Group[]): void {
    for (const group of groups)
      if (group !== "inputs" || this.#doublesInputs) this.#sides[group] = other(this.#sides[group]);
  }

  /** "inputs" for what alternates with the micro-batches. */
  #groupOfInput(graph: string, name: string): "inputs" | undefined {
    return this.#doublesInputs && !isEvaluation(graph) && isBatchInput(name) ? "inputs" : undefined;
  }

  #inputId(graph: string, name: string, side: Side): string {
    return this.#groupOfInput(graph, name) ? `${side}:${name}` : localName(graph, name);
  }
}

/** The state tensor whose next value an output is; undefined for other outputs. */
export function stateOfOutput(output: string): string | undefined {
  const prefix = nextName("");
  return output.startsWith(prefix) ? output.slice(prefix.length) : undefined;
}

function groupOfState(entry: StateEntry): Group {
  return entry.group === "statistic" ? "statistics" : "weights";
}

function other(side: Side): Side {
  return side === "a" ? "b" : "a";
}

function isEvaluation(graph: string): boolean {
  return graph.startsWith("evaluate");
}

/**
 * Tensors that are not state belong to the step's graphs together, and to those that evaluate each alone:
 * their batch differs.
 */
function localName(graph: string, name: string): string {
  return isEvaluation(graph) ? `${graph}:${name}` : name;
}

function missing(what: string): never {
  throw new InternalError(`there is no state tensor ${what}`);
}
