// The labels of a task in memory, of any kind of number: what is missing, what is looked up by row, what is
// counted, and the bytes that hashes are of.
import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { InternalError } from "../../compiler/diagnostics.ts";
import { MISSING_CLASS, MISSING_TAG } from "../../compiler/tasks/missing.ts";
import {
  classOf,
  countLabelled,
  gatherLabels,
  hasLabel,
  labelBytes,
  labelTensor,
  rowCount,
  type TaskLabels,
} from "../../runtime/labels/taskLabels.ts";
import { withoutImages } from "../../runtime/runs/skippedImages.ts";
import { NO_ROW } from "../../runtime/tables/rowOrder.ts";
import { classLabels } from "./classLabels.ts";

const CLASSES: TaskLabels = { values: Int32Array.of(2, MISSING_CLASS, 0, 1), width: 1 };
// A negative number and 0 are numbers; NaN alone is missing.
const NUMBERS: TaskLabels = { values: Float32Array.of(-3.5, Number.NaN, 0, 7), width: 1 };
const PAIRS: TaskLabels = { values: Float32Array.of(1, 2, Number.NaN, Number.NaN, Number.NaN, 5), width: 2 };
const TAGS: TaskLabels = { values: Uint8Array.of(0, 1, 0, 255, 255, 255, 1, 255, 0), width: 3 };

describe.each<[string, TaskLabels, boolean[]]>([
  ["classes", CLASSES, [true, false, true, true]],
  ["numbers", NUMBERS, [true, false, true, true]],
  ["vectors of numbers", PAIRS, [true, false, true]],
  ["tags with holes", TAGS, [true, false, true]],
])("labels that are %s", (_, labels, present) => {
  const rows = present.map((_, row) => row);

  it("know the rows that have one: any number of the row", () => {
    expect(rowCount([labels])).toBe(present.length);
    expect(rows.map((row) => hasLabel(labels, row))).toEqual(present);
    expect(hasLabel(labels, present.length)).toBe(false);
    expect(countLabelled(labels)).toBe(present.filter(Boolean).length);
    expect(countLabelled(labels, [0, 0, 1, NO_ROW])).toBe(2);
  });

  it("are looked up by row, in their own type, and missing where there is no row", () => {
    const order = Int32Array.of(2, NO_ROW, 0, 0);
    const { values, width } = labels;
    const gathered = gatherLabels(labels, order);
    expect(gathered.constructor).toBe(values.constructor);
    for (const [place, row] of order.entries()) {
      const own = gathered.slice(place * width, (place + 1) * width);
      if (row !== NO_ROW) expect(own).toEqual(values.slice(row * width, (row + 1) * width));
      else expect(hasLabel({ values: own, width }, 0)).toBe(false);
    }
    expect(gatherLabels(labels, rows)).toEqual(values);
    expect(gatherLabels(labels, rows)).not.toBe(values);
  });
});

describe("class numbers", () => {
  it("become int64 in a tensor; other numbers stay what they are", () => {
    expect(labelTensor(gatherLabels(CLASSES, [0, 1, NO_ROW]))).toEqual(BigInt64Array.of(2n, -1n, -1n));
    expect(labelTensor(gatherLabels(TAGS, [2, NO_ROW]))).toEqual(
      Uint8Array.of(1, MISSING_TAG, 0, 255, 255, 255),
    );
    expect(labelTensor(gatherLabels(NUMBERS, [0]))).toEqual(Float32Array.of(-3.5));
  });

  it("are told of tasks of classes alone", () => {
    expect([0, 1, 2, 9].map((row) => classOf(CLASSES, row))).toEqual([2, undefined, 0, undefined]);
    for (const labels of [NUMBERS, PAIRS, TAGS]) expect(() => classOf(labels, 0)).toThrow(InternalError);
  });

  it("count with the weights of their classes, a row as often as it is listed", () => {
    const weights = Float32Array.of(0.5, 4, 16);
    expect(countLabelled(CLASSES, [0, 1, 2, 2, 3], weights)).toBe(16 + 0.5 + 0.5 + 4);
    expect(countLabelled(CLASSES, undefined, weights)).toBe(20.5);
    expect(countLabelled(CLASSES, [1, NO_ROW], weights)).toBe(0);
  });
});

describe("the bytes of labels", () => {
  const numbers = Int32Array.from({ length: 30 }, (_, i) => ((i * 7) % 5) - 1);

  it("are those of the class numbers row after row, whatever is asked for at a time", () => {
    const whole = new Uint8Array(numbers.buffer);
    const labels = classLabels(numbers, 3);
    expect(labelBytes(labels, 0, 10)).toEqual(whole);
    expect(labelBytes(labels, 4, 6)).toEqual(whole.slice(4 * 12, 6 * 12));
    const [hash, pieces] = [createHash("sha256").update(whole), createHash("sha256")];
    for (let first = 0; first < 10; first += 4)
      pieces.update(labelBytes(labels, first, Math.min(10, first + 4)));
    expect(pieces.digest("hex")).toBe(hash.digest("hex"));
  });

  it("of several kinds are each row's numbers of each task", () => {
    const mixed = [
      { values: Int32Array.of(1, 2), width: 1 },
      { values: Uint8Array.of(3, 4, 5, 6), width: 2 },
    ];
    expect([...labelBytes(mixed, 0, 2)]).toEqual([1, 0, 0, 0, 3, 4, 2, 0, 0, 0, 5, 6]);
  });
});

it("rows that are left out take the labels of every kind with them", () => {
  const rows = { tasks: ["a", "b"], labels: [NUMBERS, TAGS], paths: ["x", "y", "z"], locate: () => ({}) };
  const left = withoutImages(rows, new Set(["y"]));
  expect(left.labels).toEqual([
    { values: Float32Array.of(-3.5, 0), width: 1 },
    { values: Uint8Array.of(0, 1, 0, 1, 255, 0), width: 3 },
  ]);
  expect(withoutImages(rows, new Set(["q"]))).toBe(rows);
});
