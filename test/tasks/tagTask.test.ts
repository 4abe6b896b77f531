// Tasks of tags: cells, the loss and its gradient, figures beside those of scikit-learn 1.9, answers. Whole
// runs are in test/training.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { appendGradients } from "../../compiler/autodiff/reverse.ts";
import { GraphBuilder } from "../../compiler/ir/builder.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import type { NDArray } from "../../compiler/ir/op.ts";
import type { DType } from "../../compiler/ir/types.ts";
import { buildTaskLoss } from "../../compiler/model/objective.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { kindNamed, openTask } from "../../compiler/tasks/openTask.ts";
import { figureOf } from "../../compiler/tasks/report.ts";
import { tagsOf } from "../../compiler/tasks/tagCells.ts";
import type { TagReport } from "../../compiler/tasks/tagEvaluation.ts";
import { OrtLibrary } from "../../runtime/ort/library.ts";
import { runOnOrt } from "../ops/runOnOrt.ts";
import { faultsOf } from "../spec/faultsOf.ts";
import { REFERENCE_DIGITS, REFERENCE_FLOAT32 } from "../tolerances.ts";

const HOLE = 255;

function taskOf(tags: readonly string[] = ["a", "b"]) {
  return openTask({ task: "colours", kind: "tags", tags, separator: "|" });
}

function array(dtype: DType, shape: readonly number[], numbers: readonly number[]): NDArray {
  return { dtype, shape, data: Float64Array.from(numbers) };
}

