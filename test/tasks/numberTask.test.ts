// Tasks of numbers: what is known of their labels, the loss and its gradient, and figures beside those of
// scikit-learn 1.7 and PyTorch 2.13. Whole runs are in test/training.
import { describe, expect, test } from "vitest";
import { appendGradients } from "../../compiler/autodiff/reverse.ts";
import { GraphBuilder } from "../../compiler/ir/builder.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import type { NDArray } from "../../compiler/ir/op.ts";
import { buildTaskLoss } from "../../compiler/model/objective.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { kindNamed, openTask } from "../../compiler/tasks/openTask.ts";
import { figureOf } from "../../compiler/tasks/report.ts";
import { OrtLibrary } from "../../runtime/ort/library.ts";
import { runOnOrt } from "../ops/runOnOrt.ts";
import { REFERENCE_DIGITS, REFERENCE_FLOAT32 } from "../tolerances.ts";

const LABELS = [3, -0.5, 2, 7, 4.25];
const ANSWERS = [2.5, 0, 2, 8, 3.5];

function taskOf(loss: "l2" | "huber", mean = [2.2], deviation = [1.5]) {
  return openTask({ task: "weight", kind: "number", mean, deviation, loss });
}

function array(shape: readonly number[], numbers: readonly number[]): NDArray {
  return { dtype: "float32", shape, data: Float64Array.from(numbers) };
}

/** Loss sum, figures, inverse count and the gradient for what the head gives, on both runtimes. */
function runLoss(loss: "l2" | "huber", y: readonly number[], labels: readonly number[]) {
  const rows = labels.length;
  const task = taskOf(loss);
  const b = new GraphBuilder("loss", OPS);
  const head = b.input("y", "float32", [rows, 1]);
  const { objective, figures } = buildTaskLoss(b, task, head, rows);
  for (const [name, value] of Object.entries(figures)) b.output(name, value);
  const given = b.findInput("label/weight");
  if (!given) throw new Error("no labels");
  b.output("inverse", task.inverseCount(b, given, undefined));
  b.output("served", task.served.of(b, head));
  b.output("gradient", appendGradients(b, objective, [head]).get(head) ?? head);
  const graph = b.build();
  const feeds = new Map([
    ["y", array([rows, 1], y)],
    ["label/weight", array([rows, 1], labels)],
  ]);
  const library = OrtLibrary.open();
  return [
    { outputs: interpret(graph, feeds), tolerance: REFERENCE_DIGITS },
    { outputs: runOnOrt(library, graph, feeds, OPS), tolerance: REFERENCE_FLOAT32 },
  ].map(({ outputs, tolerance }) => ({
    tolerance,
    of: (name: string) => [...(outputs.get(name)?.data ?? [])],
  }));
}

/** What the head gives for an answer. */
const standardised = ANSWERS.map((answer) => (answer - 2.2) / 1.5);

describe("the loss", () => {
  test.each([
    ["l2", 0.18333333333333332],
    ["huber", 0.09166666666666659],
  ] as const)(
    "%s of standardised errors is PyTorch's, and what is served has the labels' unit",
    (loss, mean) => {
      for (const { of, tolerance } of runLoss(loss, standardised, LABELS)) {
        expect(Math.abs((of("loss_sum")[0] ?? Number.NaN) / 5 - mean)).toBeLessThan(tolerance);
        expect(of("count")).toEqual([5]);
        expect(Math.abs((of("inverse")[0] ?? Number.NaN) - 0.2)).toBeLessThan(tolerance);
        expect(Math.abs((of("absolute_error")[0] ?? Number.NaN) - 2.75)).toBeLessThan(10 * tolerance);
        of("served").forEach((value, i) => {
          expect(Math.abs(value - (ANSWERS[i] ?? Number.NaN))).toBeLessThan(10 * tolerance);
        });
      }
    },
  );

  test("huber's gradient is z up to 1, and its sign beyond", () => {
    const z = [0.5, -0.25, 3, -7, 0];
    const y = z.map((error, i) => error + ((LABELS[i] ?? 0) - 2.2) / 1.5);
    for (const { of, tolerance } of runLoss("huber", y, LABELS))
      of("gradient").forEach((value, i) => {
        const right = Math.max(-1, Math.min(1, z[i] ?? 0));
        expect(Math.abs(value - right)).toBeLessThan(10 * tolerance);
      });
  });

  test.each(["l2", "huber"] as const)(
    "%s: a row without label gives exactly nothing, whatever its answer holds",
    (loss) => {
      const answers = [Number.NaN, Number.POSITIVE_INFINITY, 1];
      for (const { of } of runLoss(loss, answers, [Number.NaN, Number.NaN, 2.2])) {
        expect(of("gradient").slice(0, 2).map(Math.abs)).toEqual([0, 0]);
        expect(of("gradient")[2]).toBeGreaterThan(0);
        expect(of("count")).toEqual([1]);
      }
      for (const { of } of runLoss(loss, [5, 6], [Number.NaN, Number.NaN])) {
        expect(of("gradient").map(Math.abs)).toEqual([0, 0]);
        expect([of("loss_sum"), of("count"), of("inverse")]).toEqual([[0], [0], [0]]);
      }
    },
  );
});

