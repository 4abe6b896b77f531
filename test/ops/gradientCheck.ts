// Checks an operator's VJP against central differences of its float64 reference: for every element of every
// float input that is not constant, and along a random direction through all of them.
import { interpret } from "../../compiler/ir/interpret.ts";
import type { NDArray, Op, OpTable } from "../../compiler/ir/op.ts";
import { GRADIENT_CHECK } from "../tolerances.ts";
import {
  type DerivativeGraph,
  type DrawnSample,
  derivativeGraph,
  drawSample,
  forwardGraph,
  randomFrom,
} from "./sampleGraph.ts";
import type { Sample } from "./samples/sample.ts";

/** Distance of the two points of a difference from the middle. */
const STEP = 1e-5;

/** Default of Sample.gradientFloor. */
const GRADIENT_FLOOR = 1e-2;

/**
 * What is wrong with the derivative of `op` at this sample: wrong types, non-finite numbers, numbers that
 * differ, an expected gradient too small to prove anything. Nothing wrong: an empty list.
 */
export function gradientFaults(op: Op, sample: Sample, ops: OpTable): string[] {
  const table = new Map(ops).set(op.name, op);
  const drawn = drawSample(op, sample);
  const faults = checkCotangents(
    drawn,
    table,
    derivativeGraph(drawn, table),
    sample.gradientFloor ?? GRADIENT_FLOOR,
  );
  const count = sample.outputs ?? 1;
  // An absent cotangent stands for zero: each output alone must give the same as with zeros for the others.
  for (let only = 0; only < count && count > 1; only++)
    for (const fault of checkCotangents(drawn, table, derivativeGraph(drawn, table, only), 0))
      faults.push(`output ${only} alone: ${fault}`);
  return faults;
}

function checkCotangents(
  drawn: DrawnSample,
  table: OpTable,
  derivative: DerivativeGraph,
  floor: number,
): string[] {
  const { op, sample } = drawn;
  if (derivative.fault !== undefined) return [derivative.fault];
  const results = interpret(derivative.graph, derivative.feeds);
  const forward = forwardGraph(drawn, table);
  const objective = (feeds: ReadonlyMap<string, NDArray>): number => {
    let sum = 0;
    for (const [name, y] of interpret(forward, feeds)) {
      const cotangent = derivative.feeds.get(name.replace("y", "cotangent"));
      if (cotangent) sum += dot(y.data, cotangent.data);
    }
    return sum;
  };
  const faults: string[] = [];
  const gradients = derivative.wanted.map((i) => {
    const name = `input${i}`;
    const found = results.get(`d${i}`)?.data ?? new Float64Array(drawn.arrays[i]!.data.length);
    const expected = elementDifferences(objective, drawn.feeds, name);
    faults.push(...compare(found, expected, `input ${i}`, floor));
    return { name, found };
  });
  if (gradients.length === 0 || derivative.graph.outputs.length === 0) return faults;
  const random = randomFrom(`direction of ${op.name} ${sample.title}`);
  const direction = gradients.map(({ found }) => found.map(() => 2 * random() - 1));
  const along = (step: number): number => {
    const moved = new Map(drawn.feeds);
    gradients.forEach(({ name }, k) => {
      const array = moved.get(name)!;
      moved.set(name, { ...array, data: array.data.map((x, e) => x + step * direction[k]![e]!) });
    });
    return objective(moved);
  };
  const expected = (along(STEP) - along(-STEP)) / (2 * STEP);
  const found = gradients.reduce((sum, { found }, k) => sum + dot(found, direction[k]!), 0);
  return [...faults, ...compare([found], [expected], "a random direction", 0)];
}

function elementDifferences(
  objective: (feeds: ReadonlyMap<string, NDArray>) => number,
  feeds: ReadonlyMap<string, NDArray>,
  name: string,
): Float64Array {
  const array = feeds.get(name)!;
  const at = (element: number, value: number): number =>
    objective(new Map(feeds).set(name, { ...array, data: array.data.with(element, value) }));
  return array.data.map((x, e) => (at(e, x + STEP) - at(e, x - STEP)) / (2 * STEP));
}

function compare(
  found: ArrayLike<number>,
  expected: ArrayLike<number>,
  what: string,
  floor: number,
): string[] {
  const pairs = Array.from(expected, (wanted, i) => [wanted, found[i] ?? Number.NaN] as const);
  if (found.length !== expected.length || pairs.flat().some((value) => !Number.isFinite(value)))
    return [`${what}: a number is not finite`];
  const norm = Math.hypot(...pairs.map(([wanted]) => wanted));
  if (norm < floor) return [`${what}: the expected gradient has the norm ${norm}, which proves nothing`];
  const allowed = GRADIENT_CHECK * Math.max(1, norm);
  const worst = Math.max(...pairs.map(([wanted, got]) => Math.abs(got - wanted)));
  return worst <= allowed ? [] : [`${what}: off by ${worst}, allowed ${allowed}`];
}

function dot(x: Float64Array, y: Float64Array): number {
  return x.reduce((sum, value, i) => sum + value * y[i]!, 0);
}
