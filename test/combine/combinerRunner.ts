// Runs a method that combines gradients, alone, as a graph of its own: in the float64 interpreter, or on ONNX
// Runtime.
import { type Combiner, emitWeights } from "../../compiler/combine/combiner.ts";
import { GraphBuilder } from "../../compiler/ir/builder.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import type { NDArray } from "../../compiler/ir/op.ts";
import type { Graph } from "../../compiler/ir/types.ts";
import { OPS } from "../../compiler/ops/table.ts";
import type { OrtLibrary } from "../../runtime/ort/library.ts";
import { runOnOrt } from "../ops/runOnOrt.ts";

/** A step as a method sees it. */
export interface CombineCase {
  /** A row for each task; those of absent tasks are not looked at. */
  readonly gradients: readonly (readonly number[])[];
  /** 1 or 0 for each task; all present without it. */
  readonly present?: readonly number[];
  /** Their Gram matrix as a method is told it, row-major; theirs without it. */
  readonly gram?: readonly number[];
  /** Of each task the others in an order; ascending without it. */
  readonly orders?: readonly (readonly number[])[];
}

/** A method's numbers of the spec, where it gives none. */
function defaultsOf({ settings }: Combiner): Record<string, number> {
  return Object.fromEntries(Object.entries(settings).map(([name, setting]) => [name, setting.default]));
}

/** The graph of `combiner` for T tasks: inputs gram, present and what the host draws, output weights. */
export function combinerGraph(combiner: Combiner, tasks: number, settings = defaultsOf(combiner)): Graph {
  const b = new GraphBuilder(combiner.name, OPS);
  const gram = b.input("gram", "float64", [tasks, tasks]);
  const present = b.input("present", "float64", [tasks]);
  const host = (name: string) => b.findInput(name) ?? b.input(name, "int64", [tasks, tasks - 1]);
  b.output("weights", emitWeights(b, combiner, { gram, present, settings, host }));
  return b.build();
}

/** What the graph takes, by name. */
function feedsOf({ gradients, present, orders, gram }: CombineCase): Map<string, NDArray> {
  const tasks = gradients.length;
  const there = present ?? gradients.map(() => 1);
  const given = orders ?? gradients.map((_, i) => others(tasks, i));
  const array = (dtype: NDArray["dtype"], shape: number[], numbers: readonly number[]): NDArray => {
    return { dtype, shape, data: Float64Array.from(numbers) };
  };
  return new Map([
    ["gram", array("float64", [tasks, tasks], gram ?? gramOf(gradients, there))],
    ["present", array("float64", [tasks], there)],
    ["order", array("int64", [tasks, tasks - 1], given.flat())],
  ]);
}

/** The Gram matrix, row-major, with rows and columns of 0 for absent tasks. */
export function gramOf(
  gradients: readonly (readonly number[])[],
  present: readonly number[] = gradients.map(() => 1),
): number[] {
  return gradients.flatMap((x, i) =>
    gradients.map((y, j) => (present[i]! * present[j]! > 0 ? dot(x, y) : 0)),
  );
}

export function dot(x: readonly number[], y: readonly number[]): number {
  return x.reduce((sum, value, n) => sum + value * y[n]!, 0);
}

function others(tasks: number, task: number): number[] {
  return Array.from({ length: tasks }, (_, j) => j).filter((j) => j !== task);
}

/** A method with its settings; graphs are built once for each number of tasks. */
export interface CombinerRunner {
  /** The weights of a step by the float64 interpreter. */
  weigh(given: CombineCase): number[];
  /** The same by ONNX Runtime on the CPU. */
  weighOnOrt(given: CombineCase, library: OrtLibrary): number[];
}

export function runnerOf(
  combiner: Combiner,
  settings: Readonly<Record<string, number>> = {},
): CombinerRunner {
  const graphs = new Map<number, Graph>();
  const graphFor = ({ gradients }: CombineCase): Graph => {
    const tasks = gradients.length;
    const graph =
      graphs.get(tasks) ?? combinerGraph(combiner, tasks, { ...defaultsOf(combiner), ...settings });
    graphs.set(tasks, graph);
    return graph;
  };
  const numbers = (results: ReadonlyMap<string, NDArray>): number[] => [...results.get("weights")!.data];
  return {
    weigh: (given) => numbers(interpret(graphFor(given), feedsOf(given))),
    weighOnOrt: (given, library) => numbers(runOnOrt(library, graphFor(given), feedsOf(given), OPS)),
  };
}

/** Euclidean. */
export function lengthOf(x: readonly number[]): number {
  return Math.sqrt(dot(x, x));
}

/** The gradients times their weights, added up. */
export function combine(gradients: readonly (readonly number[])[], weights: readonly number[]): number[] {
  return gradients[0]!.map((_, n) => gradients.reduce((sum, row, t) => sum + weights[t]! * row[n]!, 0));
}
