// The spec's `split`: what is refused by itself and beside other keys, each fault at its key.
import { describe, expect, it } from "vitest";
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import type { SpecInput } from "../../compiler/spec/schema.ts";
import { faultsOf } from "./faultsOf.ts";

const LEAST = { train_labels: "t.csv", tasks: ["a"], fcn: { layers: [4] } } satisfies SpecInput;
type Split = NonNullable<SpecInput["split"]>;

const faults = (split: unknown, more: Partial<SpecInput> = {}) =>
  faultsOf(() => resolveSpec({ ...LEAST, ...more, split: split as Split })).map(
    ({ at, message }) => `${at?.path}: ${message}`,
  );

describe("split", () => {
  it("is complete where it is resolved, and nothing by default", () => {
    expect(resolveSpec(LEAST).split).toBeNull();
    const rest = { folds: null, fold: null, seed: 0 };
    expect(resolveSpec({ ...LEAST, split: { val: 0.2, by: "patient" } }).split).toEqual({
      ...{ val: 0.2, test: null, by: "patient" },
      ...rest,
    });
  });

  it.each<[unknown, RegExp]>([
    [{}, /^split: expected val, test or folds/],
    [0.2, /^split: expected a map such as/],
    [{ val: 0.6, test: 0.4 }, /^split\.val: val and test together are 1: no rows are left to train/],
    [{ val: 0.6, test: 0.5 }, /^split\.val: val and test together are 1\.1/],
    [{ val: 1 }, /^split\.val: expected a share of the rows above 0 and below 1, found 1/],
    [{ test: 0 }, /^split\.test: expected a share/],
    [{ val: 0.2, by: "" }, /^split\.by: expected the name of a column/],
    [{ val: 0.2, by: "filepath" }, /^split\.by: rows of one image stay together anyway/],
    [{ folds: 5 }, /^split\.folds: expected fold, too: 1 to 5/],
    [{ val: 0.2, fold: 1 }, /^split\.fold: expected folds, too/],
    [{ folds: 3, fold: 4 }, /^split\.fold: expected 1 to 3, found 4/],
    [{ folds: 1, fold: 1 }, /^split\.folds: expected an integer from 2 to 100/],
    [{ val: 0.2, folds: 3, fold: 1 }, /^split\.val: one of the folds validates/],
    [{ vall: 0.2 }, /^split\.vall: unknown key "vall"/],
  ])("%o is refused", (split, message) => {
    expect(faults(split).join("\n")).toMatch(message);
  });

  it("is refused by name beside tables of the same rows", () => {
    const both = faults({ val: 0.2, test: 0.1 }, { val_labels: "v.csv", test_labels: "w.csv" });
    expect(both).toEqual([
      "split: val_labels names the validation rows already: a spec has `split` or `val_labels`",
      "split.test: test_labels names the test rows already",
    ]);
    expect(resolveSpec({ ...LEAST, test_labels: "w.csv", split: { val: 0.2 } }).test_labels).toBe("w.csv");
  });

  it("hints at itself where other tools' names are written", () => {
    const spec = { ...LEAST, validation_split: 0.2 } as SpecInput;
    expect(faultsOf(() => resolveSpec(spec))).toMatchObject([{ hint: 'did you mean "split"?' }]);
  });
});
