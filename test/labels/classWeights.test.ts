// The spec's class_weights as numbers, and what is refused in it.
import { describe, expect, it } from "vitest";
import { formatFault } from "../../compiler/diagnostics.ts";
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import type { SpecInput } from "../../compiler/spec/schema.ts";
import { openTasks } from "../../compiler/tasks/openTask.ts";
import { prepareLabels } from "../../runtime/labels/classes.ts";
import { resolveClassWeights } from "../../runtime/labels/classWeights.ts";
import { labelTableFromRows } from "../../runtime/tables/labelTable.ts";
import { faultsOf } from "../spec/faultsOf.ts";

const rows = ["x", "x", "x", "y", null].map((a, i) => ({ filepath: `${i}.png`, a, b: i % 2 }));
const table = labelTableFromRows(rows, { tasks: ["a", "b"], filepaths: "filepath" });
const prepared = prepareLabels(table, undefined, { a: ["y", "x", "z"] });
const { train } = prepared;
const tasks = openTasks(prepared.tasks);

function specWith(more: Partial<SpecInput>) {
  return resolveSpec({ tasks: ["a", "b"], fcn: { layers: [4] }, ...more });
}

describe("class weights", () => {
  it("balanced are rows / (classes with rows * rows of the class), 1 for a class without rows", () => {
    const weights = resolveClassWeights("balanced", tasks, train);
    expect(weights.get("a")).toEqual(Float32Array.of(4 / (2 * 1), 4 / (2 * 3), 1));
    expect(weights.get("b")).toEqual(Float32Array.of(5 / (2 * 3), 5 / (2 * 2)));
  });

  it("balanced of tags are rows without / rows with each, of the rows that say so", () => {
    const sets = ["a|b", "a", "[]", "a|c", null].map((t, i) => ({ filepath: `${i}.png`, t }));
    const ofSets = labelTableFromRows(sets, { tasks: ["t"], filepaths: "filepath" });
    const kinds = { t: { kind: "tags", separator: "|" } };
    const prepared = prepareLabels(ofSets, undefined, {}, { kinds });
    const ofTags = openTasks(prepared.tasks);
    const weights = resolveClassWeights("balanced", ofTags, prepared.train);
    expect([...weights]).toEqual([["t", Float32Array.of(1 / 3, 3, 3)]]);
    const all = { values: Uint8Array.of(1, 0, 255, 1, 0, 0), width: 3 };
    const train = { ...prepared.train, labels: [all] };
    expect(resolveClassWeights("balanced", ofTags, train).get("t")).toEqual(Float32Array.of(1, 1, 1));
    const listed = resolveClassWeights({ t: { c: 4, a: 0.5 } }, ofTags, prepared.train);
    expect([...listed]).toEqual([["t", Float32Array.of(0.5, 1, 4)]]);
    const [fault] = faultsOf(() => resolveClassWeights({ t: { cc: 4 } }, ofTags, prepared.train));
    expect(fault).toMatchObject({ code: "E_CONFIG", message: 'task "t" has no tag "cc"' });
    expect(fault?.hint).toContain('"c"');
  });

  it("of a map are its own, 1 for what it leaves out, and none for tasks that it leaves out", () => {
    const weights = resolveClassWeights({ a: { x: 0.25 } }, tasks, train);
    expect([...weights]).toEqual([["a", Float32Array.of(1, 0.25, 1)]]);
    expect(resolveClassWeights(null, tasks, train).size).toBe(0);
  });

  it("of a class that is a number are its own however the number is written", () => {
    expect([...resolveClassWeights({ b: { "1.0": 5 } }, tasks, train)]).toEqual([
      ["b", Float32Array.of(1, 5)],
    ]);
    const listed = { classes: { b: [0, 1] }, class_weights: { b: { "1.0": 5 } } };
    expect(() => specWith(listed)).not.toThrow();
    const twice = faultsOf(() => specWith({ classes: { b: [1, "1.0"] } })).map(formatFault);
    expect(twice).toEqual([expect.stringContaining('class "1.0" is listed twice (as "1", too)')]);
  });

  it("of classes that no label has are refused by name", () => {
    const faults = faultsOf(() => resolveClassWeights({ a: { X: 1, y: 2, constructor: 3 } }, tasks, train));
    expect(faults.map(({ code, at }) => [code, at?.path])).toEqual([
      ["E_CONFIG", "class_weights.a.X"],
      ["E_CONFIG", "class_weights.a.constructor"],
    ]);
  });

  it("are refused in a spec where a task or a listed class is unknown, or a weight is no number > 0", () => {
    const given = { class_weights: { aa: { x: 1 }, a: { q: 1 } }, classes: { a: ["x", "y"] } };
    expect(faultsOf(() => specWith(given)).map(formatFault)).toEqual([
      expect.stringContaining('class weights of an unknown task "aa"'),
      expect.stringContaining('task "a" has no class "q"'),
    ]);
    for (const weight of [0, -1, Number.NaN, "1"]) {
      const bad = { class_weights: { a: { x: weight } } } as unknown as Partial<SpecInput>;
      expect(faultsOf(() => specWith(bad))[0]?.code, String(weight)).toBe("E_CONFIG");
    }
    expect(faultsOf(() => specWith({ balance_probs: false, balance_classes: true }))).toHaveLength(1);
  });
});
