// Calibration and selection against SciPy and numpy; what cannot be fitted is left as it is and told; what
// was fitted is in the graph, and on the host.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { GraphBuilder } from "../../compiler/ir/builder.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import { OPS } from "../../compiler/ops/table.ts";
import type { Calibration, Selection, SelectionWish } from "../../compiler/tasks/calibration.ts";
import { intervalRadius } from "../../compiler/tasks/numberCalibration.ts";
import { openTask } from "../../compiler/tasks/openTask.ts";
import { fitThreshold, riskBound } from "../../compiler/tasks/selection.ts";
import type { Task, TaskDescription } from "../../compiler/tasks/task.ts";
import { CALIBRATED, CALIBRATED_FLOAT32 } from "../tolerances.ts";

interface Honest {
  readonly y: readonly number[];
  readonly labels: readonly number[];
  readonly width: number;
  readonly before: { readonly ece: number; readonly nll: number };
  readonly after: { readonly ece: number; readonly nll: number };
}

const fixture = join(import.meta.dirname, "..", "fixtures", "honest", "honest.json");
const { classes, tags, bounds } = JSON.parse(readFileSync(fixture, "utf8")) as {
  readonly classes: Honest & { readonly temperature: number };
  readonly tags: Honest & { readonly scales: readonly (readonly [number, number])[] };
  readonly bounds: readonly { wrong: number; answered: number; delta: number; bound: number }[];
};

const CLASSES: TaskDescription = { task: "species", classes: ["a", "b", "c", "d"] };
const TAGS: TaskDescription = {
  task: "colours",
  kind: "tags",
  tags: ["red", "green", "blue"],
  separator: "|",
};

function calibrated(
  description: TaskDescription,
  y: readonly number[],
  labels: readonly number[],
): Calibration {
  const found = openTask(description).calibrate?.({ y: Float32Array.from(y), labels });
  if (!found) throw new Error("the kind calibrates nothing");
  return found;
}

function expectClose(found: unknown, wanted: number): void {
  expect(Math.abs(Number(found) - wanted)).toBeLessThanOrEqual(CALIBRATED);
}

/** What a task's graph serves of what its head gives, [rows, width]. */
function servedInGraph(task: Task, y: readonly number[]): ArrayLike<number> {
  const b = new GraphBuilder("served", OPS);
  const shape = [y.length / task.width, task.width];
  b.output("y", task.served.of(b, b.input("head", "float32", shape)));
  const feeds = new Map([["head", { dtype: "float32", shape, data: Float64Array.from(y) } as const]]);
  return interpret(b.build(), feeds).get("y")?.data ?? [];
}

describe("classes", () => {
  test("the temperature, and the errors before and after it, are SciPy's", () => {
    const { description, before, after, rows, text, notes } = calibrated(CLASSES, classes.y, classes.labels);
    expectClose(description.temperature, classes.temperature);
    for (const name of ["ece", "nll"] as const) {
      expectClose(before[name], classes.before[name]);
      expectClose(after[name], classes.after[name]);
    }
    expect([rows, text, notes]).toEqual([142, "temperature 2.368", []]);
  });

  test("the graph divides logits by it, and so does the host", () => {
    const task = openTask({ ...CLASSES, temperature: classes.temperature });
    const y = classes.y.slice(0, 40);
    const host = task.servedOf?.(Float32Array.from(y));
    const graph = servedInGraph(task, y);
    const plain = servedInGraph(openTask(CLASSES), y);
    expect(graph.length).toBe(40);
    for (let i = 0; i < graph.length; i++)
      expect(Math.abs((graph[i] ?? 0) - (host?.[i] ?? Number.NaN))).toBeLessThanOrEqual(CALIBRATED_FLOAT32);
    expect(Math.max(...Array.from(graph, (value, i) => Math.abs(value - (plain[i] ?? 0))))).toBeGreaterThan(
      0.1,
    );
  });

  test("a calibrated task keeps its answers", () => {
    const [warm, plain] = [openTask({ ...CLASSES, temperature: 2 }), openTask(CLASSES)];
    const answer = (task: Task) => task.answers.read(Array.from(servedInGraph(task, [1, 2, -1, 0])));
    expect(answer(warm).class).toBe(answer(plain).class);
    expect(answer(warm)).not.toHaveProperty("unsure");
  });

  test.each([
    ["all right", [5, 0, 0, 0, 0, 5, 0, 0], [0, 1], /all 2 rows are answered rightly/],
    ["no better than chance", [1, 0, 0, 0, 1, 0, 0, 0], [1, 2], /no better than chance/],
    ["without a label", [1, 0, 0, 0], [-1], /no label to be calibrated on/],
  ])("rows that are %s have no temperature, which is told", (_, y, labels, told) => {
    const { description, notes, text } = calibrated(CLASSES, y, labels);
    expect(description).toEqual(CLASSES);
    expect(text).toBe("as it is");
    expect(notes.join("\n")).toMatch(told);
  });

  test("few rows are told", () => {
    const { notes } = calibrated(CLASSES, classes.y.slice(0, 80), classes.labels.slice(0, 20));
    expect(notes).toEqual(['task "species" is fitted to 17 labelled rows: fewer than 100 decide little']);
  });
});

