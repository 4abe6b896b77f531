// Steps of three tasks whose gradients are combined, in tests: what is expected of them, from the gradients
// by task that grad.onnx sums.
import type { Combination } from "../../compiler/combine/combiners.ts";
import { GRADIENT_METHODS } from "../../compiler/combine/gradientMethods.ts";
import { need } from "../../compiler/diagnostics.ts";
import type { NDArray } from "../../compiler/ir/op.ts";
import type { SpecInput } from "../../compiler/spec/schema.ts";
import { runnerOf } from "../combine/combinerRunner.ts";
import { MICRO_BATCHES, SUM_ORDER_FLOAT32 } from "../tolerances.ts";
import type { TracedBundle } from "../training/tracedGraphs.ts";
import { compileExperiment, tensorOf, withoutLabels } from "./experiment.ts";
import type { RuntimeName, Tensors } from "./graphRunner.ts";
import { relativeDistance } from "./tensors.ts";

export const TASKS = { a: 3, b: 2, c: 4 };
export const NAMES = Object.keys(TASKS);
export const SPEC: Partial<SpecInput> = { shared_layers: [4, "r"], task_layers: [3], optimizer: "momentum" };
export const ADAPTIVE: Partial<SpecInput> = { ...SPEC, task_weights: "adaptive", weight_decay: 0.01 };
export const RATE = 0.1;

export function compiled(spec: Partial<SpecInput>, combination: Combination | undefined): TracedBundle {
  return compileExperiment(spec, TASKS, undefined, "cpu", { combination });
}

/** The rows of a tensor stacked over tasks. */
function rowsOf({ shape, data }: NDArray): Float64Array[] {
  const [count = 1] = shape;
  const size = data.length / count;
  return Array.from({ length: count }, (_, i) => data.slice(i * size, (i + 1) * size));
}

/** Gradients of the shared parameters by name, a row for each task. */
export function sharedRows(gradients: Tensors): Map<string, Float64Array[]> {
  const byTask = [...gradients].filter(([name]) => name.endsWith("/tasks"));
  return new Map(byTask.map(([name, tensor]) => [name.replace(/\/tasks$/, ""), rowsOf(tensor)]));
}

export function gramOf(shared: ReadonlyMap<string, readonly Float64Array[]>): number[][] {
  const dot = (x: Float64Array, y: Float64Array) =>
    x.reduce((sum, number, i) => sum + number * (y[i] ?? 0), 0);
  return NAMES.map((_, i) =>
    NAMES.map((_, j) => [...shared.values()].reduce((sum, rows) => sum + dot(rows[i]!, rows[j]!), 0)),
  );
}

/** The orders that a state has beside it, of each task the others. */
function ordersIn(state: Tensors): number[][] | undefined {
  const order = [...state].find(([name]) => name.startsWith("draw/"))?.[1];
  return order && rowsOf(order).map((row) => [...row]);
}

/** The weights by a method of the spec with its defaults, alone, from gradients by task. */
export function methodWeights(
  name: string,
  gradients: Tensors,
  hidden: readonly string[],
  state: Tensors,
): number[] {
  const combiner = need(
    GRADIENT_METHODS.find((method) => method.name === name),
    name,
  );
  const rows = [...sharedRows(gradients).values()];
  const whole = NAMES.map((_, t) => rows.flatMap((each) => [...each[t]!]));
  const present = NAMES.map((task) => Number(!hidden.includes(task)));
  const orders = ordersIn(state);
  return runnerOf(combiner).weigh({ gradients: whole, present, ...(orders ? { orders } : {}) });
}

export function weighed(rows: readonly Float64Array[], weights: readonly number[]): Float64Array {
  return Float64Array.from(rows[0]!, (_, i) => rows.reduce((sum, row, t) => sum + weights[t]! * row[i]!, 0));
}

/** What plain gradient descent makes of the shared parameters, from their gradients by task. */
export function expectedStep(
  state: Tensors,
  gradients: Tensors,
  weights: readonly number[],
  decay = 0,
): Tensors {
  return new Map(
    [...sharedRows(gradients)].map(([name, rows]) => {
      const before = tensorOf(state, name);
      const combined = weighed(rows, weights);
      const rate = (value: number) => (name.endsWith("kernel") ? decay * value : 0);
      const data = before.data.map((value, i) => value - RATE * (combined[i]! + rate(value)));
      return [name, { ...before, data }];
    }),
  );
}

export function distances(actual: Tensors, expected: Tensors): number {
  return Math.max(...[...expected].map(([name, { data }]) => relativeDistance(actual.get(name)?.data, data)));
}

export function rounding(runtime: RuntimeName): number {
  return runtime === "ONNX Runtime" ? MICRO_BATCHES : SUM_ORDER_FLOAT32;
}

export function hiding(batch: Tensors, tasks: readonly string[]): Tensors {
  return tasks.reduce((left, task) => withoutLabels(left, task), batch);
}
