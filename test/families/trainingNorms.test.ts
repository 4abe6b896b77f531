// The families that have batch norms, in training form: the float64 interpreter against PyTorch's float64,
// ONNX Runtime against the interpreter, no further away than their own float32.
import { afterAll, describe, expect, test } from "vitest";
import { TARGETS } from "../../compiler/bundle/manifest.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import { OrtLibrary } from "../../runtime/ort/library.ts";
import { FLOAT32_GAP_FACTOR, FLOAT32_ROUNDING, FLOAT64_RUN } from "../tolerances.ts";
import { deviations, distance, scales } from "./compareFamily.ts";
import { FAMILIES, importFamily, readFixture } from "./familyFixture.ts";
import { buildFamilyGraph } from "./familyGraph.ts";
import { runFamilyOnOrt } from "./runFamily.ts";

const library = OrtLibrary.open();
afterAll(() => library[Symbol.dispose]());

const WITH_NORMS = FAMILIES.filter((family) => readFixture(family).training);

describe.each(WITH_NORMS)("%s", (family) => {
  const fixture = readFixture(family);
  const expected = fixture.training ?? {};
  const built = buildFamilyGraph(fixture, importFamily(fixture), "training");
  const exact = interpret(built.graph, built.feeds);

  test("with batch norms in training form: the interpreter gives the same float64 numbers", () => {
    expect(deviations(exact, expected, FLOAT64_RUN)).toEqual([]);
  });

  test.each(TARGETS)(
    "... and what is compiled for %s at most three times as far as their own float32",
    (target) => {
      const found = runFamilyOnOrt(library, built, target);
      const scaleOf = scales(expected);
      for (const [name, [, , , gap]] of Object.entries(expected)) {
        const allowed = Math.max(FLOAT32_GAP_FACTOR * gap, FLOAT32_ROUNDING * scaleOf.get(name)!);
        expect(distance(found.get(name)!.data, exact.get(name)!.data), name).toBeLessThanOrEqual(allowed);
      }
    },
  );
});

test("nine families or more have batch norms", () => {
  expect(WITH_NORMS.length).toBeGreaterThanOrEqual(9);
});
