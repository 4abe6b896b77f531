// What kinds list for a report: reliability and figures of classes beside those of scikit-learn 1.9, the rows
// that are shown, and that what is missing counts for nothing.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { ClassEvaluation } from "../../compiler/tasks/classEvaluation.ts";
import { openTask } from "../../compiler/tasks/openTask.ts";
import { reliabilityOf } from "../../compiler/tasks/reliability.ts";
import { largestPlaces, type ReportPart } from "../../compiler/tasks/reportParts.ts";
import type { Task } from "../../compiler/tasks/task.ts";
import { REFERENCE_DIGITS } from "../tolerances.ts";

const numbers = z.array(z.number());
const maybe = z.number().nullable();
const fixture = z
  .object({
    ...{ certainties: numbers, hits: numbers, actual: numbers, predicted: numbers },
    curves: z.array(
      z.object({ bins: z.number(), share: numbers, mean: numbers, rows: numbers, ece: z.number() }),
    ),
    confusion: z.array(numbers),
    classes: z.array(z.object({ precision: maybe, recall: maybe, f1: maybe, support: z.number() })),
  })
  .parse(
    JSON.parse(readFileSync(join(import.meta.dirname, "../fixtures/report/report-figures.json"), "utf8")),
  );

/** The part of a form with words in its title. */
function partOf<Form extends ReportPart["form"]>(
  parts: readonly ReportPart[],
  form: Form,
  words = "",
): Extract<ReportPart, { form: Form }> {
  const found = parts.find((part) => part.form === form && part.title.includes(words));
  if (!found) throw new Error(`no ${form} "${words}" among ${parts.map(({ title }) => title).join(", ")}`);
  return found as Extract<ReportPart, { form: Form }>;
}

const CLASSES = ["cat", "dog", "emu", "fox"];
const classTask = openTask({ task: "animal", classes: CLASSES });
const tagTask = openTask({ task: "colours", kind: "tags", tags: ["red", "blue"], separator: "|" });
const facts = { mean: [10], deviation: [2], loss: "l2" };
const numberTask = openTask({ task: "weight", kind: "number", ...facts });

const rowParts = (task: Task, served: readonly number[], labels: ArrayLike<number>) =>
  task.reports.rowParts?.(Float32Array.from(served), labels) ?? [];

describe("reliability", () => {
  test.each(fixture.curves)("in $bins ranges is scikit-learn's, its ECE numpy's", (curve) => {
    const { bins, ece, rows } = reliabilityOf(fixture.certainties, fixture.hits, curve.bins);
    const filled = bins.filter((bin) => bin.rows > 0);
    expect([rows, bins.map((bin) => bin.rows)]).toEqual([fixture.certainties.length, curve.rows]);
    expect(filled.length).toBe(curve.mean.length);
    for (const [i, { certainty, hits }] of filled.entries()) {
      expect(Math.abs(certainty - (curve.mean[i] ?? Number.NaN))).toBeLessThan(REFERENCE_DIGITS);
      expect(Math.abs(hits - (curve.share[i] ?? Number.NaN))).toBeLessThan(REFERENCE_DIGITS);
    }
    expect(Math.abs(ece - curve.ece)).toBeLessThan(REFERENCE_DIGITS);
    expect(ece).toBeGreaterThan(0.01);
  });

  test("of nothing is no number, of one range its one gap; unknown certainties count for nothing", () => {
    expect(reliabilityOf([], [])).toMatchObject({ rows: 0, ece: Number.NaN });
    expect(reliabilityOf([Number.NaN, 0.9], [1, 1])).toMatchObject({ rows: 1 });
    expect(reliabilityOf([1, 1, 1, 1], [1, 1, 1, 0], 1).ece).toBe(0.25);
    expect(reliabilityOf([1, 0], [1, 0]).ece).toBe(0);
  });
});

