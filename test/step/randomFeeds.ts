// Numbers for every input of a training graph, by its name: the same text gives the same numbers.
import type { NDArray } from "../../compiler/ir/op.ts";
import type { Graph, Value } from "../../compiler/ir/types.ts";
import { randomFrom } from "../ops/sampleGraph.ts";

/** Feeds for all inputs of `graph`, drawn from `seed` and the input's name; symbols become 2. */
export function randomFeeds(graph: Graph, seed: string): Map<string, NDArray> {
  return new Map(graph.inputs.map((input) => [input.name, randomArray(input, seed)]));
}

function randomArray({ name, type }: Value, seed: string): NDArray {
  const random = randomFrom(`${seed} ${name}`);
  const shape = type.shape.map((dim) => (typeof dim === "number" ? dim : 2));
  const count = shape.reduce((product, dim) => product * dim, 1);
  const data = Float64Array.from({ length: count }, () => numberFor(name, type.dtype, random));
  return { dtype: type.dtype, shape, data };
}

/**
 * Pixels, labels of two classes with holes, weights of either sign; all else is positive (variances, rates).
 */
function numberFor(name: string, dtype: NDArray["dtype"], random: () => number): number {
  if (dtype === "uint8") return Math.floor(256 * random());
  if (dtype === "int64") return Math.floor(3 * random()) - (name.startsWith("label/") ? 1 : 0);
  const size = Math.fround(0.1 + random());
  return /(kernel|bias|mean|velocity|\/m)$/.test(name) && random() < 0.5 ? -size : size;
}
