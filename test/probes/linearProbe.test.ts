// The linear classifier of probes against scikit-learn's LogisticRegression on the same features
// (fixtures/make_probes.py), and the parts that it is made of.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { minimise } from "../../runtime/probes/lbfgs.ts";
import { heldOutRows, linearProbe } from "../../runtime/probes/linearProbe.ts";
import { fitLogistic, logitsOf } from "../../runtime/probes/logisticRegression.ts";
import { FLOAT64_MINIMUM, PROBE_LOGITS } from "../tolerances.ts";

interface Case {
  readonly name: string;
  readonly rows: number;
  readonly width: number;
  readonly classes: number;
  readonly vectors: string;
  readonly labels: readonly number[];
  readonly usualAccuracy: number;
  readonly accuracy: number;
  readonly macroRecall: number;
  readonly confusion: readonly (readonly number[])[];
  readonly answers: readonly number[];
  readonly logits: readonly (readonly number[])[];
}

const file = join(import.meta.dirname, "fixtures", "probes.json");
const { cases } = JSON.parse(readFileSync(file, "utf8")) as { cases: readonly Case[] };

function probeDataOf({ vectors, width, labels, classes, rows }: Case) {
  const bytes = new Uint8Array(Buffer.from(vectors, "base64"));
  return {
    ...{ vectors: new Float32Array(bytes.buffer), width, labels: Int32Array.from(labels) },
    classes: Array.from({ length: classes }, (_, i) => `class ${i}`),
    // As the fixture has it.
    heldOut: Uint8Array.from({ length: rows }, (_, i) => (i % 3 === 0 ? 1 : 0)),
  };
}

describe("a linear probe", () => {
  it.each(cases)("of $name answers what scikit-learn answers", async (expected) => {
    const { report, predicted, rows, isConverged } = await linearProbe(probeDataOf(expected));
    expect(isConverged).toBe(true);
    expect(Array.from(rows)).toEqual(expected.labels.flatMap((_, i) => (i % 3 === 0 ? [i] : [])));
    expect(Array.from(predicted)).toEqual(expected.answers);
    expect(report.accuracy).toBe(expected.accuracy);
    expect(Math.abs(report.macroRecall - expected.macroRecall)).toBeLessThan(FLOAT64_MINIMUM);
    expect(report.confusion).toEqual(expected.confusion);
    // The bound against scikit-learn as it comes, which stops before the optimum: one percent, or a row.
    const apart = Math.round(Math.abs(report.accuracy - expected.usualAccuracy) * rows.length);
    expect(apart).toBeLessThanOrEqual(Math.max(1, rows.length / 100));
  });

  it("of labels with holes learns and judges by the rest", async () => {
    const data = probeDataOf(cases[0] as Case);
    const holes = data.labels.map((label, row) => (row % 5 === 0 ? -1 : label));
    const { rows, trainedRows, report } = await linearProbe({ ...data, labels: holes });
    const labelled = Array.from(holes.keys()).filter((row) => (holes[row] ?? -1) >= 0);
    expect(Array.from(rows)).toEqual(labelled.filter((row) => row % 3 === 0));
    expect(trainedRows).toBe(labelled.length - rows.length);
    expect(report.labelled).toBe(rows.length);
  });

  it("never answers a class that only held-out rows have, and counts its rows as missed", async () => {
    const data = probeDataOf(cases[0] as Case);
    const labels = data.labels.map((label, row) => (row === 3 ? 3 : label));
    const { predicted, report } = await linearProbe({ ...data, labels, classes: [...data.classes, "rare"] });
    expect(predicted).not.toContain(3);
    expect(report.confusion?.[3]?.reduce((sum, rows) => sum + rows, 0)).toBe(1);
  });

  it("holds an image out with all its rows", () => {
    const paths = Array.from({ length: 300 }, (_, i) => `image ${(i * 7) % 150}`);
    const heldOut = heldOutRows(paths);
    const parts = new Map<string, Set<number>>();
    for (const [row, path] of paths.entries())
      parts.set(path, (parts.get(path) ?? new Set()).add(heldOut[row] ?? -1));
    expect([...parts.values()].every(({ size }) => size === 1)).toBe(true);
    expect([...parts.values()].filter((part) => part.has(1))).toHaveLength(50);
    expect(heldOutRows(paths)).toEqual(heldOut);
  });

  it("holds no class out as a whole, however regularly classes alternate", () => {
    const paths = Array.from({ length: 90 }, (_, i) => `image ${i}`);
    const heldOut = heldOutRows(paths);
    for (const period of [2, 3, 4, 5, 6, 9]) {
      const shares = Array.from({ length: period }, (_, place) => {
        const own = heldOut.filter((_held, row) => row % period === place);
        return own.filter((held) => held === 1).length / own.length;
      });
      for (const share of shares) expect(Math.abs(share - 1 / 3)).toBeLessThan(0.3);
    }
  });

  it("stops when it is told to", async () => {
    const signal = AbortSignal.abort();
    const x = Float64Array.from({ length: 3000 * 200 }, (_, i) => Math.sin(i * i));
    const labels = Int32Array.from({ length: 3000 }, (_, i) => i % 10);
    const fitted = fitLogistic({ x, labels, width: 200, classes: 10 }, { signal });
    await expect(fitted).rejects.toMatchObject({ code: "E_INTERRUPTED" });
  });
});

