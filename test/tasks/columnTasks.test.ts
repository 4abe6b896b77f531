// Tasks whose labels lie in several columns of a table: several numbers of an image, each measured or not,
// and tags in columns of 0 and 1. Whole runs are in test/training.
import { describe, expect, test } from "vitest";
import { appendGradients } from "../../compiler/autodiff/reverse.ts";
import { GraphBuilder } from "../../compiler/ir/builder.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import type { NDArray } from "../../compiler/ir/op.ts";
import { buildTaskLoss } from "../../compiler/model/objective.ts";
import { OPS } from "../../compiler/ops/table.ts";
import type { NumberReport } from "../../compiler/tasks/numberEvaluation.ts";
import { kindNamed, openTask } from "../../compiler/tasks/openTask.ts";
import { figureOf } from "../../compiler/tasks/report.ts";
import { OrtLibrary } from "../../runtime/ort/library.ts";
import { runOnOrt } from "../ops/runOnOrt.ts";
import { REFERENCE_DIGITS, REFERENCE_FLOAT32 } from "../tolerances.ts";

const NONE = Number.NaN;
const MEAN = [10, -2, 0.5];
const DEVIATION = [4, 0.5, 2];

function boxTask(loss: "l2" | "huber" = "l2") {
  const columns = ["x", "y", "w"];
  return openTask({ task: "box", kind: "number", mean: MEAN, deviation: DEVIATION, loss, columns });
}

/** Loss sum, figures, inverse count and the gradient for what the head gives [rows, 3], on both runtimes. */
function runLoss(loss: "l2" | "huber", y: readonly number[], labels: readonly number[]) {
  const shape = [labels.length / 3, 3];
  const task = boxTask(loss);
  const b = new GraphBuilder("loss", OPS);
  const head = b.input("y", "float32", shape);
  const { objective, figures } = buildTaskLoss(b, task, head, shape[0] ?? 0);
  expect(Object.keys(figures)).toEqual(task.figures);
  for (const [name, value] of Object.entries(figures)) b.output(name, value);
  const given = b.findInput("label/box");
  if (!given) throw new Error("no labels");
  b.output("inverse", task.inverseCount(b, given, undefined));
  b.output("served", task.served.of(b, head));
  b.output("gradient", appendGradients(b, objective, [head]).get(head) ?? head);
  const graph = b.build();
  const array = (numbers: readonly number[]): NDArray => ({
    ...{ dtype: "float32", shape, data: Float64Array.from(numbers) },
  });
  const feeds = new Map([
    ["y", array(y)],
    ["label/box", array(labels)],
  ]);
  const library = OrtLibrary.open();
  return [
    { outputs: interpret(graph, feeds), tolerance: REFERENCE_DIGITS },
    { outputs: runOnOrt(library, graph, feeds, OPS), tolerance: 10 * REFERENCE_FLOAT32 },
  ].map(({ outputs, tolerance }) => ({
    of: (name: string) => [...(outputs.get(name)?.data ?? [])],
    expectClose: (name: string, wanted: readonly number[]) => {
      const found = [...(outputs.get(name)?.data ?? [])];
      expect(found).toHaveLength(wanted.length);
      for (const [i, value] of found.entries())
        expect(Math.abs(value - (wanted[i] ?? NONE)), `${name}[${i}]`).toBeLessThan(tolerance);
    },
  }));
}

describe("the loss of several numbers", () => {
  // z of the known ones: 0.5 and 3 of the first row, -1 of the second; the third has none.
  const labels = [10, NONE, 0.5, NONE, -1.5, NONE, NONE, NONE, NONE];
  const y = [0.5, 7, 3, -7, 0, 1, 2, 3, 4];

  test("is the mean over a row's known ones, summed over the rows that have any", () => {
    for (const run of runLoss("l2", y, labels)) {
      run.expectClose("loss_sum", [(0.25 + 9) / 2 + 1]);
      run.expectClose("absolute_error", [(2 + 6) / 2 + 0.5]);
      run.expectClose("gradient", [0.5, 0, 3, 0, -2, 0, 0, 0, 0]);
      expect([run.of("count"), run.of("inverse")]).toEqual([[2], [0.5]]);
      run.expectClose("served", [12, 1.5, 6.5, -18, -2, 2.5, 18, -0.5, 8.5]);
    }
    for (const run of runLoss("huber", y, labels)) {
      run.expectClose("loss_sum", [(0.125 + 2.5) / 2 + 0.5]);
      run.expectClose("gradient", [0.25, 0, 0.5, 0, -1, 0, 0, 0, 0]);
    }
  });

  test.each(["l2", "huber"] as const)("%s: a number that is missing gives exactly nothing", (loss) => {
    const answers = [NONE, 1, Number.POSITIVE_INFINITY, NONE, NONE, NONE];
    for (const { of } of runLoss(loss, answers, [NONE, -2, NONE, NONE, NONE, NONE])) {
      const [first, second, ...others] = of("gradient");
      expect([first, ...others].map((value) => Math.abs(value ?? 1))).toEqual([0, 0, 0, 0, 0]);
      expect(second).toBeGreaterThan(0);
      expect(of("count")).toEqual([1]);
    }
    for (const { of } of runLoss(loss, [5, 6, 7], [NONE, NONE, NONE]))
      expect([of("loss_sum"), of("count"), of("inverse")]).toEqual([[0], [0], [0]]);
  });
});

