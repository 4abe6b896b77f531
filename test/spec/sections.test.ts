// The sections of the spec: every key is in one, and a section is checked and filled in without the others.
import { describe, expect, it } from "vitest";
import { resolveKeys, resolveSpec } from "../../compiler/spec/parseSpec.ts";
import { SECTION_KEYS, SPEC_KEYS, type SpecInput, type SpecKey } from "../../compiler/spec/schema.ts";
import { faultsOf } from "./faultsOf.ts";

const WHOLE: SpecInput = {
  ...{ tasks: ["b", "a"], train_labels: "t.csv", classes: { a: ["x", "y"], b: [1, 2] } },
  ...{ fcn: { layers: [4, "p"] }, imshape: 32, augment: true, num_channels: 1 },
  ...{ task_weights: { a: 2, b: 1 }, batch_size: 8, accumulate: 2, logdir: "run", epochs: 3 },
};

describe("the sections of a spec", () => {
  it("hold every key once", () => {
    const all = Object.values(SECTION_KEYS).flat();
    expect(new Set(all).size).toBe(all.length);
    expect(all).toEqual(SPEC_KEYS);
  });

  it.each(Object.entries(SECTION_KEYS))("%s is of a whole spec what it is alone", (name, keys) => {
    const spec = resolveSpec(WHOLE);
    const wanted: Record<string, unknown> = Object.fromEntries(keys.map((key) => [key, spec[key]]));
    // Weights by name are put in the order of the tasks, which are labels.
    const taken: readonly SpecKey[] = name === "step" ? [...keys, "tasks"] : keys;
    if (name === "step") wanted.tasks = spec.tasks;
    expect(resolveKeys(taken, WHOLE)).toEqual(wanted);
  });

  it("fill in their defaults where nothing is given, but for tasks and fcn", () => {
    const faults = (keys: readonly SpecKey[]) =>
      faultsOf(() => resolveKeys(keys, {} as SpecInput)).map(({ message }) => message.split(";")[0]);
    expect(faults(SECTION_KEYS.labels)).toEqual(["missing"]);
    expect(faults(SECTION_KEYS.network)).toEqual(["missing"]);
    const { imshape, norm } = resolveKeys(SECTION_KEYS.images, {});
    expect([imshape, norm]).toEqual([[256, 256], 255]);
    expect(resolveKeys(SECTION_KEYS.step, {}).batch_size).toBe(64);
    expect(resolveKeys(SECTION_KEYS.run, {}).logdir).toBeNull();
  });
});

describe("a section that is faulty", () => {
  const labels = (given: object) =>
    faultsOf(() => resolveKeys(SECTION_KEYS.labels, given as SpecInput)).map(({ at, message }) => [
      at?.path,
      message,
    ]);

  it("is told all faults at once, those between its keys too", () => {
    const given = { tasks: ["a", "a"], classes: { b: ["x", "y"] }, split_leak: "maybe" };
    expect(labels(given)).toEqual([
      ["split_leak", 'expected "error" or "allow", found "maybe"'],
      ["tasks[1]", 'task "a" is listed twice'],
      ["classes.b", 'classes of an unknown task "b"'],
    ]);
  });

  it("does not mind what other sections hold, but refuses what is no key", () => {
    const given = { tasks: ["a"], fcn: 7, lr: "fast" } as unknown as SpecInput;
    expect(resolveKeys(SECTION_KEYS.labels, given).tasks).toEqual(["a"]);
    expect(labels({ tasks: ["a"], taks: ["b"] })).toEqual([["taks", 'unknown key "taks"']]);
  });

  it("of images asks for the range of wide numbers, as a whole spec does", () => {
    const faults = faultsOf(() => resolveKeys(SECTION_KEYS.images, { bit_depth: 16 }));
    expect(faults.map(({ at }) => at?.path)).toEqual(["bit_depth"]);
    expect(resolveKeys(SECTION_KEYS.images, { bit_depth: 16, norm: 65_535 }).norm).toBe(65_535);
  });
});
