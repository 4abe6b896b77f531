// Units of rows dealt to parts: shares of every label, of tasks with holes and of tags, of groups that stay
// together; against what a random deal does, and in degenerate cases.
import { describe, expect, test } from "vitest";
import { stratify, type Units } from "../../runtime/labels/stratify.ts";

/** Units of these rows and labels (label -> rows that have it), in this order. */
function unitsOf(list: readonly { rows?: number; labels: Readonly<Record<number, number>> }[]): Units {
  const entries = list.map(({ labels }) => Object.entries(labels));
  const labels = Int32Array.from(entries.flat(), ([label]) => Number(label));
  const starts = new Int32Array(list.length + 1);
  for (const [i, own] of entries.entries()) starts[i + 1] = (starts[i] ?? 0) + own.length;
  return {
    rows: Int32Array.from(list, ({ rows = 1 }) => rows),
    order: Int32Array.from(list.keys()),
    starts,
    labels,
    counts: Int32Array.from(entries.flat(), ([, count]) => count),
    labelCount: labels.length === 0 ? 0 : Math.max(...labels) + 1,
  };
}

/** A small linear congruential generator (Numerical Recipes): test data alone. */
function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Two tasks of classes with holes, the first of ten classes of falling frequency, and thirty rare tags. */
function manyUnits(count: number, mostRows: number): Units {
  const next = numbers(5);
  return unitsOf(
    Array.from({ length: count }, () => {
      const rows = 1 + Math.floor(next() * mostRows);
      const labels: Record<number, number> = {};
      const add = (label: number): void => {
        labels[label] = (labels[label] ?? 0) + 1;
      };
      for (let row = 0; row < rows; row++) {
        if (next() > 0.2) add(Math.floor(10 * next() ** 3));
        if (next() > 0.6) add(10 + Math.floor(3 * next()));
        for (let tag = 0; tag < 30; tag++) if (next() < 0.3 / (tag + 1)) add(13 + tag);
      }
      return { rows, labels };
    }),
  );
}

/** Rows of each label that each part has, [parts][labels]; the last number of a part are its rows. */
function found(units: Units, parts: Int32Array, count: number): number[][] {
  const counts = Array.from({ length: count }, () => new Array<number>(units.labelCount + 1).fill(0));
  for (const [unit, part] of parts.entries()) {
    const own = counts[part] ?? [];
    own[units.labelCount] = (own[units.labelCount] ?? 0) + (units.rows[unit] ?? 0);
    for (let i = units.starts[unit] ?? 0; i < (units.starts[unit + 1] ?? 0); i++)
      own[units.labels[i] ?? 0] = (own[units.labels[i] ?? 0] ?? 0) + (units.counts[i] ?? 0);
  }
  return counts;
}

/** Mean over labels of the share of their rows that lies in another part than it should. */
function misplaced(units: Units, parts: Int32Array, shares: readonly number[]): number {
  const counts = found(units, parts, shares.length);
  let [sum, labels] = [0, 0];
  for (let label = 0; label < units.labelCount; label++) {
    const total = counts.reduce((all, own) => all + (own[label] ?? 0), 0);
    if (total === 0) continue;
    labels++;
    for (const [part, share] of shares.entries())
      sum += Math.abs((counts[part]?.[label] ?? 0) / total - share) / 2;
  }
  return sum / labels;
}

const SHARES = [0.7, 0.2, 0.1];
function dealtByChance(units: Units, shares: readonly number[]): Int32Array {
  const next = numbers(9);
  return units.rows.map(() => {
    let rest = next();
    return shares.findIndex((share) => {
      rest -= share;
      return rest < 0;
    });
  });
}

describe("rows that each stand for themselves", () => {
  test("of one task give every part its share of every class, to the row", () => {
    const units = unitsOf(
      Array.from({ length: 100 }, (_, row) => ({ labels: { [row % 10 < 7 ? 0 : 1]: 1 } })),
    );
    expect(found(units, stratify(units, SHARES), 3)).toEqual([
      [49, 21, 70],
      [14, 6, 20],
      [7, 3, 10],
    ]);
  });

  test("of several tasks with holes and of rare tags are alike in all of them", () => {
    const units = manyUnits(2_000, 1);
    const parts = stratify(units, SHARES);
    const chance = misplaced(units, dealtByChance(units, SHARES), SHARES);
    expect(misplaced(units, parts, SHARES)).toBeLessThan(chance / 4);
    const rows = found(units, parts, 3).map((own) => own.at(-1));
    for (const [part, share] of SHARES.entries())
      expect(Math.abs((rows[part] ?? 0) - share * 2_000)).toBeLessThanOrEqual(2);
    // The rarest tag has a few rows alone: each part has some.
    for (const own of found(units, parts, 3).slice(0, 2)) expect(own.every((count) => count > 0)).toBe(true);
  });

  test("without any label are dealt by their number; a class of one row is for training", () => {
    const units = unitsOf([...Array.from({ length: 19 }, () => ({ labels: {} })), { labels: { 0: 1 } }]);
    const parts = stratify(units, SHARES);
    expect(found(units, parts, 3).map((own) => own.at(-1))).toEqual([14, 4, 2]);
    expect(parts[19]).toBe(0);
  });

  test("fall into folds of one size, each alike", () => {
    const units = manyUnits(1_003, 1);
    const shares = [0.2, 0.2, 0.2, 0.2, 0.2];
    const parts = stratify(units, shares);
    for (const own of found(units, parts, 5))
      expect(Math.abs((own.at(-1) ?? 0) - 200.6)).toBeLessThanOrEqual(2);
    const chance = misplaced(units, dealtByChance(units, shares), shares);
    expect(misplaced(units, parts, shares)).toBeLessThan(chance / 2);
  });
});

describe("groups of rows", () => {
  test("stay whole, and are alike as far as their sizes let them", () => {
    for (const most of [4, 30]) {
      const units = manyUnits(400, most);
      const parts = stratify(units, SHARES);
      const chance = misplaced(units, dealtByChance(units, SHARES), SHARES);
      expect(misplaced(units, parts, SHARES)).toBeLessThan(chance / 3);
      const all = units.rows.reduce((sum, rows) => sum + rows, 0);
      const rows = found(units, parts, 3).map((own) => own.at(-1) ?? 0);
      for (const [part, share] of SHARES.entries())
        expect(Math.abs((rows[part] ?? 0) / all - share)).toBeLessThan(0.01);
    }
  });

  test("of which one is larger than a share leave no part empty", () => {
    const sizes = [50, 45, 5];
    const units = unitsOf(sizes.map((rows) => ({ rows, labels: { 0: rows } })));
    const parts = stratify(units, [0.8, 0.1, 0.1]);
    expect(new Set(parts).size).toBe(3);
    // As many groups as parts: none goes without.
    const two = unitsOf([
      { rows: 99, labels: { 0: 99 } },
      { rows: 1, labels: { 0: 1 } },
    ]);
    expect([...stratify(two, [0.5, 0.5])].toSorted()).toEqual([0, 1]);
  });

  test("of no rows at all are no fault", () => {
    expect([...stratify(unitsOf([]), SHARES)]).toEqual([]);
  });
});