describe("tags", () => {
  test("the scale of each tag, and the errors before and after, are SciPy's; a rare tag stays and is told", () => {
    const { description, before, after, notes } = calibrated(TAGS, tags.y, tags.labels);
    const platt = description.platt as { scale: number[]; offset: number[] };
    tags.scales.forEach(([scale, offset], tag) => {
      expectClose(platt.scale[tag], scale);
      expectClose(platt.offset[tag], offset);
    });
    for (const name of ["ece", "nll"] as const) {
      expectClose(before[name], tags.before[name]);
      expectClose(after[name], tags.after[name]);
    }
    expect(notes.join()).toMatch(/tags left as they are: blue \(fewer than 10 rows/);
  });

  test("graph and host agree, and thresholds are on the probabilities that come of it", () => {
    const { description } = calibrated(TAGS, tags.y, tags.labels);
    const task = openTask(description);
    const graph = servedInGraph(task, tags.y);
    const host = task.servedOf?.(Float32Array.from(tags.y));
    for (let i = 0; i < graph.length; i++)
      expect(Math.abs((graph[i] ?? 0) - (host?.[i] ?? Number.NaN))).toBeLessThanOrEqual(CALIBRATED_FLOAT32);
    const before = openTask(TAGS).evaluation();
    before.add(Float32Array.from(tags.y), tags.labels);
    const fitted = openTask(TAGS).fitted?.({ ...before.report() });
    const [thresholds, plain] = [description.thresholds, fitted?.thresholds] as [number[], number[]];
    // Each tag's threshold is the same logit, seen through its scale.
    tags.scales.forEach(([scale, offset], tag) => {
      const logit = Math.log((plain[tag] ?? 0) / (1 - (plain[tag] ?? 0)));
      const wanted = 1 / (1 + Math.exp(-(scale * logit + offset)));
      expect(Math.abs((thresholds[tag] ?? 0) - wanted)).toBeLessThanOrEqual(CALIBRATED_FLOAT32);
    });
  });

  test("a tag whose answers fall with it is not turned round", () => {
    const labels = Array.from({ length: 90 }, (_, i) => (i % 3 === 0 ? Math.floor(i / 3) % 2 : 255));
    const y = labels.map((label) => (label === 1 ? -1 : 1));
    expect(calibrated(TAGS, y, labels).description).not.toHaveProperty("platt");
  });
});

describe("numbers", () => {
  test("an interval's radius is the conformal quantile of the errors, and too few labels have none", () => {
    const errors = Float64Array.from({ length: 19 }, (_, i) => i + 1);
    expect(intervalRadius(errors, 0.9)).toBe(18);
    expect(intervalRadius(errors.slice(0, 9), 0.9)).toBe(9);
    expect(intervalRadius(errors.slice(0, 8), 0.9)).toBeUndefined();
  });

  const WEIGHT = { task: "weight", kind: "number", mean: [0], deviation: [1], loss: "l2" };

  test("it is kept, and an answer says how far the truth may lie", () => {
    const y = Array.from({ length: 19 }, () => 10);
    const labels = [...y.map((value, i) => value + (i % 2 ? 1 : -1) * (i + 1)).slice(0, 18), Number.NaN];
    const { description, rows, text, before } = calibrated(WEIGHT, y, labels);
    expect([rows, text, before.ece]).toEqual([18, "90 % within 18", Number.NaN]);
    const { answers } = openTask(description);
    const answer = answers.read([5]);
    expect(answer).toEqual({ value: 5, within: 18 });
    expect([answers.columns, answers.values(answer)]).toEqual([
      ["value", "within"],
      [5, 18],
    ]);
    expect(answers.shown.text(answer)).toBe("5 \u00b1 18");
    expect(openTask(WEIGHT).answers.columns).toEqual(["value"]);
  });

  test("too few labels leave a task as it is, which is told", () => {
    const { description, notes } = calibrated(WEIGHT, [1, 2], [1, 3]);
    expect(description).toEqual(WEIGHT);
    expect(notes).toEqual(['task "weight" has no interval: that takes 9 labels of each number']);
  });
});

describe("unsure", () => {
  test("risks are bounded as SciPy's beta distribution says", () => {
    for (const { wrong, answered, delta, bound } of bounds)
      expectClose(riskBound(wrong, answered, delta), bound);
    expect([riskBound(0, 0, 0.1), riskBound(5, 5, 0.1)]).toEqual([1, 1]);
  });

  /** Certainties from 0 to 1; the 60 least sure of 300 answers are wrong every second time. */
  const certainties = Float64Array.from({ length: 300 }, (_, i) => i / 300);
  const hits = Float64Array.from(certainties, (_, i) => (i < 60 && i % 2 === 0 ? 0 : 1));

  test("coverage answers the surest rows, so many and no fewer", () => {
    const { threshold } = fitThreshold(certainties, hits, { coverage: 0.9 });
    expect(threshold).toMatchObject({ coverage: 0.9, risk: 15 / 270, riskOfAll: 0.1 });
    expect(threshold?.below).toBeGreaterThan(29 / 300);
    expect(threshold?.below).toBeLessThan(30 / 300);
  });

  test("risk is promised by the bound, not by what was counted", () => {
    const { threshold } = fitThreshold(certainties, hits, { risk: 0.05 });
    const { coverage = 0, risk = 1, bound } = threshold ?? {};
    expect(bound?.risk).toBeLessThanOrEqual(0.05);
    expect(risk).toBeLessThan(bound?.risk ?? 0);
    expect(coverage).toBeGreaterThan(0.5);
    // Ten steps of the search share the 5 %.
    expectClose(
      bound?.risk,
      riskBound(Math.round(risk * coverage * 300), Math.round(coverage * 300), 0.05 / 10),
    );
  });

  test("equal certainties stay together, and a risk that nothing promises has no threshold", () => {
    const equal = fitThreshold(new Float64Array(40).fill(0.5), new Float64Array(40).fill(1), {
      coverage: 0.1,
    });
    expect(equal.threshold).toMatchObject({ coverage: 1, below: 0 });
    const few = fitThreshold(certainties.slice(0, 20), new Float64Array(20).fill(1), { risk: 0.01 });
    expect(few.threshold).toBeUndefined();
    expect(few.least).toBeGreaterThan(0.1);
  });

  test("of classes: below the threshold an answer is unsure, and its class stays", () => {
    const select = (wish: SelectionWish) =>
      openTask(CLASSES).select?.(
        { y: Float32Array.from(classes.y), labels: classes.labels },
        wish,
      ) as Selection;
    const { description, below, coverage } = select({ coverage: 0.8 });
    expect(coverage).toBeGreaterThanOrEqual(0.8);
    const { answers } = openTask(description);
    const rest = (1 - below) / 3;
    expect(answers.read([below, rest, rest, rest])).toMatchObject({ class: "a", unsure: false });
    const unsure = answers.read([below - 0.01, rest, rest, rest]);
    expect(unsure).toMatchObject({ class: "a", unsure: true });
    expect(answers.columns).toEqual(["class", "unsure", "probability", "probabilities"]);
    expect(answers.values(unsure).slice(0, 2)).toEqual(["a", true]);
    expect(answers.shown.text(unsure)).toBe("unsure (a)");
    expect(answers.wide.length).toBe(answers.wideValues(unsure).length);
    expect(openTask(CLASSES).select?.({ y: new Float32Array(), labels: [] }, { risk: 0.1 })).toEqual({
      rows: 0,
      least: 1,
    });
  });
});
