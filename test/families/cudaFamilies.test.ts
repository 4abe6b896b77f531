// All families compiled for CUDA, on ONNX Runtime's CPU, with batch norms frozen: features, and the
// gradient by every parameter, against the float64 of PyTorch or Keras. What the forms compute, not how a
// device does it.
import { afterAll, expect, test } from "vitest";
import { OrtLibrary } from "../../runtime/ort/library.ts";
import { FAMILY_FLOAT32 } from "../tolerances.ts";
import { deviations } from "./compareFamily.ts";
import { FAMILIES, importFamily, readFixture } from "./familyFixture.ts";
import { buildFamilyGraph } from "./familyGraph.ts";
import { runFamilyOnOrt } from "./runFamily.ts";

const library = OrtLibrary.open();
afterAll(() => library[Symbol.dispose]());

test.each(FAMILIES)("%s compiled for CUDA: features and all gradients are those of float64", (family) => {
  const fixture = readFixture(family);
  const found = runFamilyOnOrt(library, buildFamilyGraph(fixture, importFamily(fixture), "frozen"), "cuda");
  expect(found.get("features")?.shape).toEqual(fixture.features);
  expect(deviations(found, fixture.frozen, FAMILY_FLOAT32)).toEqual([]);
});
