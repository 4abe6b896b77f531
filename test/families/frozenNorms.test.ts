// All families on ONNX Runtime with batch norms frozen, folded or absent: features, and the gradient by
// every parameter, against the float64 of PyTorch or Keras.
import { afterAll, describe, expect, test } from "vitest";
import { OrtLibrary } from "../../runtime/ort/library.ts";
import { FAMILY_FLOAT32 } from "../tolerances.ts";
import { deviations } from "./compareFamily.ts";
import { FAMILIES, importFamily, readFixture } from "./familyFixture.ts";
import { buildFamilyGraph } from "./familyGraph.ts";
import { runFamilyOnOrt } from "./runFamily.ts";

const library = OrtLibrary.open();
afterAll(() => library[Symbol.dispose]());

describe.each(FAMILIES)("%s", (family) => {
  test("with batch norms frozen: features and all gradients are those of float64", () => {
    const fixture = readFixture(family);
    const found = runFamilyOnOrt(library, buildFamilyGraph(fixture, importFamily(fixture), "frozen"));
    expect(found.get("features")?.shape).toEqual(fixture.features);
    expect(deviations(found, fixture.frozen, FAMILY_FLOAT32)).toEqual([]);
  });
});

test("there are the families that the project names", () => {
  const named = ["resnet", "vgg", "densenet", "squeezenet", "inception", "mobilenet-v2", "mobilenet-v3"];
  named.push("efficientnet", "shufflenet", "regnet", "convnext", "mnasnet", "keras");
  for (const name of named) expect(FAMILIES.some((family) => family.startsWith(name))).toBe(true);
});