describe("the labels of a column", () => {
  const { settings, describe: describeTask } = kindNamed("number") ?? {};
  const column = (names: readonly string[], rows: readonly number[]) =>
    describeTask?.("weight", { loss: "l2" }, { names, rows });

  test("mean and population deviation are those of the rows, not of the different labels", () => {
    expect(Object.keys(settings ?? {})).toEqual(["loss", "columns"]);
    expect(column(["1", "4"], [3, 1])).toMatchObject({ mean: [1.75], deviation: [Math.sqrt(27 / 16)] });
    expect(column(["12"], [4])).toMatchObject({ mean: [12], deviation: [1] });
  });

  test("a decimal number is one however it is written; nothing else is", () => {
    const texts = ["1", "+1.50", ".5", "-2e3", "1e39", "0x10", "1,5", "", "Infinity", "a"];
    expect([...taskOf("l2").label.encode(texts)]).toEqual([
      ...[1, 1.5, 0.5, -2000],
      ...Array.from({ length: 6 }, () => Number.NaN),
    ]);
  });

  test("fall into groups by their deviations from the mean", () => {
    const { names, of } = taskOf("l2", [10], [2]).groups;
    expect(names).toEqual(["below 6", "6 to 8", "8 to 10", "10 to 12", "12 to 14", "14 and more"]);
    expect([5.9, 6, 9.9, 10, 100, Number.NaN].map((value) => of([value]))).toEqual([
      ...[[0], [1], [2], [3], [5], []],
    ]);
  });
});

describe("an evaluation", () => {
  const close = (value: number, right: number) =>
    expect(Math.abs(value - right)).toBeLessThan(REFERENCE_DIGITS);

  test("has scikit-learn's figures, those of the training mean beside them, and skips what has no label", () => {
    const evaluation = taskOf("huber").evaluation();
    evaluation.add(Float32Array.from([...ANSWERS.slice(0, 2), 99]), [...LABELS.slice(0, 2), Number.NaN]);
    evaluation.add(Float32Array.from([...ANSWERS.slice(2), 0]), LABELS.slice(2));
    const report = evaluation.report();
    expect(report.labelled).toBe(5);
    const right = { loss: 0.09166666666666659, mae: 0.55, rmse: 0.6422616289332564, r2: 0.9328175895765473 };
    for (const [name, value] of Object.entries(right)) close(figureOf(report, name), value);
    close(figureOf(report, "meanMae"), 2.11);
    close(figureOf(report, "meanRmse"), 2.65377090194312);
    close(taskOf("huber").reports.gain(report), 0.9328175895765473);
  });

  test("of vectors are means over their numbers", () => {
    const evaluation = taskOf("l2", [0, 0], [1, 1]).evaluation();
    evaluation.add(Float32Array.of(0, 2, -1, 2, 8, -5), [0.5, 1, -1, 1, 7, -6]);
    const report = evaluation.report();
    close(figureOf(report, "r2"), 0.9368005266622779);
    close(figureOf(report, "mae"), 0.75);
    close(figureOf(report, "rmse"), 0.8227486121839513);
  });

  test("without a labelled row, or with equal ones, says so", () => {
    const { labelled, loss, mae } = taskOf("l2").evaluation().report();
    expect([labelled, loss, mae]).toEqual([0, Number.NaN, Number.NaN]);
    const evaluation = taskOf("l2").evaluation();
    evaluation.add(Float32Array.of(1, 2), [3, 3]);
    expect(evaluation.report().r2).toBeNaN();
  });
});
