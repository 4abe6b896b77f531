// The key `augment` of a spec: what it becomes, and what is refused.
import { describe, expect, test } from "vitest";
import { parseSpec, resolveSpec } from "../../compiler/spec/parseSpec.ts";
import { specMarkdownTable } from "../../compiler/spec/specDocs.ts";
import { specWarnings } from "../../compiler/spec/specWarnings.ts";
import { faultsOf, printedFaults } from "../spec/faultsOf.ts";

const least = "tasks: [a]\nfcn: {layers: [4]}\nimshape: [32, 32]\n";
const resolved = (augment: string) => parseSpec(`${least}augment: ${augment}\n`, "s").augment;

describe("augment", () => {
  test("true is patchwork's defaults", () => {
    expect(resolved("true")).toEqual({
      flip_left_right: true,
      flip_up_down: true,
      rot90: true,
      zoom_scale: 0.2,
      brightness_delta: 0.2,
      contrast_delta: 0.1,
      saturation_delta: 0.1,
      hue_delta: 0.05,
      gaussian_blur: 0.2,
      gaussian_noise: 0.2,
      drop_color: 0.2,
      sobel_prob: 0.1,
      mask: 0.2,
    });
  });

  test("a map lists operations in any order; they are applied in patchwork's", () => {
    const seed =
      "{gaussian_blur: 0.25, flip_left_right: true, flip_up_down: true, rot90: true, zoom_scale: 0.3}";
    expect(Object.keys(resolved(seed))).toEqual([
      "flip_left_right",
      "flip_up_down",
      "rot90",
      "zoom_scale",
      "gaussian_blur",
    ]);
  });

  test("true for an operation is its usual number; false and nothing leave it out", () => {
    expect(resolved("{jitter: true, mask: false, shear:, contrast_delta: true}")).toEqual({
      jitter: 1,
      contrast_delta: 0.4,
    });
    expect(resolved("{mask: false}")).toBe(false);
    expect(resolved("{}")).toBe(false);
    expect(parseSpec(least, "s").augment).toBe(false);
  });

  test("as resolved resolves to itself", () => {
    const spec = parseSpec(`${least}augment: true\n`, "s");
    expect(resolveSpec(JSON.parse(JSON.stringify(spec))).augment).toEqual(spec.augment);
  });

  test("reports unknown operations with the nearest name, and each bad number", () => {
    const text = `${least}augment:\n  gausian_blur: 0.2\n  hue_delta: 0.7\n  rot90: 2\n  mask: often\n`;
    expect(printedFaults(() => parseSpec(text, "spec.yaml"))).toEqual([
      'spec.yaml:5:3: augment.gausian_blur: unknown key "gausian_blur" [E_CONFIG]\n  did you mean "gaussian_blur"?',
      "spec.yaml:6:14: augment.hue_delta: expected a number from 0 to 0.5, true (0.1) or false, found 0.7 [E_CONFIG]",
      "spec.yaml:7:10: augment.rot90: expected true or false, found 2 [E_CONFIG]",
      'spec.yaml:8:9: augment.mask: expected a number from 0 to 1, true (0.25) or false, found "often" [E_CONFIG]',
    ]);
    const list = faultsOf(() => parseSpec(`${least}augment: [mask]\n`, "s"));
    expect(list.map(({ message }) => message)).toEqual([
      'expected true, false or a map of operations, found ["mask"]',
    ]);
  });

  test("refuses quarter turns of images that are not square", () => {
    const faults = faultsOf(() =>
      parseSpec("tasks: [a]\nfcn: {layers: [4]}\nimshape: [32, 48]\naugment: true\n", "s"),
    );
    expect(faults.map(({ message, at }) => [at?.path, message])).toEqual([
      ["augment.rot90", "quarter turns need a square imshape, found 32x48"],
    ]);
  });

  test("warns of a blur that does nothing", () => {
    const spec = parseSpec(
      "tasks: [a]\nfcn: {layers: [4]}\nimshape: [16, 16]\naugment: {gaussian_blur: 1}\n",
      "s",
    );
    expect(specWarnings(spec).join()).toContain("augment.gaussian_blur: does nothing");
  });

  test("has a row in the table of keys with its default", () => {
    const row = specMarkdownTable()
      .split("\n")
      .find((line) => line.startsWith("| `augment`"));
    expect(row).toContain("| `false` |");
  });
});
