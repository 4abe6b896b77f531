// Keys about probes: what they may be, and what they need of other keys.
import { describe, expect, it } from "vitest";
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import type { SpecInput } from "../../compiler/spec/schema.ts";

const least: SpecInput = { tasks: ["a"], fcn: { layers: [4] } };
const table: SpecInput = { ...least, downstream_labels: "probes.csv" };

describe("keys about probes", () => {
  it("take a table by its path, or with the columns that count, and say how often", () => {
    expect(resolveSpec(table).downstream_labels).toEqual({ table: "probes.csv", columns: null });
    const columns = ["species", "age"];
    const named = { ...least, downstream_labels: { table: "probes.csv", columns } };
    expect(resolveSpec(named).downstream_labels).toEqual({ table: "probes.csv", columns });
    // As a run's spec.yml has it.
    expect(resolveSpec({ ...least, downstream_labels: { table: "probes.csv", columns: null } })).toEqual(
      resolveSpec(table),
    );
    const often = resolveSpec({ ...table, linear_probe: 5, query_fig: 3, log_fcn: true });
    expect([often.linear_probe, often.query_fig, often.log_fcn]).toEqual([5, 3, true]);
  });

  it.each([
    [{ linear_probe: 0 }, /linear_probe: expected true \(every epoch\), a number of epochs/],
    [{ query_fig: 51 }, /query_fig: expected true, a number of images from 1 to 50, or false/],
    [{ downstream_labels: 3 }, /downstream_labels: expected the path of a label table, or a map/],
    [{ downstream_labels: { table: "t.csv", column: ["a"] } }, /did you mean "columns"/],
  ])("refuse %j", (more, message) => {
    expect(() => resolveSpec({ ...table, ...more } as SpecInput)).toThrow(message);
  });

  it("refuse a probe without labels, a sheet without a probe, and turns of oblong images", () => {
    expect(() => resolveSpec({ ...least, linear_probe: 2 })).toThrow(/there are no labels to probe with/);
    expect(() => resolveSpec({ ...least, query_fig: true })).toThrow(
      /no labels to take images of each class/,
    );
    expect(() => resolveSpec({ ...table, query_fig: true, linear_probe: false })).toThrow(/which is false/);
    expect(() => resolveSpec({ ...least, rotation_test: true, imshape: [16, 24] })).toThrow(
      /quarter turns need a square imshape, found 16x24/,
    );
  });
});