/** Loss sum, figures, inverse count and the gradient for logits [rows, 2], on both runtimes. */
function runLoss(y: readonly number[], labels: readonly number[], weights?: readonly number[]) {
  const shape = [labels.length / 2, 2];
  const task = taskOf();
  const b = new GraphBuilder("loss", OPS);
  const head = b.input("y", "float32", shape);
  const { objective, figures } = buildTaskLoss(
    ...([b, task, head, shape[0] ?? 0] as const),
    weights && { formula: "balanced_positives" },
  );
  expect(Object.keys(figures)).toEqual(task.figures);
  for (const [name, value] of Object.entries(figures)) b.output(name, value);
  const given = b.findInput("label/colours");
  if (!given) throw new Error("no labels");
  b.output("inverse", task.inverseCount(b, given, undefined));
  b.output("gradient", appendGradients(b, objective, [head]).get(head) ?? head);
  const graph = b.build();
  const feeds = new Map([
    ["y", array("float32", shape, y)],
    ["label/colours", array("uint8", shape, labels)],
    ...(weights ? [["class_weight/colours", array("float32", [2], weights)] as const] : []),
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

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/** By PyTorch 2.13 for the logits, labels and weights of the test of weights below. */
const POSITIVE_GRADIENT = [
  ...[-0.566311003197218, 0.05960146101105877, 0, -0.21891174955710097],
  ...[0.36552928931500245, -0.18276464465750122],
];

describe("the loss", () => {
  test("is the mean over a row's known tags, summed over the labelled rows; its gradient (s(y) - t) / known", () => {
    const y = [0.5, -2, 3, 30, -30, 1];
    const labels = [1, 0, HOLE, 0, HOLE, HOLE];
    const first = (Math.log1p(Math.exp(-0.5)) + Math.log1p(Math.exp(-2))) / 2;
    for (const { of, tolerance } of runLoss(y, labels)) {
      const loss = first + Math.log1p(Math.exp(30));
      expect(Math.abs((of("loss_sum")[0] ?? Number.NaN) - loss) / loss).toBeLessThan(tolerance);
      expect([of("count"), of("inverse")]).toEqual([[2], [0.5]]);
      expect([of("true_positives"), of("predicted_positives"), of("label_positives")]).toEqual([
        ...[[1], [2], [1]],
      ]);
      const right = [(sigmoid(0.5) - 1) / 2, sigmoid(-2) / 2, 0, sigmoid(30), 0, 0];
      of("gradient").forEach((value, i) => {
        expect(Math.abs(value - (right[i] ?? Number.NaN))).toBeLessThan(tolerance);
      });
    }
  });

  test("with weights of positives is PyTorch's with pos_weight in what is trained, and unweighted in figures", () => {
    const y = [0.5, -2, 3, 0.25, 1, -1];
    const labels = [1, 0, HOLE, 1, 0, 1];
    const plain = (x: number, t: number) => Math.log1p(Math.exp(x)) - t * x;
    const sum = (plain(0.5, 1) + plain(-2, 0)) / 2 + plain(0.25, 1) + (plain(1, 0) + plain(-1, 1)) / 2;
    for (const { of, tolerance } of runLoss(y, labels, [3, 0.5])) {
      expect(Math.abs((of("loss_sum")[0] ?? Number.NaN) - sum)).toBeLessThan(tolerance);
      expect(Math.abs((of("inverse")[0] ?? Number.NaN) - 1 / 3)).toBeLessThan(tolerance);
      of("gradient").forEach((value, i) => {
        expect(Math.abs(value - (POSITIVE_GRADIENT[i] ?? Number.NaN))).toBeLessThan(tolerance);
      });
    }
  });

  test("what nobody said of a tag gives exactly nothing, whatever the logit holds", () => {
    const logits = [Number.NaN, 2, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    for (const { of } of runLoss(logits, [HOLE, 1, HOLE, HOLE])) {
      const gradient = of("gradient").map(Math.abs);
      expect([gradient[0], gradient[2], gradient[3]]).toEqual([0, 0, 0]);
      expect(gradient[1]).toBeGreaterThan(0);
      expect([of("count"), of("predicted_positives")]).toEqual([[1], [1]]);
    }
    for (const { of } of runLoss([5, 6], [HOLE, HOLE])) {
      expect(of("gradient").map(Math.abs)).toEqual([0, 0]);
      expect([of("loss_sum"), of("count"), of("inverse")]).toEqual([[0], [0], [0]]);
    }
  });

  test("a row without tags is a label: all of them are 0", () => {
    for (const { of, tolerance } of runLoss([0, 0], [0, 0])) {
      expect(Math.abs((of("loss_sum")[0] ?? Number.NaN) - Math.LN2)).toBeLessThan(tolerance);
      expect([of("count"), of("label_positives")]).toEqual([[1], [0]]);
    }
  });
});

describe("the labels of a column", () => {
  test.each([
    ["a|b", "|", ["a", "b"]],
    [" b | a|b ", "|", ["b", "a"]],
    ["[]", "|", []],
    ["[ ]", "|", []],
    ['["a","b"]', "|", ["a", "b"]],
    ['["a|b", 7.0]', "|", ["a|b", "7"]],
    ['{"choices": ["a", "b"]}', "|", ["a", "b"]],
    ["1.0|01", "|", ["1"]],
    ["a;b|c", ";", ["a", "b|c"]],
    ["clear  primary road", " ", ["clear", "primary", "road"]],
    ["a||b", "|", undefined],
    ["a|", "|", undefined],
    ["", "|", undefined],
    ['["a", ["b"]]', "|", undefined],
    ['["a", ""]', "|", undefined],
  ])("%s by %s", (label, separator, tags) => {
    expect(tagsOf(label, separator)).toEqual(tags);
  });

  test("what is no JSON list is a tag as it stands", () => {
    expect([tagsOf("[x]", "|"), tagsOf("{a}", "|")]).toEqual([["[x]"], ["{a}"]]);
  });

  const describeTask = (names: readonly string[], separator = "|") =>
    kindNamed("tags")?.describe("colours", { separator }, { names, rows: names.map(() => 1) });

  test("are the tags that occur, in order, once each", () => {
    expect(describeTask(["b|a", "[]", "a|c", "d||e"])).toEqual({
      ...{ task: "colours", kind: "tags", tags: ["a", "b", "c"], separator: "|" },
    });
    expect(describeTask(["10|9", "9"])).toMatchObject({ tags: ["9", "10"] });
  });

  test("none, and too many, are told", () => {
    expect(faultsOf(() => describeTask(["[]"]))[0]).toMatchObject({ code: "E_TASK_EMPTY" });
    const words = Array.from({ length: 10_001 }, (_, i) => `w${i}`).join("|");
    const [fault] = faultsOf(() => describeTask([words]));
    expect(fault).toMatchObject({ code: "E_LABEL", message: expect.stringContaining("10001") });
  });

  test("a set is 0 and 1; one with an unknown tag is missing whole", () => {
    const { label, groups } = taskOf();
    expect([...label.encode(["a", "[]", "b|a", "a|z", "a||b"])]).toEqual([
      ...[1, 0, 0, 0, 1, 1],
      ...[HOLE, HOLE, HOLE, HOLE],
    ]);
    expect(groups.names).toEqual(["a", "b", "[]"]);
    const rows = [[1, 0], [1, 1], [0, 0], [HOLE, 1], [HOLE, 0], [HOLE, HOLE]]; // biome-ignore format: a list
    expect(rows.map((row) => groups.of(row))).toEqual([[0], [0, 1], [2], [1], [2], []]);
  });
});

describe("an evaluation", () => {
  const path = join(import.meta.dirname, "../fixtures/tags/tag-figures.json");
  const { logits, labels, figures } = JSON.parse(readFileSync(path, "utf8"));
  const tags = ["p", "q", "r", "s", "u"];
  const evaluate = (rows: number): TagReport => {
    const evaluation = taskOf(tags).evaluation();
    for (let start = 0; start < logits.length; start += rows) {
      const end = Math.min(logits.length, start + rows);
      // As batches are: more logits than labels in the last one.
      const padded = [...logits.slice(start, end).flat(), ...tags.map(() => 9)];
      evaluation.add(Float32Array.from(padded), labels.slice(start, end).flat());
    }
    return evaluation.report() as TagReport;
  };

  test.each([7, 40])("in batches of %d has scikit-learn's figures, ties and holes among them", (rows) => {
    const report = evaluate(rows);
    for (const [name, value] of Object.entries(figures))
      expect(Math.abs(figureOf(report, name) - Number(value)), name).toBeLessThan(REFERENCE_DIGITS);
    const gain = (figures.meanAveragePrecision - figures.constantPrecision) / (1 - figures.constantPrecision);
    expect(Math.abs(taskOf(tags).reports.gain(report) - gain)).toBeLessThan(REFERENCE_DIGITS);
  });

  test("says of each tag what it has, and of one that does not occur nothing", () => {
    const report = evaluate(40);
    expect(report.perTag?.map(({ positives }) => positives > 0)).toEqual([true, true, true, true, false]);
    expect(report.perTag?.[4]).toMatchObject({ averagePrecision: Number.NaN, f1: Number.NaN });
    const { details, tables } = taskOf(tags).reports;
    const stored = JSON.parse(JSON.stringify(details?.store(report)));
    expect(details?.restore(stored)).toEqual({ perTag: report.perTag });
    const [table] = tables?.(report) ?? [];
    expect(table?.rows.at(-1)).toEqual(["u", "0", "-", "-", "-", "0.500"]);
  });

  test("fits thresholds between scores, which an export's answers go by", () => {
    const evaluation = taskOf(["a", "b", "c"]).evaluation();
    // Of a the largest F1 is from 1 on, of b all rows have it, of c none.
    evaluation.add(Float32Array.of(2, 1, 0, 1, -3, 5, -1, 0, 1), [1, 1, 0, 1, 1, 0, 0, 1, 0]);
    const report = evaluation.report() as TagReport;
    const logits = report.perTag?.map(({ threshold }) => Math.log(threshold / (1 - threshold)));
    [0, -4, 0].forEach((logit, i) => {
      expect(Math.abs((logits?.[i] ?? Number.NaN) - logit)).toBeLessThan(REFERENCE_DIGITS);
    });
    const task = taskOf(["a", "b", "c"]);
    const fitted = openTask(task.fitted?.(JSON.parse(JSON.stringify(report))) ?? task.description);
    expect(fitted.answers.read([0.4, 0.1, 0.6]).tags).toEqual(["c", "b"]);
    expect(task.answers.read([0.4, 0.1, 0.6]).tags).toEqual(["c"]);
    expect(task.fitted?.({ perTag: [] })).toEqual(task.description);
    expect(task.fitted?.({})).toEqual(task.description);
  });

  test("goes by the thresholds that it is given, whatever fits its rows", () => {
    const thresholds = [0.8, 0.2, 0.5];
    const task = openTask({ ...taskOf(["a", "b", "c"]).description, thresholds });
    const evaluation = task.evaluation();
    // From ln 4 on for a, from -ln 4 on for b; no row has c.
    evaluation.add(Float32Array.of(1.3, -1, 1, 1.5, -2, 1, 0, 0, 1), [1, 1, 0, 1, 1, 0, 0, 0, 0]);
    const report = evaluation.report() as TagReport;
    expect(report.perTag?.map(({ threshold }) => threshold)).toEqual(thresholds);
    expect(report.perTag?.map(({ fittedF1 }) => fittedF1)).toEqual([2 / 3, 1 / 2, Number.NaN]);
    expect(Math.abs(report.fittedF1 - 7 / 12)).toBeLessThan(REFERENCE_DIGITS);
    expect(task.fitted?.(report)).toEqual(task.description);
  });

  test("without a labelled row, or with logits that are no numbers, ends and says so", () => {
    const empty = taskOf().evaluation().report();
    expect([empty.labelled, empty.loss, empty.meanAveragePrecision, empty.microF1]).toEqual([
      ...[0, Number.NaN, Number.NaN, Number.NaN],
    ]);
    const evaluation = taskOf().evaluation();
    evaluation.add(Float32Array.of(Number.NaN, 1, Number.NaN, 2), [1, 0, 0, 1]);
    expect(evaluation.report().loss).toBeNaN();
  });

  test("a training step's sums give micro F1", () => {
    const [column] = taskOf().reports.training ?? [];
    expect(column?.of({ true_positives: 3, predicted_positives: 5, label_positives: 4 })).toBe(6 / 9);
  });
});

describe("answers", () => {
  const { answers } = taskOf(["red", "blue", "7"]);
  const answer = answers.read([0.5, 0.75, 0.25]);

  test("are the tags from their threshold on, the most probable first, and all probabilities", () => {
    expect(answer).toEqual({ tags: ["blue", "red"], probabilities: { red: 0.5, blue: 0.75, 7: 0.25 } });
    expect(answers.values(answer)).toEqual([
      { list: ["blue", "red"], text: "blue|red" },
      [
        ["red", 0.5],
        ["blue", 0.75],
        ["7", 0.25],
      ],
    ]);
    expect(answers.wideValues(answer)).toEqual(["blue|red", 0.5, 0.75, 0.25]);
    expect(answers.wideValues(answers.read([0, 0, 0]))[0]).toBe("[]");
  });

  test("are probabilities, each for itself", () => {
    expect(answers.accepts([1, 1, 1])).toBe(true);
    expect(answers.accepts([1, 1.2, 1])).toBe(false);
    expect(answers.accepts([1, Number.NaN, 1])).toBe(false);
  });

  test("are shown as far as there is room", () => {
    const text = (names: readonly string[]) => {
      const { shown, read } = taskOf(names).answers;
      return shown.text(read(names.map(() => 0.9)));
    };
    expect(answers.shown.text(answer)).toBe("blue 0.75, red 0.50");
    expect(answers.shown.text(answers.read([0, 0, 0]))).toBe("none");
    expect(text(Array.from({ length: 12 }, (_, i) => `colour ${i}`))).toMatch(/^colour 0 0\.90, .* \+ \d+$/);
    expect(text([`${"long".repeat(20)}`, "b"])).toBe("2 tags");
  });
});
