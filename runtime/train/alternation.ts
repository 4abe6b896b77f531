// Which tensors a graph reads and writes in a step. What changes lies in two sets, "a" and "b": a graph reads
// one and writes the other. The groups flip on their own clocks: weights (with slots and the step counter),
// and factors of losses after them, once per logical batch; batch-norm statistics, gradient accumulators,
// sums of losses and, where the next batch is copied while the present one is computed, a micro-batch's
// inputs once per micro-batch. Where the state of the last finished step must not be lost in the middle of
// the next one, statistics have a third set.
import type {
  EntryOf,
  GraphEntry,
  Manifest,
  StateEntry,
  TensorEntry,
} from "../../compiler/bundle/manifest.ts";
import { need } from "../../compiler/diagnostics.ts";
import type { RoleName } from "../../compiler/ir/roles.ts";

type Side = "a" | "b" | "c";
const SIDES: readonly Side[] = ["a", "b"];
const THREE_SIDES: readonly Side[] = ["a", "b", "c"];
/** The set of sums that is always zero: a round over a logical batch begins with it. */
const ZERO = "zero";

const GROUPS = ["weights", "factors", "statistics", "accumulators", "losses", "inputs"] as const;
export type Group = (typeof GROUPS)[number];

/** What differs from one micro-batch to the next as a whole. */
const BATCH_ROLES: ReadonlySet<RoleName> = new Set(["image", "features", "augment", "label", "mask"]);

/** Tensor ids by the names of a graph's inputs and outputs, and a name for just these. */
export interface BoundTensors {
  readonly name: string;
  readonly inputs: Readonly<Record<string, string>>;
  readonly outputs: Readonly<Record<string, string>>;
}

export interface AlternationOptions {
  /** A micro-batch's inputs alternate, too. */
  readonly doublesInputs: boolean;
  /** No run of a step writes what the step before it has left. */
  readonly keepsFinished: boolean;
}

export class Alternation {
  /** The sets that are read next. */
  readonly #sides = Object.fromEntries(GROUPS.map((group) => [group, "a"])) as Record<Group, Side>;
  /** Those that hold what the last finished step has left. */
  readonly #finished = { ...this.#sides };
  readonly #graphs: Manifest["graphs"];
  /** Groups of the state tensors. */
  readonly #groups: ReadonlyMap<string, Group>;
  /** What moves last in a step. */
  readonly #last: Group;
  readonly #options: AlternationOptions;

  constructor({ graphs, state }: Pick<Manifest, "graphs" | "state">, options: AlternationOptions) {
    this.#graphs = graphs;
    this.#options = options;
    this.#groups = new Map(state.map((entry) => [entry.name, groupOfState(entry)]));
    this.#last = [...this.#groups.values()].includes("factors") ? "factors" : "weights";
  }

  /** The tensor that holds a state tensor now. */
  current(name: string): string {
    return this.#read(name, need(this.#groups.get(name), name));
  }

  /** The tensor that holds what the last finished step has left of a state tensor. */
  finished(name: string): string {
    return `${this.#finished[need(this.#groups.get(name), name)]}:${name}`;
  }

  /** The tensor of a graph's written input that the next run reads, or the one after it. */
  input(graph: string, entry: TensorEntry, run: "next" | "after" = "next"): string {
    const next = this.#sides.inputs;
    return this.#inputId(graph, entry, run === "next" ? next : other(next));
  }

  /** The tensor of a graph's output that replaces none. */
  output(graph: string, { name }: TensorEntry): string {
    return this.#localName(graph, name);
  }

