// Gradients by the tensors of a file beside PyTorch's gradients by its parameters.
import type { NDArray } from "../../compiler/ir/op.ts";
import type { TrunkGraph } from "../families/trunkGraph.ts";
import { VANISHING_GRADIENT } from "../tolerances.ts";
import type { NetworkFacts, NetworkReference } from "./networkReference.ts";

export interface GradientTrial {
  /** Parameters of PyTorch whose gradients were compared, and the largest distance relative to the norm. */
  readonly compared: number;
  readonly worst: { readonly name: string; readonly error: number };
  /** Numbers that PyTorch trains and the features depend on, and how many of them mttc trains. */
  readonly theirs: number;
  readonly ours: number;
  /** Parameters of PyTorch that are not trained, or only in part. */
  readonly missed: readonly string[];
  /** Tensors that mttc trains and that are no parameter of PyTorch's, or were made of one. */
  readonly others: readonly string[];
}

/**
 * Gradients of the file's tensors as gradients of PyTorch's numbers: what a number became in several places
 * adds up, times the factor that it got there.
 */
export function compareGradients(
  reference: NetworkReference,
  found: ReadonlyMap<string, NDArray>,
  built: TrunkGraph,
): GradientTrial {
  const { facts, gradient } = reference;
  const { ours, isTrained, others } = spread(reference, found, built);
  return { ...compareParameters(facts, { gradient, ours, isTrained }), others };
}

interface Spread {
  /** By PyTorch's numbers, in the order of the reference. */
  readonly ours: Float64Array;
  readonly isTrained: Uint8Array;
  readonly others: readonly string[];
}

/** Gradients by the file's tensors as gradients by PyTorch's numbers. */
export function spread(
  reference: NetworkReference,
  found: ReadonlyMap<string, NDArray>,
  built: TrunkGraph,
): Spread {
  const ours = new Float64Array(reference.gradient.length);
  const isTrained = new Uint8Array(ours.length);
  const others: string[] = [];
  for (const { name: full, trained } of built.parameters) {
    const name = full.replace(/^fcn\./, "");
    const numbers = found.get(name)?.data;
    if (!trained || !numbers) continue;
    const places = reference.placesOf(name);
    const factors = reference.factorsOf(name);
    if (!places) others.push(name);
    places?.forEach((place, i) => {
      ours[place] = (ours[place] ?? 0) + (numbers[i] ?? Number.NaN) * (factors?.[i] ?? 1);
      isTrained[place] = 1;
    });
  }
  return { ours, isTrained, others };
}

interface Gradients {
  readonly gradient: Float64Array;
  readonly ours: Float64Array;
  readonly isTrained: Uint8Array;
}

function compareParameters(facts: NetworkFacts, all: Gradients): Omit<GradientTrial, "others"> {
  let position = 0;
  const parameters = facts.parameters.flatMap(([name, shape, isNeeded]) => {
    const begin = position;
    position += shape.reduce((count, size) => count * size, 1);
    const end = position;
    const trained = all.isTrained.subarray(begin, end).reduce((sum, each) => sum + each, 0);
    const exact = all.gradient.subarray(begin, end);
    return isNeeded && !facts.folded?.includes(name)
      ? [{ name, trained, exact, ours: all.ours.subarray(begin, end) }]
      : [];
  });
  const mean = parameters.reduce((sum, { exact }) => sum + norm(exact) / parameters.length, 0);
  const whole = parameters.filter(({ trained, exact }) => trained === exact.length);
  const errors = whole.map(({ name, exact, ours }) => {
    const size = norm(exact);
    const scale = size > VANISHING_GRADIENT * mean ? size : mean;
    return { name, error: distanceOf(ours, exact) / scale };
  });
  const worst = errors.reduce((a, b) => (a.error >= b.error ? a : b), { name: "", error: 0 });
  return {
    compared: whole.length,
    worst,
    theirs: parameters.reduce((sum, { exact }) => sum + exact.length, 0),
    ours: parameters.reduce((sum, { trained }) => sum + trained, 0),
    missed: parameters.filter((each) => !whole.includes(each)).map(({ name }) => name),
  };
}

export function norm(numbers: Float64Array): number {
  return Math.sqrt(numbers.reduce((sum, x) => sum + x * x, 0));
}

export function distanceOf(a: Float64Array, b: Float64Array): number {
  return Math.sqrt(a.reduce((sum, x, i) => sum + (x - (b[i] ?? Number.NaN)) ** 2, 0));
}
