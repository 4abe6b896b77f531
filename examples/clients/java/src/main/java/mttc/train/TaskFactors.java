package mttc.train;

import java.util.Arrays;

/** What the weights of tasks are multiplied with: CONTRACT.md, "Weights of tasks". In float64. */
public final class TaskFactors {
  private TaskFactors() {}

  /**
   * Factors by `dynamic_average`.
   *
   * @param last mean loss of each task over the last epoch; NaN where there is none
   * @param before the same over the epoch before that
   */
  public static double[] averages(double[] last, double[] before, double temperature) {
    double[] ratios = new double[last.length];
    for (int t = 0; t < ratios.length; t++) ratios[t] = last[t] / before[t] / temperature;
    return shares(ratios, 1);
  }

  /**
   * Factors by `random_softmax`.
   *
   * @param present of each task whether it has a label in the logical batch
   */
  public static double[] random(long seed, String stream, long step, boolean[] present) {
    double[] drawn = new double[present.length];
    for (int t = 0; t < drawn.length; t++)
      drawn[t] = present[t] ? new RandomStream(seed, stream, step, t).nextNormal() : Double.NaN;
    return shares(drawn, 0);
  }

  /** K e / sum(e) of the K numbers that are finite, e the exponential of each; `other` for the rest. */
  private static double[] shares(double[] numbers, double other) {
    double[] known = Arrays.stream(numbers).filter(Double::isFinite).toArray();
    // The largest has the exponential 1: none overflows.
    double most = Arrays.stream(known).max().orElse(0);
    double sum = 0;
    for (double number : known) sum += Math.exp(number - most);
    double all = sum;
    return Arrays.stream(numbers)
        .map(number -> Double.isFinite(number) ? known.length * Math.exp(number - most) / all : other)
        .toArray();
  }
}