describe("classes", () => {
  const evaluation = new ClassEvaluation(CLASSES);
  const logits = Float32Array.from(fixture.predicted.flatMap((best) => CLASSES.map((_, c) => +(c === best))));
  evaluation.add(logits, fixture.actual);
  const parts = classTask.reports.parts?.(evaluation.report()) ?? [];

  test("have scikit-learn's matrix", () => {
    const { pairs, names } = partOf(parts, "matrix");
    const matrix = fixture.confusion.map((row) => row.map(() => 0));
    for (const [actual, predicted, rows] of pairs) (matrix[actual] ?? [])[predicted] = rows;
    expect([matrix, names]).toEqual([fixture.confusion, CLASSES]);
  });

  test("have scikit-learn's precision, recall, F1 and support", () => {
    const text = (value: number | null) => (value === null ? "-" : value.toFixed(3));
    expect(partOf(parts, "table", "Classes").rows).toEqual(
      fixture.classes.map(({ precision, recall, f1, support }, i) => [
        ...[CLASSES[i], String(support), String(fixture.predicted.filter((p) => p === i).length)],
        ...[precision, recall, f1].map(text),
      ]),
    );
  });

  test("list the largest confusions, where there are many", () => {
    const names = Array.from({ length: 300 }, (_, i) => `class ${i}`);
    const many = new ClassEvaluation(names);
    const best = [7, 7, 7, 9, 250];
    many.add(Float32Array.from(best.flatMap((b) => names.map((_, c) => +(c === b)))), [7, 8, 8, 9, 251]);
    const task = openTask({ task: "many", classes: names });
    const found = task.reports.parts?.(many.report()) ?? [];
    expect(partOf(found, "table", "onfusions").rows).toEqual([
      ["class 8", "class 7", "2", "1.000"],
      ["class 251", "class 250", "1", "1.000"],
    ]);
    expect(partOf(found, "table", "most frequent").rows).toHaveLength(100);
    expect(partOf(found, "matrix").pairs).toHaveLength(4);
  });

  test("show the most certain mistakes and the least certain hits; rows without label never", () => {
    const served = [
      ...[0.7, 0.1, 0.1, 0.1],
      ...[0.1, 0.8, 0.05, 0.05],
      ...[0.3, 0.25, 0.25, 0.2],
      ...[0.9, 0.1, 0, 0],
      ...[0, 0, 1, 0],
    ];
    const found = rowParts(classTask, served, Int32Array.of(0, 0, 0, 3, -1));
    expect(partOf(found, "rows", "mistakes").rows).toEqual([
      { row: 3, predicted: "cat", label: "fox", certainty: "0.900", isRight: false },
      { row: 1, predicted: "dog", label: "cat", certainty: "0.800", isRight: false },
    ]);
    expect(partOf(found, "rows", "hits").rows.map(({ row, certainty }) => [row, certainty])).toEqual([
      [2, "0.300"],
      [0, "0.700"],
    ]);
    expect(partOf(found, "reliability").reliability.rows).toBe(4);
    expect(rowParts(classTask, [1, 0, 0, 0], Int32Array.of(-1))).toEqual([]);
  });
});

describe("tags", () => {
  test("show cells: unknown ones never, certainty is that of the answer", () => {
    const served = [0.9, 0.2, 0.375, 0.625, 0.55, 0.97];
    const found = rowParts(tagTask, served, Uint8Array.of(1, 1, 1, 0, 1, 255));
    expect(partOf(found, "rows", "mistakes").rows).toEqual([
      { row: 0, predicted: "not blue", label: "blue", certainty: "0.800", isRight: false },
      { row: 1, predicted: "not red", label: "red", certainty: "0.625", isRight: false },
      { row: 1, predicted: "blue", label: "not blue", certainty: "0.625", isRight: false },
    ]);
    expect(partOf(found, "rows", "hits").rows.map(({ row }) => row)).toEqual([2, 0]);
    expect(partOf(found, "reliability").reliability.rows).toBe(5);
  });

  test("have a table of their figures", () => {
    const evaluation = tagTask.evaluation();
    evaluation.add(Float32Array.of(2, -1, -1, 3, 1, 1), Uint8Array.of(1, 0, 0, 1, 1, 255));
    const parts = tagTask.reports.parts?.(evaluation.report()) ?? [];
    expect(partOf(parts, "table").rows.map((row) => row.slice(0, 5))).toEqual([
      ["red", "2", "1", "1.000", "1.000"],
      ["blue", "1", "1", "1.000", "1.000"],
    ]);
  });
});

describe("numbers", () => {
  test("show predicted over true, how errors are spread, and the largest", () => {
    const found = rowParts(numberTask, [10, 12, 5, 8], Float32Array.of(11, 12, 9, Number.NaN));
    expect(partOf(found, "points").points).toEqual([
      [11, 10],
      [12, 12],
      [9, 5],
    ]);
    const { bins } = partOf(found, "histogram");
    expect([bins[0]?.rows, bins[10]?.rows]).toEqual([1, 1]);
    expect(bins.reduce((sum, { rows }) => sum + rows, 0)).toBe(3);
    expect(partOf(found, "rows").rows.slice(0, 2)).toEqual([
      { row: 2, predicted: "5", label: "9", certainty: "off by 4", isRight: false },
      { row: 0, predicted: "10", label: "11", certainty: "off by 1", isRight: false },
    ]);
  });

  test("of a vector each has its own", () => {
    const vector = openTask({ task: "place", kind: "number", mean: [0, 0], deviation: [1, 1], loss: "l2" });
    const found = rowParts(vector, [1, 2, 3, 4], Float32Array.of(1, 2, 3, 0));
    expect(found.filter(({ form }) => form === "points")).toHaveLength(2);
    expect(partOf(found, "rows").rows[0]).toMatchObject({ row: 1, certainty: "off by 4" });
  });
});

test("the largest places come in order, equal ones by place, and what is no number never", () => {
  expect(largestPlaces([3, Number.NaN, 5, 5, 1, 4], 3)).toEqual([2, 3, 5]);
  expect(largestPlaces([Number.NaN])).toEqual([]);
  expect(largestPlaces(Float64Array.of(-2, -1), 5)).toEqual([1, 0]);
});
