package mttc.train;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Mean losses of the epochs that are done, of each task. */
final class EpochLosses {
  private final List<Map<String, Double>> epochs = new ArrayList<>();

  /**
   * @param figures of an epoch, summed, by "TASK FIGURE"
   */
  void add(Map<String, Double> figures) {
    epochs.add(Map.copyOf(figures));
  }

  /** Of the last epoch (1) or of an earlier one; NaN where there is none. */
  double mean(String task, int earlier) {
    if (earlier > epochs.size()) return Double.NaN;
    var figures = epochs.get(epochs.size() - earlier);
    return figures.getOrDefault(task + " loss_sum", 0.0) / figures.getOrDefault(task + " count", 0.0);
  }
}
