// The parts of probes: quarter turns, nearest images, kernels as pictures, intervals, .npy files.
import { describe, expect, it } from "vitest";
import { intervalOf, resample, shareAbove } from "../../runtime/probes/bootstrap.ts";
import { firstKernels, kernelPixels } from "../../runtime/probes/kernelSheet.ts";
import { nearestRows, queryRows } from "../../runtime/probes/nearest.ts";
import { npyFile } from "../../runtime/probes/npy.ts";
import { tsvText } from "../../runtime/probes/probeRows.ts";
import { isDue } from "../../runtime/probes/probeSettings.ts";
import { drawTurns, turnImage } from "../../runtime/probes/rotation.ts";
import { DRAW_STANDARD_ERRORS } from "../tolerances.ts";

describe("quarter turns", () => {
  it.each([
    [0, [1, 2, 3, 4, 5, 6, 7, 8, 9]],
    // numpy.rot90([[1, 2, 3], [4, 5, 6], [7, 8, 9]], k): against the clock.
    [1, [3, 6, 9, 2, 5, 8, 1, 4, 7]],
    [2, [9, 8, 7, 6, 5, 4, 3, 2, 1]],
    [3, [7, 4, 1, 8, 5, 2, 9, 6, 3]],
  ])("turn an image as numpy.rot90 with k = %i", (turns, expected) => {
    const grey = Uint8Array.from({ length: 9 }, (_, i) => i + 1);
    turnImage(grey, 3, 1, turns);
    expect(Array.from(grey)).toEqual(expected);
    const wide = Uint8Array.from({ length: 18 }, (_, i) => Math.floor(i / 2) + 1);
    turnImage(wide, 3, 2, turns);
    expect(Array.from(wide)).toEqual(expected.flatMap((value) => [value, value]));
  });

  it("are drawn alike by one seed, each about as often", () => {
    const turns = drawTurns(7, 4000);
    expect(drawTurns(7, 4000)).toEqual(turns);
    expect(drawTurns(8, 4000)).not.toEqual(turns);
    for (let turn = 0; turn < 4; turn++) {
      const share = turns.filter((one) => one === turn).length / 4000;
      const standardError = Math.sqrt((0.25 * 0.75) / 4000);
      expect(Math.abs(share - 0.25)).toBeLessThan(DRAW_STANDARD_ERRORS * standardError);
    }
  });
});

describe("nearest images", () => {
  const vectors = Float32Array.of(1, 0, 10, 1, 0, 3, 0, 0, -1, 0);

  it("are those of the smallest angle, the query left out, whatever their lengths", () => {
    const near = nearestRows(vectors, 2, 0, 3);
    expect(near.map(({ row }) => row)).toEqual([1, 2, 3]);
    expect(near[0]?.cosine).toBe(10 / Math.sqrt(101));
    // At a right angle, and of no direction.
    expect(near.slice(1).map(({ cosine }) => cosine)).toEqual([0, 0]);
    expect(nearestRows(vectors, 2, 0, 9).at(-1)).toEqual({ row: 4, cosine: -1 });
  });

  it("are looked for from the first image of each class", () => {
    expect(queryRows(Int32Array.of(-1, 2, 0, 2, 0), 4, 9)).toEqual([2, 1]);
    expect(
      queryRows(
        Int32Array.from({ length: 40 }, (_, i) => i),
        40,
        4,
      ),
    ).toEqual([0, 10, 20, 30]);
  });
});

describe("kernels", () => {
  const parameter = { name: "first", shape: [2, 3, 1, 2], role: "kernel", part: "fcn" };
  const values = Float32Array.of(-1, 0, 1, 0, 0, 0, 5, 5, 5, 5, 5, 5);

  it("are those of the first convolution of the fcn", () => {
    const dense = { name: "dense", shape: [4, 4], role: "kernel", part: "fcn" };
    const head = { ...parameter, name: "head", part: "tasks.a" };
    const all = new Map([["first", values]]);
    expect(firstKernels([head, dense, parameter], all)?.name).toBe("first");
    expect(firstKernels([head, dense], all)).toBeUndefined();
  });

  it("are shown from their least number to their largest, each on its own; a flat one is black", () => {
    const shape = [2, 3, 1, 2] as const;
    expect(Array.from(kernelPixels(values, 0, shape))).toEqual([0, 255, 128, 128, 128, 128]);
    expect(Array.from(kernelPixels(values, 1, shape))).toEqual([0, 0, 0, 0, 0, 0]);
    // Two channels: their mean, as grey.
    expect(Array.from(kernelPixels(Float32Array.of(0, 4, 2, 2), 0, [1, 2, 1, 2]))).toEqual([
      ...[0, 0, 0, 255, 255, 255],
    ]);
  });
});

describe("intervals", () => {
  const labels = Int32Array.from({ length: 200 }, (_, i) => i % 2);
  const predicted = labels.map((label, row) => (row % 10 === 0 ? 1 - label : label));

  it("hold the figure, are as wide as the rows allow, and come again", () => {
    const { accuracy, macroRecall } = resample({ labels, predicted }, 2);
    const { low, high } = intervalOf(0.9, accuracy);
    // 1.96 standard errors of a share of 0.9 of 200 rows: 0.042.
    expect([low > 0.84, low < 0.88, high > 0.92, high < 0.96]).toEqual([true, true, true, true]);
    expect(resample({ labels, predicted }, 2).macroRecall).toEqual(macroRecall);
    expect(intervalOf(1, resample({ labels, predicted: labels }, 2).accuracy)).toEqual({
      ...{ value: 1, low: 1, high: 1 },
    });
  });

  it("compare two by the same draws", () => {
    const worse = predicted.map((answer, row) => (row % 4 === 1 ? 1 - answer : answer));
    const [one, other] = [predicted, worse].map((own) => resample({ labels, predicted: own }, 2).macroRecall);
    if (!one || !other) throw new Error("no draws");
    expect(shareAbove(one, other)).toBeGreaterThan(0.99);
    expect(shareAbove(one, one)).toBe(0.5);
  });
});

describe("files", () => {
  it("of vectors have a head that NumPy reads, of a size that does not depend on the rows", () => {
    const [one, other] = [npyFile(Float32Array.of(1, 2, 3, 4), 2), npyFile(new Float32Array(4000), 2)];
    expect(Buffer.from(one.subarray(0, 6)).toString("latin1")).toBe("\x93NUMPY");
    expect([...one.subarray(6, 10)]).toEqual([1, 0, 118, 0]);
    expect(Buffer.from(one.subarray(10, 127)).toString()).toMatch(
      /^\{'descr': '<f4', 'fortran_order': False, 'shape': \(2, 2\), \} *$/,
    );
    expect([one.length, other.length]).toEqual([128 + 16, 128 + 16_000]);
  });

  it("of metadata have a line a row, whatever a label holds", () => {
    expect(tsvText({ columns: ["a", "b"], values: [["x\ty", "line\nbreak"]] })).toBe(
      "a\tb\nx y\tline break\n",
    );
  });
});

it("every so many epochs is after those that the number divides", () => {
  expect([1, 2, 3, 4, 5, 6].filter((epoch) => isDue(3, epoch))).toEqual([3, 6]);
  expect([true, false].map((often) => isDue(often, 1))).toEqual([true, false]);
});
