// Kinds of tasks in a spec: entries of `tasks` that are maps, and what is said where they are wrong.
import { expect, test } from "vitest";
import { parseSpec, resolveSpec } from "../../compiler/spec/parseSpec.ts";
import { faultsOf } from "./faultsOf.ts";

const rest = { fcn: { layers: [2] } };

test("an entry may be a map; names stay names, kinds stand beside them", () => {
  const spec = resolveSpec({
    ...rest,
    tasks: [
      "species",
      { name: "weight", kind: "number", loss: "huber" },
      { name: "age", kind: "number" },
      { name: "colour", kind: "classes" },
      { name: "marks", kind: "tags" },
    ],
  });
  expect(spec.tasks).toEqual(["species", "weight", "age", "colour", "marks"]);
  expect(spec.task_kinds).toEqual({
    weight: { kind: "number", loss: "huber" },
    age: { kind: "number", loss: "l2" },
    marks: { kind: "tags", separator: "|" },
  });
  expect(resolveSpec(JSON.parse(JSON.stringify(spec)))).toEqual(spec);
});

test("a spec of classes alone is as it was, but for the new key", () => {
  const { tasks, task_kinds } = resolveSpec({ ...rest, tasks: ["a", "b"] });
  expect([tasks, task_kinds]).toEqual([["a", "b"], {}]);
});

test.each([
  ["{name: w, kind: nmber}", 'expected a kind of tasks: "classes" or "number" or "tags", found'],
  ["{name: w}", "missing; expected a kind of tasks"],
  ["{name: w, kind: tags, separator: ab}", "expected one character that is no letter"],
  ["{name: w, kind: tags, columns: []}", "expected a list of 1 to 10000 different columns"],
  ["{name: w, kind: tags, columns: [red, red]}", "expected a list of 1 to 10000 different columns"],
  ["{name: w, kind: tags, columns: [red, 7]}", "expected the name of a column, found 7"],
  ["{name: w, kind: tags, columns: [red], separator: ;}", "nothing is separated"],
  ["{name: w, kind: number, columns: [x, filepath]}", '"filepath" is the column of image paths, no label'],
  ["{name: w, kind: classes, columns: [x, y]}", 'unknown key "columns"'],
  ["{name: w, kind: tags, loss: l2}", 'expected "cross_entropy" or "focal", found "l2"'],
  ["{name: w, kind: tags, gamma: 2}", "only the focal loss has a gamma"],
  ["{name: w, kind: classes, loss: focal, gamma: 11}", "expected a number from 0 to 10, found 11"],
  ["{name: w, kind: classes, label_smoothing: 1}", "expected a number from 0 on, below 1, found 1"],
  ["{name: w, kind: tags, label_smoothing: 0.1}", 'unknown key "label_smoothing"'],
  ["{name: w, kind: number, loss: l1}", 'expected "l2" or "huber", found "l1"'],
  ["{name: w, kind: number, los: l2}", 'unknown key "los"'],
  ["{name: a/b, kind: number}", "expected a task's name"],
  ["{kind: number}", "missing; expected a task's name"],
  ["7", "expected a task's name"],
  ["{name: a, kind: number}", 'task "a" is listed twice'],
])("the entry %s is refused with its place", (entry, message) => {
  const text = `tasks:\n  - a\n  - ${entry}\nfcn: {layers: [2]}\n`;
  const [fault] = faultsOf(() => parseSpec(text, "spec.yml"));
  expect(fault?.code).toBe("E_CONFIG");
  expect(fault?.message).toContain(message);
  expect([fault?.at?.file, fault?.at?.line]).toEqual(["spec.yml", 3]);
});

test.each([
  ["{name: w, kind: nmber}", 'did you mean "number"?'],
  ["{name: w, kind: number, loss: hubber}", 'did you mean "huber"?'],
  ["{name: w, kind: tags, loss: fcal}", 'did you mean "focal"?'],
  ["{name: w, kind: 7}", undefined],
  ["{name: w, kind: regression}", undefined],
])("a mistyped word of the entry %s is answered with the nearest", (entry, hint) => {
  const [fault] = faultsOf(() => parseSpec(`tasks: [${entry}]\nfcn: {layers: [2]}\n`, "spec.yml"));
  expect(fault?.hint).toBe(hint);
});

test("a mistyped word of any key is answered with the nearest", () => {
  const text = "tasks: [a]\nfcn: {layers: [2]}\noptimizer: adm\nglobal_pooling: averge\n";
  expect(faultsOf(() => parseSpec(text, "spec.yml")).map(({ hint }) => hint)).toEqual([
    expect.stringContaining('"adam"'),
    'did you mean "average"?',
  ]);
});

test("a group of columns and the weights of its tags are those that the spec names", () => {
  const { task_kinds, class_weights } = resolveSpec({
    ...rest,
    tasks: [{ name: "colours", kind: "tags", columns: ["red", " green "] }],
    class_weights: { colours: { red: 2 } },
  });
  expect(task_kinds.colours).toEqual({ kind: "tags", separator: "|", columns: ["red", "green"] });
  expect(class_weights).toEqual({ colours: { red: 2 } });
});

test.each([
  ["classes: {w: [a, b]}", 'task "w" is of the kind number'],
  ["class_weights: {w: {a: 2}}", 'task "w" is of the kind number'],
  ["task_kinds: {v: {kind: number}}", 'kind of an unknown task "v"'],
])("%s is refused where the task is a number or unknown", (line, message) => {
  const text = `tasks: [{name: w, kind: number}]\nfcn: {layers: [2]}\n${line}\n`;
  const [fault] = faultsOf(() => parseSpec(text, "spec.yml"));
  expect(fault?.message).toContain(message);
});