describe("logistic regression", () => {
  it.each(cases)("of $name comes to scikit-learn's optimum", async (expected) => {
    const { width, labels, classes, vectors, heldOut } = probeDataOf(expected);
    const train = Array.from(labels.keys()).filter((row) => heldOut[row] === 0);
    const test = Array.from(labels.keys()).filter((row) => heldOut[row] === 1);
    const { scaled } = standardScaled(vectors, width, train);
    const rowsOf = (rows: readonly number[]): Float64Array =>
      Float64Array.from(rows.flatMap((row) => [...scaled.subarray(row * width, (row + 1) * width)]));
    const model = await fitLogistic({
      ...{ x: rowsOf(train), labels: Int32Array.from(train, (row) => labels[row] ?? 0), width },
      classes: classes.length,
    });
    const logits = logitsOf(model, rowsOf(test));
    for (const [row, theirs] of expected.logits.entries()) {
      const ours = Array.from(logits.subarray(row * classes.length, (row + 1) * classes.length));
      // Theirs are centred, or of two classes the difference.
      const compared = theirs.length === 1 ? [(ours[1] ?? 0) - (ours[0] ?? 0)] : centred(ours);
      const aim = theirs.length === 1 ? theirs : centred(theirs);
      for (const [k, value] of compared.entries())
        expect(Math.abs(value - (aim[k] ?? Number.NaN))).toBeLessThan(PROBE_LOGITS);
    }
  });
});

describe("L-BFGS", () => {
  it("finds the minimum of Rosenbrock's valley", async () => {
    const { point, value, isConverged } = await minimise(
      (at, gradient) => {
        const [x = 0, y = 0] = at;
        gradient[0] = -2 * (1 - x) - 400 * x * (y - x * x);
        gradient[1] = 200 * (y - x * x);
        return (1 - x) ** 2 + 100 * (y - x * x) ** 2;
      },
      Float64Array.of(-1.2, 1),
    );
    expect(isConverged).toBe(true);
    expect(value).toBeLessThan(FLOAT64_MINIMUM);
    for (const number of point) expect(Math.abs(number - 1)).toBeLessThan(FLOAT64_MINIMUM);
  });

  it("says that it did not come to an end where there is no minimum", async () => {
    const { isConverged } = await minimise((at, gradient) => {
      gradient[0] = 1;
      return at[0] ?? 0;
    }, Float64Array.of(0));
    expect(isConverged).toBe(false);
  });
});

function centred(numbers: readonly number[]): number[] {
  const mean = numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
  return numbers.map((number) => number - mean);
}

/** By the formula, apart from the code under test. */
function standardScaled(vectors: Float32Array, width: number, train: readonly number[]) {
  const scaled = new Float64Array(vectors.length);
  for (let column = 0; column < width; column++) {
    const values = train.map((row) => vectors[row * width + column] ?? 0);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
    const scale = variance === 0 ? 1 : Math.sqrt(variance);
    for (let row = 0; row * width < vectors.length; row++)
      scaled[row * width + column] = ((vectors[row * width + column] ?? 0) - mean) / scale;
  }
  return { scaled };
}
