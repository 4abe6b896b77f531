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
  ["{name: w, kind: tags, columns: [red, blue]}", "not available yet: tags in columns of 0 and 1"],
  ["{name: w, kind: tags, loss: l2}", 'unknown key "loss"'],
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
  ["classes: {w: [a, b]}", 'task "w" is of the kind number'],
  ["class_weights: {w: {a: 2}}", 'task "w" is of the kind number'],
  ["task_kinds: {v: {kind: number}}", 'kind of an unknown task "v"'],
])("%s is refused where the task is a number or unknown", (line, message) => {
  const text = `tasks: [{name: w, kind: number}]\nfcn: {layers: [2]}\n${line}\n`;
  const [fault] = faultsOf(() => parseSpec(text, "spec.yml"));
  expect(fault?.message).toContain(message);
});
