// A way to combine gradients that is made for tests: all of the Gram matrix counts, and the same formula is
// written down once more in numbers.
import type { Combiner } from "../../compiler/combine/combiner.ts";
import type { Combination } from "../../compiler/combine/combiners.ts";

const FACTS = { kind: "gradients", doc: "a test", source: "here", settings: {} } as const;

/** w_i = 2 - sum_j p_j G_ij / (1 + sum_j G_jj) */
const correlated: Combiner = {
  ...{ ...FACTS, name: "correlated" },
  weights: (b, { gram, present }) => {
    const { dtype, shape } = gram.type;
    const count = Number(shape[0]);
    const data = Float64Array.from({ length: count * count }, (_, i) => Number(i % (count + 1) === 0));
    const unit = b.constant({ dtype, shape: [count, count], data });
    const trace = b.reduceSum(b.mul(gram, unit), [0, 1], 0);
    const rows = b.reshape(b.emit("MatMul", [gram, b.reshape(present, [count, 1])]), [count]);
    return b.sub(b.scalar(2, dtype), b.div(rows, b.add(b.scalar(1, dtype), trace)));
  },
};

/** What `correlated` makes of a Gram matrix: 0 for absent tasks, 1 for a single one. */
export function correlatedWeights(
  gram: readonly (readonly number[])[],
  present: readonly boolean[],
): number[] {
  const here = present.filter(Boolean).length;
  if (here < 2) return present.map(Number);
  const trace = gram.reduce((sum, row, i) => sum + (row[i] ?? 0), 0);
  return gram.map((row, i) => {
    const whole = row.reduce((sum, product, j) => sum + (present[j] ? product : 0), 0);
    return present[i] ? 2 - whole / (1 + trace) : 0;
  });
}

/** All tasks alike: the sum. */
const ones: Combiner = { ...FACTS, name: "ones", weights: (_b, { present }) => present };

/** The first task twice, whatever comes: a fault, for tests of tests. */
const faulty: Combiner = {
  ...{ ...FACTS, name: "faulty" },
  weights: (b, { gram, present }) => {
    const count = Number(gram.type.shape[0]);
    const data = Float64Array.from({ length: count }, (_, i) => (i === 0 ? 2 : 1));
    return b.mul(present, b.constant({ dtype: gram.type.dtype, shape: [count], data }));
  },
};

/** w_t = the place of the task that the host has drawn to be the first for t. */
const ordered: Combiner = {
  ...{ ...FACTS, name: "ordered", host: { order: "task_orders" } },
  weights: (b, { gram, host }) => {
    const count = Number(gram.type.shape[0]);
    const first = b.slice(host("order"), [0], [1], [1]);
    return b.cast(b.reshape(first, [count]), gram.type.dtype);
  },
};

function combination(combiner: Combiner, atFeatures: boolean): Combination {
  return { combiner, settings: {}, atFeatures };
}

export const CORRELATED = combination(correlated, false);
export const CORRELATED_FEATURES = combination(correlated, true);
export const ONES = combination(ones, false);
export const ONES_FEATURES = combination(ones, true);
export const ORDERED = combination(ordered, false);
export const FAULTY = combination(faulty, false);
