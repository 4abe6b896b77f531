// A family as a training step has it: its drawn image and cotangent, batch norms frozen or in training form,
// all parameters trained.
import type { ImportedTrunk } from "../../compiler/model/importedTrunk.ts";
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import { drawUniform } from "./drawnValues.ts";
import type { FamilyFixture, NormForm } from "./familyFixture.ts";
import { buildTrunkGraph, type TrunkGraph } from "./trunkGraph.ts";

/** As the script makes them. */
const BATCH = 2;
const CHANNELS = 3;

/** Builds the graph with its feeds; all parameters are inputs and trained. */
export function buildFamilyGraph(fixture: FamilyFixture, trunk: ImportedTrunk, form: NormForm): TrunkGraph {
  const { family, side } = fixture;
  const batchnorm = form === "training" ? "train" : "frozen";
  const spec = resolveSpec({ tasks: ["task"], fcn: { path: `${family}.onnx`, batchnorm }, train_fcn: true });
  const pixels = drawUniform(fixture.image, "image", BATCH * CHANNELS * side * side).map((u) => 2 * u);
  return buildTrunkGraph({
    ...{ name: family, trunk, spec },
    image: { dtype: "float32", shape: [BATCH, CHANNELS, side, side], data: pixels },
    cotangent: (count) => drawUniform(fixture.image, "cotangent", count),
    fixed: "inputs",
  });
}
