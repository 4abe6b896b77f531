// Reliability of probabilities: how often what a model says with a certainty is so. (certainty, right or not)
// of each answer -> bins and the expected calibration error.

/** Answers whose certainty lies in one range. */
export interface ReliabilityBin {
  /** Ends of the range, (from, to]; the first holds 0 as well. */
  readonly from: number;
  readonly to: number;
  readonly rows: number;
  /** Mean certainty of the bin's answers, and the share of them that is right; NaN where there is none. */
  readonly certainty: number;
  readonly hits: number;
}

export interface Reliability {
  readonly rows: number;
  readonly bins: readonly ReliabilityBin[];
  /** Sum over the bins of rows / all rows * |hits - certainty|, from 0 to 1; NaN of no answer. */
  readonly ece: number;
}

export const RELIABILITY_BINS = 15;

/**
 * Reliability in `bins` ranges of equal width (Guo et al. 2017, arXiv 1706.04599, equations 2, 3 and 5; ranges
 * are open below and closed above, as scikit-learn's calibration_curve with strategy "uniform" has them).
 * `certainties` from 0 to 1, `hits` 1 where the answer is right and 0 where it is wrong; answers whose
 * certainty is no number count for nothing.
 */
export function reliabilityOf(
  certainties: ArrayLike<number>,
  hits: ArrayLike<number>,
  bins = RELIABILITY_BINS,
): Reliability {
  const [counts, sums, right] = [new Float64Array(bins), new Float64Array(bins), new Float64Array(bins)];
  for (let i = 0; i < certainties.length; i++) {
    const certainty = certainties[i] ?? Number.NaN;
    if (Number.isNaN(certainty)) continue;
    const bin = binOf(certainty, bins);
    counts[bin] = (counts[bin] ?? 0) + 1;
    sums[bin] = (sums[bin] ?? 0) + certainty;
    right[bin] = (right[bin] ?? 0) + (hits[i] ?? 0);
  }
  const rows = counts.reduce((sum, count) => sum + count, 0);
  const found = Array.from(counts, (count, bin): ReliabilityBin => {
    const share = (total: Float64Array): number => (count === 0 ? Number.NaN : (total[bin] ?? 0) / count);
    return {
      from: bin / bins,
      to: (bin + 1) / bins,
      rows: count,
      certainty: share(sums),
      hits: share(right),
    };
  });
  const gap = ({ rows: count, certainty, hits: share }: ReliabilityBin): number =>
    count === 0 ? 0 : (count / rows) * Math.abs(share - certainty);
  return {
    rows,
    bins: found,
    ece: rows === 0 ? Number.NaN : found.reduce((sum, bin) => sum + gap(bin), 0),
  };
}

/** The first range whose upper end is not below `certainty`; ends are i * (1 / bins), as numpy's linspace. */
function binOf(certainty: number, bins: number): number {
  const step = 1 / bins;
  let bin = Math.min(bins - 1, Math.max(0, Math.ceil(certainty / step) - 1));
  // The division may round over an end.
  while (bin > 0 && certainty <= bin * step) bin--;
  while (bin < bins - 1 && certainty > (bin + 1) * step) bin++;
  return bin;
}