  /** All tensors that a state tensor alternates between. */
  idsOfState(name: string): readonly string[] {
    const group = this.#groups.get(name);
    return (group && this.#keepsThird(group) ? THREE_SIDES : SIDES).map((side) => `${side}:${name}`);
  }

  /** All tensors that an input of a graph stands for. */
  idsOfInput(graph: string, entry: TensorEntry): readonly string[] {
    const { role, name } = entry;
    if (role === "state") return this.idsOfState(name);
    if (isSum(entry)) return [...this.idsOfState(name), `${ZERO}:${name}`];
    return [...new Set(SIDES.map((side) => this.#inputId(graph, entry, side)))];
  }

  /**
   * What a graph's next run reads and writes; `fromZero` when the sums that it adds to begin anew. The name
   * tells apart what differs, and nothing else.
   */
  bindingOf(graph: string, fromZero: boolean): BoundTensors {
    const { inputs, outputs } = this.#graph(graph);
    const added = new Set(outputs.filter(isSum).map(replacedBy));
    const source = (entry: TensorEntry): string => {
      const group = this.#groupOf(graph, entry);
      if (fromZero && added.has(entry.name)) return `${ZERO}:${entry.name}`;
      return isKept(entry) ? this.#read(entry.name, need(group, entry.name)) : this.input(graph, entry);
    };
    const target = (entry: TensorEntry): string => {
      const replaced = replacedBy(entry);
      if (replaced === undefined) return this.output(graph, entry);
      return `${this.#written(need(this.#groupOf(graph, entry), replaced))}:${replaced}`;
    };
    const used = new Set([...inputs, ...outputs].map((entry) => this.#groupOf(graph, entry)));
    const replaced = outputs.filter((entry) => replacedBy(entry) !== undefined);
    const changed = new Set(replaced.map((entry) => this.#groupOf(graph, entry)));
    const sides = GROUPS.filter((group) => used.has(group)).map((group) => {
      const isChosen = this.#keepsThird(group) && changed.has(group);
      return `${this.#sides[group]}${isChosen ? this.#written(group) : ""}`;
    });
    return {
      name: `${graph}:${sides.join("")}${fromZero && added.size > 0 ? ZERO : ""}`,
      inputs: Object.fromEntries(inputs.map((entry) => [entry.name, source(entry)])),
      outputs: Object.fromEntries(outputs.map((entry) => [entry.name, target(entry)])),
    };
  }

  /** What was written is from now on what is read. */
  flip(...groups: readonly Group[]): void {
    for (const group of groups)
      if (group !== "inputs" || this.#options.doublesInputs) this.#sides[group] = this.#written(group);
    if (groups.includes(this.#last)) Object.assign(this.#finished, this.#sides);
  }

  /** The set that the next run writes. */
  #written(group: Group): Side {
    const now = this.#sides[group];
    if (!this.#keepsThird(group)) return other(now);
    const finished = this.#finished[group];
    return need(
      THREE_SIDES.find((side) => side !== now && side !== finished),
      "a third set",
    );
  }

  /** Whether a group changes several times in a step, and must not be lost meanwhile. */
  #keepsThird(group: Group): boolean {
    return group === "statistics" && this.#options.keepsFinished;
  }

  #read(name: string, group: Group): string {
    return `${this.#sides[group]}:${name}`;
  }

  /** The group that a border tensor alternates with; undefined where it stays where it is. */
  #groupOf(graph: string, entry: TensorEntry): Group | undefined {
    if (entry.role === "accumulator") return "accumulators";
    if (entry.role === "losses") return "losses";
    if (entry.role === "state") return this.#groups.get(entry.replaces ?? entry.name);
    const alternates =
      this.#options.doublesInputs && !this.#isEvaluation(graph) && BATCH_ROLES.has(entry.role);
    return alternates ? "inputs" : undefined;
  }

  #inputId(graph: string, entry: TensorEntry, side: Side): string {
    return this.#groupOf(graph, entry) === "inputs"
      ? `${side}:${entry.name}`
      : this.#localName(graph, entry.name);
  }

  /**
   * Tensors that are not state belong to the step's graphs together, and to those that evaluate each alone:
   * their batch differs.
   */
  #localName(graph: string, name: string): string {
    return this.#isEvaluation(graph) ? `${graph}:${name}` : name;
  }

  #isEvaluation(graph: string): boolean {
    return this.#graph(graph).purpose === "evaluate";
  }

  #graph(name: string): GraphEntry {
    return need(this.#graphs[name], name);
  }
}

/** The state tensor or sum whose next value an output is; undefined for other outputs. */
export function replacedBy(entry: TensorEntry): string | undefined {
  return isKept(entry) ? entry.replaces : undefined;
}

/** What adds up over the micro-batches of a logical batch. */
function isSum(entry: TensorEntry): entry is EntryOf<"accumulator" | "losses"> {
  return entry.role === "accumulator" || entry.role === "losses";
}

function isKept(entry: TensorEntry): entry is EntryOf<"state" | "accumulator" | "losses"> {
  return entry.role === "state" || isSum(entry);
}

function groupOfState({ group }: StateEntry): Group {
  if (group === "statistic") return "statistics";
  return group === "factor" ? "factors" : "weights";
}

function other(side: Side): Side {
  return side === "a" ? "b" : "a";
}
