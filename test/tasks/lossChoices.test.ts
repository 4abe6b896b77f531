// Smoothed labels, focal losses and distances from a teacher, with their gradients, beside those of PyTorch,
// Keras and torchvision (test/fixtures/losses). Whole runs are in test/training.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { appendGradients } from "../../compiler/autodiff/reverse.ts";
import { GraphBuilder } from "../../compiler/ir/builder.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import type { NDArray } from "../../compiler/ir/op.ts";
import type { DType, Value } from "../../compiler/ir/types.ts";
import { buildTaskLoss, lossChoicesOf } from "../../compiler/model/objective.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import { openTask } from "../../compiler/tasks/openTask.ts";
import { type LossChoices, PLAIN_LOSS, type Task } from "../../compiler/tasks/task.ts";
import { OrtLibrary } from "../../runtime/ort/library.ts";
import { runOnOrt } from "../ops/runOnOrt.ts";
import { REFERENCE_DIGITS, REFERENCE_FLOAT32 } from "../tolerances.ts";

const path = join(import.meta.dirname, "../fixtures/losses/loss-choices.json");
const known = JSON.parse(readFileSync(path, "utf8"));
const library = OrtLibrary.open();

function array(dtype: DType, shape: readonly number[], numbers: readonly number[]): NDArray {
  return { dtype, shape, data: Float64Array.from(numbers) };
}

/** The sum and its gradient by `y` [rows, width], on both runtimes. */
function runSum(
  task: Task,
  feeds: ReadonlyMap<string, NDArray>,
  emit: (b: GraphBuilder, y: Value) => { readonly sum: Value; readonly figure?: Value | undefined },
) {
  const b = new GraphBuilder("loss", OPS);
  const y = b.input("y", "float32", feeds.get("y")?.shape ?? [0, task.width]);
  const { sum, figure = sum } = emit(b, y);
  b.output("sum", sum);
  b.output("figure", figure);
  b.output("gradient", appendGradients(b, sum, [y]).get(y) ?? y);
  const graph = b.build();
  return [
    { outputs: interpret(graph, feeds), tolerance: REFERENCE_DIGITS },
    { outputs: runOnOrt(library, graph, feeds, OPS), tolerance: REFERENCE_FLOAT32 },
  ].map(({ outputs, tolerance }) => ({
    tolerance,
    of: (name: string) => [...(outputs.get(name)?.data ?? [])],
  }));
}

function expectClose(found: readonly number[], wanted: readonly number[], tolerance: number): void {
  expect(found).toHaveLength(wanted.length);
  found.forEach((value, i) => {
    const right = wanted[i] ?? Number.NaN;
    expect(Math.abs(value - right)).toBeLessThan(10 * tolerance * Math.max(1, Math.abs(right)));
  });
}

const species = openTask({ task: "species", classes: ["a", "b", "c", "d"] });
const marks = openTask({ task: "marks", kind: "tags", tags: ["p", "q", "r"], separator: "|" });

/** What is trained of a task with its choices. */
function runChoices(
  task: Task,
  y: readonly number[],
  labels: readonly number[],
  { choices, weights }: { readonly choices: LossChoices; readonly weights?: readonly number[] },
) {
  const rows = y.length / task.width;
  const { dtype, shape } = task.label;
  const feeds = new Map([
    ["y", array("float32", [rows, task.width], y)],
    [`label/${task.name}`, array(dtype, [rows, ...shape], labels)],
    ...(weights ? [[`class_weight/${task.name}`, array("float32", [task.width], weights)] as const] : []),
  ]);
  return runSum(task, feeds, (b, head) => {
    const given = weights && ({ formula: "constant", value: weights } as const);
    const { objective, figures } = buildTaskLoss(b, task, head, rows, given, choices);
    return { sum: objective, figure: figures.loss_sum };
  });
}

