// The order of an epoch: balanced draws and their shares, permutations, seeds.
import { describe, expect, it } from "vitest";
import { epochOrder, sampleProbabilities } from "../../runtime/labels/sampler.ts";
import { evaluationOrder } from "../../runtime/tables/rowOrder.ts";
import { DRAW_STANDARD_ERRORS, SUM_FLOAT64 } from "../tolerances.ts";
import { classLabels } from "./classLabels.ts";

// The labels and probabilities of semantics.md, "Labels and sampling".
const labels = classLabels([0, 0, -1, 1, -1, -1, -1, 1, 0, 0, 1, 1, -1, -1, -1], 3);
const expected = [2 / 9, 1 / 9, 5 / 18, 7 / 18, 0];

function order(more: Partial<Parameters<typeof epochOrder>[0]> = {}): Int32Array {
  return epochOrder({ labels, batchSize: 4, balanced: true, seed: 1, epoch: 0, ...more });
}

describe("balanced sampling", () => {
  it("gives the reference probabilities, which sum to 1", () => {
    const probabilities = sampleProbabilities(labels);
    for (const [row, value] of expected.entries()) {
      expect(Math.abs(probabilities[row]! - value)).toBeLessThan(SUM_FLOAT64);
    }
    expect(Math.abs(probabilities.reduce((sum, value) => sum + value) - 1)).toBeLessThan(SUM_FLOAT64);
  });

  it("over classes too gives each class of a task the same share", () => {
    // Task 0: classes 0 (row 0, 2), 1 (row 1); task 1: class 0 (row 0), 5 (rows 2, 3).
    const classes = classLabels([0, 0, 1, -1, 0, 5, -1, 5, -1, -1], 2);
    const probabilities = sampleProbabilities(classes, true);
    const wanted = [1 / 8 + 1 / 4, 1 / 4, 1 / 8 + 1 / 8, 1 / 8, 0];
    for (const [row, value] of wanted.entries())
      expect(Math.abs(probabilities[row]! - value)).toBeLessThan(SUM_FLOAT64);
    const drawn = order({ labels: classes, byClass: true, batchSize: 64 });
    expect(drawn).not.toEqual(order({ labels: classes, batchSize: 64 }));
  });

  it("draws each row as often as its probability says, and an unlabelled row never", () => {
    const draws = Array.from({ length: 20_000 }, (_, epoch) => [...order({ epoch })]).flat();
    expect(draws).toHaveLength(160_000);
    for (const [row, probability] of expected.entries()) {
      const share = draws.filter((drawn) => drawn === row).length / draws.length;
      const error = Math.sqrt((probability * (1 - probability)) / draws.length);
      expect(Math.abs(share - probability)).toBeLessThanOrEqual(DRAW_STANDARD_ERRORS * error);
    }
  });
});

describe("the order of an epoch", () => {
  it("consists of ceil(N/B) full batches", () => {
    expect(order({ batchSize: 4 })).toHaveLength(8);
    expect(order({ batchSize: 5 })).toHaveLength(5);
    expect(order({ batchSize: 64 })).toHaveLength(64);
  });

  it.each([true, false])("is a pure function of seed and epoch (balanced %s)", (balanced) => {
    const many = classLabels(new Int32Array(100), 1);
    const at = (seed: number, epoch: number): Int32Array => order({ labels: many, balanced, seed, epoch });
    expect(at(1, 2)).toEqual(at(1, 2));
    expect(at(2, 2)).not.toEqual(at(1, 2));
    expect(at(1, 3)).not.toEqual(at(1, 2));
  });

  it("without balancing is a permutation, wrapped round", () => {
    const drawn = order({ balanced: false });
    expect([...drawn.slice(0, 5)].sort()).toEqual([0, 1, 2, 3, 4]);
    expect(drawn.slice(5)).toEqual(drawn.slice(0, 3));
    const tiny = order({ balanced: false, batchSize: 12 });
    expect(tiny.slice(5, 10)).toEqual(tiny.slice(0, 5));
  });

  it("reaches all permutations of three rows about equally often", () => {
    const counts = new Map<string, number>();
    const epochs = 6_000;
    for (let epoch = 0; epoch < epochs; epoch++) {
      const drawn = order({
        labels: classLabels(new Int32Array(3), 1),
        batchSize: 3,
        balanced: false,
        epoch,
      });
      counts.set(drawn.join(), (counts.get(drawn.join()) ?? 0) + 1);
    }
    expect(counts.size).toBe(6);
    const error = Math.sqrt(epochs * (1 / 6) * (5 / 6));
    for (const count of counts.values()) {
      expect(Math.abs(count - epochs / 6)).toBeLessThan(DRAW_STANDARD_ERRORS * error);
    }
  });

  it("of an evaluation is all rows once, padded with -1", () => {
    expect([...evaluationOrder(5, 3)]).toEqual([0, 1, 2, 3, 4, -1]);
    expect([...evaluationOrder(6, 3)]).toEqual([0, 1, 2, 3, 4, 5]);
  });
});