describe("several numbers of an image", () => {
  test("have a mean and a deviation each, of the rows that have them", () => {
    const columns = [
      { names: ["1", "4"], rows: [3, 1] },
      { names: ["7"], rows: [2] },
      { names: [], rows: [] },
    ] as const;
    const settings = { loss: "huber", columns: ["x", "y", "w"] };
    const description = kindNamed("number")?.describe("box", settings, ...columns);
    expect(description).toEqual({
      ...{ task: "box", kind: "number", loss: "huber", columns: ["x", "y", "w"] },
      ...{ mean: [1.75, 7, 0], deviation: [Math.sqrt(27 / 16), 1, 1] },
    });
  });

  test("are evaluated each over the rows that have it; figures are means of those", () => {
    const evaluation = boxTask().evaluation();
    evaluation.add(Float32Array.of(12, -2, 1, 8, 0, 3, 9, 9, 9), [
      10,
      NONE,
      0,
      12,
      -1,
      NONE,
      NONE,
      NONE,
      NONE,
    ]);
    const report = evaluation.report() as NumberReport;
    expect(report.labelled).toBe(2);
    expect(report.perNumber?.map(({ labelled, mae }) => [labelled, mae])).toEqual([
      ...[[2, 3], [1, 1], [1, 1]], // biome-ignore format: a list
    ]);
    expect(Math.abs(report.mae - 5 / 3)).toBeLessThan(REFERENCE_DIGITS);
    // Errors 2 and -4 of x, 1 of y, 1 of w, in deviations.
    const loss = ((0.5 ** 2 + 0.5 ** 2) / 2 + (1 + 4) / 2) / 2;
    expect(Math.abs(report.loss - loss)).toBeLessThan(REFERENCE_DIGITS);
    // Of y and w one row alone is known: R2 is that of x.
    expect(Math.abs(report.r2 - (1 - 20 / 2))).toBeLessThan(REFERENCE_DIGITS);
    const { details, tables, gain } = boxTask().reports;
    expect(details?.restore(JSON.parse(JSON.stringify(details.store(report))))).toEqual({
      perNumber: report.perNumber,
    });
    const [table] = tables?.(report) ?? [];
    expect(table?.rows.map(([name, rows]) => [name, rows])).toEqual([
      ...[["x", "2"], ["y", "1"], ["w", "1"]], // biome-ignore format: a list
    ]);
    expect(gain(report)).toBe(report.r2);
    expect(figureOf(boxTask().evaluation().report(), "mae")).toBeNaN();
  });

  test("that are no numbers show in every figure", () => {
    const evaluation = boxTask().evaluation();
    evaluation.add(Float32Array.of(NONE, 0, 1, 1, 1, 1), [10, -1, 0, 12, -2, 1]);
    const { mae, r2 } = evaluation.report() as NumberReport;
    expect([mae, r2]).toEqual([NONE, NONE]);
  });

  test("are counted by ranges of each, predicted by name, and shown as far as there is room", () => {
    const { groups, answers, numbers } = boxTask();
    expect(numbers).toEqual(["x", "y", "w"]);
    expect(groups.names).toHaveLength(18);
    expect([groups.names[0], groups.names[11]]).toEqual(["x below 2", "y -1 and more"]);
    expect([groups.of([1, NONE, 0.5]), groups.of([NONE, -1, NONE]), groups.of([NONE, NONE, NONE])]).toEqual([
      ...[[0, 15], [11], []], // biome-ignore format: a list
    ]);
    const answer = answers.read([12.25, -2, 0.1]);
    expect(answer).toEqual({ values: { x: 12.25, y: -2, w: 0.1 } });
    expect(answers.values(answer)).toEqual([
      [
        ["x", 12.25],
        ["y", -2],
        ["w", 0.1],
      ],
    ]);
    expect([answers.wide, answers.wideValues(answer)]).toEqual([
      ["x", "y", "w"],
      [12.25, -2, 0.1],
    ]);
    expect(answers.shown.text(answer)).toBe("x 12.25, y -2, w 0.1");
    expect(answers.accepts([1, 2, NONE])).toBe(false);
    const many = Array.from({ length: 9 }, (_, i) => i);
    const vector = openTask({
      task: "v",
      kind: "number",
      mean: many,
      deviation: many.map(() => 1),
      loss: "l2",
    });
    expect(vector.answers.shown.text(vector.answers.read(many))).toMatch(/^v 0 0, v 1 1, .*v 5 5 \+ 3$/);
  });
});

describe("tags in columns", () => {
  const settings = { separator: "|", columns: ["red", "b|lue"] };
  const column = { names: ["1", "0"], rows: [1, 1] };
  const description = kindNamed("tags")?.describe("colours", settings, column, column);
  const { label, answers } = openTask(description ?? { task: "" });

  test("are the columns in their order, whatever they are called", () => {
    expect(description).toEqual({
      ...{ task: "colours", kind: "tags", tags: ["red", "b|lue"], separator: "|", columns: ["red", "b|lue"] },
    });
    expect([label.shape, label.columns]).toEqual([[2], ["red", "b|lue"]]);
    expect(answers.read([0.9, 0.7]).tags).toEqual(["red", "b|lue"]);
  });

  test("say 0 or 1 as tables write it, and nothing else", () => {
    const cells = ["0", "1", "1.0", "0.00", "true", "FALSE", "True", "2", "-1", "yes", "a"];
    expect([...label.encode(cells)]).toEqual([0, 1, 1, 0, 1, 0, 1, 255, 255, 255, 255]);
    expect(label.expected("the spec lists", "2")).toMatch(/^0, 1 or empty/);
  });
});
