// A trunk as a training step has it: images -> features -> sum(features * cotangent) -> the gradient by every
// trained parameter, built behind the same interface as a spec's trunk.
import { appendGradients } from "../../compiler/autodiff/reverse.ts";
import { GraphBuilder } from "../../compiler/ir/builder.ts";
import type { NDArray } from "../../compiler/ir/op.ts";
import { concreteShape, type Graph, type Value } from "../../compiler/ir/types.ts";
import {
  buildImportedTrunk,
  type ImportedTrunk,
  importedValues,
} from "../../compiler/model/importedTrunk.ts";
import { isStatistic, type Parameter } from "../../compiler/model/parameters.ts";
import { OPS } from "../../compiler/ops/table.ts";
import type { Spec } from "../../compiler/spec/schema.ts";

export interface TrunkGraph {
  /** Outputs: "features", and a gradient under the name that its parameter has in the file. */
  readonly graph: Graph;
  readonly feeds: ReadonlyMap<string, NDArray>;
  /** All parameters, trained or not. */
  readonly parameters: readonly Parameter[];
}

export interface TrunkInputs {
  readonly name: string;
  readonly trunk: ImportedTrunk;
  readonly spec: Spec;
  /** Images as the trunk takes them, preprocessed. */
  readonly image: NDArray;
  /** Of the features; asked once their number is known. */
  readonly cotangent: (count: number) => Float64Array;
  /** What stays as it is: inputs, as all parameters of a training step are at first, or constants. */
  readonly fixed: "inputs" | "constants";
}

/** Builds the graph with its feeds; trained parameters are inputs. */
export function buildTrunkGraph(inputs: TrunkInputs): TrunkGraph {
  const { name, trunk, spec, image, cotangent, fixed } = inputs;
  const values = importedValues(trunk, spec);
  const b = new GraphBuilder(name, OPS);
  const feeds = new Map<string, NDArray>();
  const trained = new Map<string, Value>();
  const parameters: Parameter[] = [];
  const input = (as: string, shape: readonly number[], data: Float64Array): Value => {
    feeds.set(as, { dtype: "float32", shape, data });
    return b.input(as, "float32", shape);
  };
  const source = (_: GraphBuilder, parameter: Parameter): Value => {
    const { name: as, shape } = parameter;
    parameters.push(parameter);
    const data = Float64Array.from(values.get(as) ?? []);
    if (!parameter.trained && fixed === "constants") return b.constant({ dtype: "float32", shape, data });
    const value = input(as, shape, data);
    if (parameter.trained && !isStatistic(parameter)) trained.set(as.replace(/^fcn\./, ""), value);
    return value;
  };
  const pixels = input("image", image.shape, image.data);
  const features = buildImportedTrunk({ b, spec, source, training: true }, pixels, trunk);
  b.output("features", features);
  if (trained.size > 0) {
    const shape = concreteShape(features.type.shape);
    const count = shape.reduce((product, size) => product * size, 1);
    const weights = input("cotangent", shape, cotangent(count));
    const objective = b.reduceSum(b.mul(features, weights), [0, 1, 2, 3], 0);
    const gradients = appendGradients(b, objective, [...trained.values()]);
    for (const [as, value] of trained) b.output(as, gradients.get(value) ?? value);
  }
  return { graph: b.build(), feeds, parameters };
}
