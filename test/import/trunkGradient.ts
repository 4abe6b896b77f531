// A trunk as a training step has it, small enough for central differences: images -> features ->
// sum(features * cotangent) -> the gradient by every trained parameter, in float64 on the reference.
import { appendGradients } from "../../compiler/autodiff/reverse.ts";
import { GraphBuilder } from "../../compiler/ir/builder.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import type { NDArray } from "../../compiler/ir/op.ts";
import { concreteShape, type Value } from "../../compiler/ir/types.ts";
import {
  buildImportedTrunk,
  type ImportedTrunk,
  importedValues,
} from "../../compiler/model/importedTrunk.ts";
import type { Parameter } from "../../compiler/model/parameters.ts";
import { OPS } from "../../compiler/ops/table.ts";
import type { Spec } from "../../compiler/spec/schema.ts";

const BATCH = 2;
/** Step of the central differences. */
const STEP = 1e-5;
/** Elements of each parameter that are moved. */
const MOVED = 3;

export interface CheckedGradient {
  readonly parameter: string;
  readonly analytic: readonly number[];
  readonly differences: readonly number[];
}

/** Gradients of the parameters that a spec trains, at a few of their elements, both ways. */
export function checkTrunkGradients(trunk: ImportedTrunk, spec: Spec): CheckedGradient[] {
  const b = new GraphBuilder("trunk", OPS);
  const values = importedValues(trunk, spec);
  const feeds = new Map<string, NDArray>();
  const trained = new Map<string, Value>();
  const input = (name: string, shape: readonly number[], data: Float64Array): Value => {
    feeds.set(name, { dtype: "float32", shape, data });
    return b.input(name, "float32", shape);
  };
  const source = (_: GraphBuilder, { name, shape, trained: isTrained }: Parameter): Value => {
    const value = input(name, shape, Float64Array.from(values.get(name) ?? []));
    if (isTrained) trained.set(name, value);
    return value;
  };
  const [, channels, height, width] = trunk.graph.inputs[0]?.type.shape.map(Number) ?? [];
  const shape = [BATCH, channels ?? 3, height ?? 1, width ?? 1];
  const wave = (sizes: readonly number[], pace: number): Float64Array =>
    Float64Array.from({ length: sizes.reduce((n, size) => n * size, 1) }, (_, i) => Math.sin(pace * i) + 0.1);
  const image = input("image", shape, wave(shape, 0.7));
  const features = buildImportedTrunk({ b, spec, source, training: false }, image, trunk);
  const sizes = concreteShape(features.type.shape);
  const cotangent = input("cotangent", sizes, wave(sizes, 1.3));
  const objective = b.reduceSum(b.mul(features, cotangent), [0, 1, 2, 3], 0);
  const gradients = appendGradients(b, objective, [...trained.values()]);
  b.output("objective", objective);
  for (const [name, value] of trained) {
    const gradient = gradients.get(value);
    if (gradient) b.output(name, gradient);
  }
  const graph = b.build();
  const found = interpret(graph, feeds);
  const objectiveOf = (name: string, at: number, by: number): number => {
    const feed = feeds.get(name) ?? { dtype: "float32", shape: [], data: new Float64Array() };
    const data = Float64Array.from(feed.data);
    data[at] = (data[at] ?? 0) + by;
    return (
      interpret(graph, new Map([...feeds, [name, { ...feed, data }]])).get("objective")?.data[0] ?? Number.NaN
    );
  };
  return [...trained.keys()].map((parameter) => {
    const { data = [] } = found.get(parameter) ?? {};
    const places = Array.from({ length: Math.min(MOVED, data.length) }, (_, i) =>
      Math.floor((i * data.length) / MOVED),
    );
    return {
      parameter,
      analytic: places.map((at) => data[at] ?? Number.NaN),
      differences: places.map(
        (at) => (objectiveOf(parameter, at, STEP) - objectiveOf(parameter, at, -STEP)) / (2 * STEP),
      ),
    };
  });
}
