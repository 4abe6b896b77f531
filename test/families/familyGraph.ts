// A family as a training step has it: images -> features -> sum(features * cotangent) -> the gradient by
// every parameter, built behind the same interface as a spec's trunk.
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
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import { drawUniform } from "./drawnValues.ts";
import type { FamilyFixture, NormForm } from "./familyFixture.ts";

/** As the script makes them. */
const BATCH = 2;
const CHANNELS = 3;

export interface FamilyGraph {
  /** Outputs: "features", and a gradient under the name that its parameter has in the file. */
  readonly graph: Graph;
  readonly feeds: ReadonlyMap<string, NDArray>;
}

/** Builds the graph with its feeds; all parameters are inputs and trained. */
export function buildFamilyGraph(fixture: FamilyFixture, trunk: ImportedTrunk, form: NormForm): FamilyGraph {
  const { family, side } = fixture;
  const batchnorm = form === "training" ? "train" : "frozen";
  const spec = resolveSpec({ tasks: ["task"], fcn: { path: `${family}.onnx`, batchnorm }, train_fcn: true });
  const values = importedValues(trunk, spec);
  const b = new GraphBuilder(family, OPS);
  const feeds = new Map<string, NDArray>();
  const parameters = new Map<string, Value>();
  const input = (name: string, shape: readonly number[], data: Float64Array): Value => {
    feeds.set(name, { dtype: "float32", shape, data });
    return b.input(name, "float32", shape);
  };
  const source = (_: GraphBuilder, parameter: Parameter): Value => {
    const { name, shape } = parameter;
    const value = input(name, shape, Float64Array.from(values.get(name) ?? []));
    if (!isStatistic(parameter)) parameters.set(name.replace(/^fcn\./, ""), value);
    return value;
  };
  const pixels = drawUniform(fixture.image, "image", BATCH * CHANNELS * side * side).map((u) => 2 * u);
  const image = input("image", [BATCH, CHANNELS, side, side], pixels);
  const features = buildImportedTrunk({ b, spec, source, training: true }, image, trunk);
  const shape = concreteShape(features.type.shape);
  const count = shape.reduce((product, size) => product * size, 1);
  const cotangent = input("cotangent", shape, drawUniform(fixture.image, "cotangent", count));
  const objective = b.reduceSum(b.mul(features, cotangent), [0, 1, 2, 3], 0);
  const gradients = appendGradients(b, objective, [...parameters.values()]);
  b.output("features", features);
  for (const [name, value] of parameters) b.output(name, gradients.get(value) ?? value);
  return { graph: b.build(), feeds };
}