describe("a loss of classes", () => {
  const { logits, labels, weights, cases } = known.classes;

  test.each(cases as { labelSmoothing: number; gamma: number; weighs: boolean }[])(
    "with label smoothing $labelSmoothing, gamma $gamma, weights $weighs is PyTorch's or Keras's",
    (choices) => {
      const { sum, gradient } = choices as unknown as { sum: number; gradient: number[] };
      const given = choices.weighs ? { choices, weights } : { choices };
      const plain = runChoices(species, logits, labels, { choices: PLAIN_LOSS });
      runChoices(species, logits, labels, given).forEach(({ of, tolerance }, i) => {
        expectClose(of("sum"), [sum], tolerance);
        expectClose(of("gradient"), gradient, tolerance);
        // What is reported is the plain cross-entropy.
        expect(of("figure")).toEqual(plain[i]?.of("figure"));
      });
    },
  );

  test("a row without label gives exactly nothing, whatever its logits hold", () => {
    const y = [Number.NaN, 1, 2, Number.POSITIVE_INFINITY, 0.5, -1, 2, 0];
    const choices = { labelSmoothing: 0.2, gamma: 0.5 };
    for (const weights of [undefined, [1, 2, 0.5, 3]])
      for (const { of } of runChoices(species, y, [-1, 2], { choices, ...(weights ? { weights } : {}) })) {
        expect(of("gradient").slice(0, 4).map(Math.abs)).toEqual([0, 0, 0, 0]);
        expect(
          of("gradient")
            .slice(4)
            .every((value) => value !== 0 && Number.isFinite(value)),
        ).toBe(true);
      }
  });

  test("focal: a row that is as sure as float32 can say has a finite gradient for any gamma", () => {
    for (const gamma of [0.1, 1, 2])
      for (const { of } of runChoices(species, [90, 0, 0, 0], [0], { choices: { labelSmoothing: 0, gamma } }))
        expect(of("gradient").every((value) => Math.abs(value) < REFERENCE_FLOAT32)).toBe(true);
  });
});

describe("a focal loss of tags", () => {
  const { logits, labels, cases } = known.tags;

  test.each(cases as { gamma: number }[])("with gamma $gamma is torchvision's", ({ gamma, ...right }) => {
    const { sum, gradient } = right as unknown as { sum: number; gradient: number[] };
    const choices = { labelSmoothing: 0, gamma };
    for (const { of, tolerance } of runChoices(marks, logits, labels, { choices })) {
      expectClose(of("sum"), [sum], tolerance);
      expectClose(of("gradient"), gradient, tolerance);
    }
  });

  test("what nobody said of a tag gives exactly nothing", () => {
    const y = [Number.NaN, 1, Number.NEGATIVE_INFINITY];
    for (const { of } of runChoices(marks, y, [255, 1, 255], { choices: { labelSmoothing: 0, gamma: 2 } })) {
      expect([of("gradient")[0], of("gradient")[2]].map((value) => Math.abs(value ?? 1))).toEqual([0, 0]);
      expect(of("gradient")[1]).toBeLessThan(0);
    }
  });
});

describe("a teacher's answers", () => {
  const { tags, number } = known.teachers;
  const { mean, deviation } = number;
  const sizes = openTask({ task: "sizes", kind: "number", mean, deviation, loss: "huber" });

  test.each([
    ["probabilities of tags: the mean divergence of having each or not, PyTorch's", marks, tags],
    ["numbers: the squared difference in deviations of the student's labels", sizes, number],
  ])("%s", (_, task, { y, teacher, sum, gradient }) => {
    const shape = [y.length / task.width, task.width];
    const feeds = new Map([
      ["y", array("float32", shape, y)],
      ["teacher", array("float32", shape, teacher)],
    ]);
    const runs = runSum(task, feeds, (b, head) => ({
      sum: task.distil?.(b, head, b.input("teacher", "float32", shape)) ?? head,
    }));
    for (const { of, tolerance } of runs) {
      expectClose(of("sum"), [sum], tolerance);
      expectClose(of("gradient"), gradient, tolerance);
    }
  });

  test("that are certain of tags give a finite divergence", () => {
    const feeds = new Map([
      ["y", array("float32", [1, 3], [2, -1, 0])],
      ["teacher", array("float32", [1, 3], [1, 0, 1])],
    ]);
    const runs = runSum(marks, feeds, (b, head) => ({
      sum: marks.distil?.(b, head, b.input("teacher", "float32", [1, 3])) ?? head,
    }));
    const right = (Math.log1p(Math.exp(-2)) + Math.log1p(Math.exp(-1)) + Math.LN2) / 3;
    for (const { of, tolerance } of runs) expectClose(of("sum"), [right], tolerance);
  });
});

test("a spec chooses for all tasks, and an entry for its own", () => {
  const spec = resolveSpec({
    fcn: { layers: [2] },
    tasks: [
      "plain",
      { name: "own", kind: "classes", label_smoothing: 0, loss: "cross_entropy" },
      { name: "focal", kind: "classes", loss: "focal" },
      { name: "marks", kind: "tags", loss: "focal", gamma: 0.5 },
    ],
    label_smoothing: 0.1,
    focal_gamma: 3,
  });
  expect(Object.keys(spec.task_kinds)).toEqual(["own", "focal", "marks"]);
  expect(spec.tasks.map((name) => lossChoicesOf(spec, { name }))).toEqual([
    { labelSmoothing: 0.1, gamma: 3 },
    { labelSmoothing: 0, gamma: 0 },
    { labelSmoothing: 0.1, gamma: 2 },
    { labelSmoothing: 0.1, gamma: 0.5 },
  ]);
  expect(resolveSpec(JSON.parse(JSON.stringify(spec)))).toEqual(spec);
});
