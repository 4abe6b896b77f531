package mttc.train;

import java.util.List;

/** Which row is shown at which place of an epoch: CONTRACT.md, "Epochs". */
public final class EpochOrder {
  private final long seed;
  private final int rows;
  /** Sums of the rows' weights; null: a permutation. */
  private final double[] sums;

  /**
   * @param groups of each task the class of every row (0 of other kinds), -1 without a label
   * @param isBalanced whether rows are drawn by weights
   * @param byClass whether the classes of a task weigh alike
   */
  public EpochOrder(long seed, List<int[]> groups, boolean isBalanced, boolean byClass) {
    this.seed = seed;
    rows = groups.get(0).length;
    sums = isBalanced ? summed(weights(groups, byClass)) : null;
  }

  /** Rows of the places of an epoch, from 1. */
  public int[] of(int epoch, int places) {
    var stream = new RandomStream(seed, "epoch order", epoch, 0);
    int[] order = new int[places];
    int[] permuted = sums == null ? permutation(stream) : null;
    for (int i = 0; i < places; i++) order[i] = permuted == null ? drawn(stream) : permuted[i % rows];
    return order;
  }

  private int[] permutation(RandomStream stream) {
    int[] permuted = new int[rows];
    for (int i = 0; i < rows; i++) permuted[i] = i;
    for (int last = rows - 1; last > 0; last--) {
      int chosen = (int) Math.floor(stream.nextUniform() * (last + 1));
      int kept = permuted[last];
      permuted[last] = permuted[chosen];
      permuted[chosen] = kept;
    }
    return permuted;
  }

  /** The first row whose sum is above the number. */
  private int drawn(RandomStream stream) {
    double number = stream.nextUniform() * sums[rows - 1];
    int low = 0;
    int high = rows - 1;
    while (low < high) {
      int middle = (low + high) >>> 1;
      if (sums[middle] > number) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  private double[] weights(List<int[]> groups, boolean byClass) {
    double[] weights = new double[rows];
    for (int[] column : groups) {
      int[] counts = new int[1];
      for (int group : column) {
        if (group < 0) continue;
        int key = byClass ? group : 0;
        if (key >= counts.length) counts = java.util.Arrays.copyOf(counts, key + 1);
        counts[key]++;
      }
      long present = java.util.Arrays.stream(counts).filter(count -> count > 0).count();
      for (int row = 0; row < rows; row++)
        if (column[row] >= 0)
          weights[row] += 1 / ((double) groups.size() * present * counts[byClass ? column[row] : 0]);
    }
    return weights;
  }

  private static double[] summed(double[] weights) {
    double all = 0;
    for (double weight : weights) all += weight;
    double[] sums = new double[weights.length];
    double sum = 0;
    for (int row = 0; row < sums.length; row++) sums[row] = sum += weights[row] / all;
    return sums;
  }
}
