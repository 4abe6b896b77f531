package mttc.train;

import java.util.Arrays;
import java.util.List;
import java.util.Map;
import mttc.train.Bundle.Port;

/** A number of a step, or a few, by its formula: CONTRACT.md, "Scalars". In float64. */
interface Scalar {
  /**
   * @param rows of the logical batch
   */
  double[] at(long step, int[] rows);

  /**
   * What scalars are made of.
   *
   * @param labels by task, in their order
   * @param steps of the whole run
   * @param inputs all scalars by name: a formula may name another
   */
  record Sources(
      Map<String, Labels> labels, long steps, Map<String, Port> inputs, long seed, EpochLosses losses) {}

  /** Reads the formula of an input. E_BUNDLE for one that is not known. */
  static Scalar of(Port port, Sources sources) {
    var labels = sources.labels();
    var json = port.json();
    var value = json.objectAt("value");
    var kind =
        json.at("scalar").oneOf(List.of("learning_rate", "task_weight", "class_weights", "inverse_count"));
    if (kind.equals("learning_rate")) {
      var schedule = Schedule.of(value);
      return (step, rows) -> new double[] {schedule.at(step, sources.steps())};
    }
    var of = labels.get(json.at("task").text());
    if (of == null) throw json.at("task").wrong("one of " + labels.keySet());
    if (kind.equals("task_weight")) return taskWeight(port, sources);
    if (kind.equals("inverse_count")) return inverseCount(port, of, sources);
    int count = Math.toIntExact(port.tensor().count());
    return switch (value.at("formula").oneOf(List.of("constant", "balanced", "balanced_positives"))) {
      case "constant" -> {
        var weights = value.at("value").list(count);
        if (weights.size() != count) throw value.at("value").wrong(count + " numbers");
        yield always(weights.stream().mapToDouble(weight -> weight.number()).toArray());
      }
      case "balanced" -> always(balanced(of.groups(), count));
      default -> {
        if (of.width() != count) throw json.at("shape").wrong("[" + of.width() + "]");
        yield always(positives(of));
      }
    };
  }

  private static Scalar always(double... numbers) {
    return (step, rows) -> numbers;
  }

  private static Scalar taskWeight(Port port, Sources sources) {
    var json = port.json().objectAt("value");
    double value = json.at("value").number();
    var names = List.copyOf(sources.labels().keySet());
    int place = names.indexOf(port.json().at("task").text());
    return switch (json.at("formula").oneOf(List.of("constant", "dynamic_average", "random_softmax"))) {
      case "dynamic_average" -> {
        double temperature = json.at("temperature").above(0);
        yield (step, rows) -> {
          double[] last =
              names.stream()
                  .mapToDouble(name -> isIdle(name, sources) ? Double.NaN : sources.losses().mean(name, 1))
                  .toArray();
          double[] before = names.stream().mapToDouble(name -> sources.losses().mean(name, 2)).toArray();
          return new double[] {value * TaskFactors.averages(last, before, temperature)[place]};
        };
      }
      case "random_softmax" -> {
        var stream = json.at("stream").text();
        yield (step, rows) -> {
          boolean[] present = new boolean[names.size()];
          for (int t = 0; t < present.length; t++) {
            int[] groups = sources.labels().get(names.get(t)).groups();
            present[t] =
                !isIdle(names.get(t), sources) && Arrays.stream(rows).anyMatch(row -> groups[row] >= 0);
          }
          return new double[] {value * TaskFactors.random(sources.seed(), stream, step, present)[place]};
        };
      }
      default -> always(value);
    };
  }

  /** Whether the task's own weight is 0: it has no share of the factors. */
  private static boolean isIdle(String task, Sources sources) {
    return sources.inputs().values().stream()
        .map(input -> input.json().node())
        .filter(json -> json.path("scalar").asText().equals("task_weight"))
        .filter(json -> json.path("task").asText().equals(task))
        .anyMatch(json -> json.path("value").path("value").asDouble(1) == 0);
  }

  private static Scalar inverseCount(Port port, Labels labels, Sources sources) {
    var value = port.json().objectAt("value");
    int[] groups = labels.groups();
    if (value.at("formula").oneOf(List.of("inverse_labelled", "inverse_weight")).equals("inverse_labelled"))
      return (step, rows) -> inverse(Arrays.stream(rows).filter(row -> groups[row] >= 0).count());
    var named = sources.inputs().get(value.at("weights").text());
    if (named == null || !named.json().at("scalar").node().asText().equals("class_weights"))
      throw value.at("weights").wrong("an input of class weights");
    var weights = of(named, sources);
    return (step, rows) -> {
      double[] ofClasses = weights.at(step, rows);
      double sum = 0;
      // As the graph has them.
      for (int row : rows) if (groups[row] >= 0) sum += (float) ofClasses[groups[row]];
      return inverse(sum);
    };
  }

  private static double[] inverse(double number) {
    return new double[] {number > 0 ? 1 / number : 0};
  }

  /** n / (C n_c), 1 of classes without rows. */
  private static double[] balanced(int[] groups, int classes) {
    int[] counts = new int[classes];
    for (int group : groups) if (group >= 0) counts[group]++;
    double labelled = Arrays.stream(counts).sum();
    long present = Arrays.stream(counts).filter(count -> count > 0).count();
    return Arrays.stream(counts).mapToDouble(n -> n == 0 ? 1 : labelled / ((double) present * n)).toArray();
  }

  /** Of each tag n_0 / n_1, 1 where one of them is 0. */
  private static double[] positives(Labels labels) {
    double[] weights = new double[labels.width()];
    for (int tag = 0; tag < weights.length; tag++) {
      int[] counts = new int[2];
      for (int at = tag; at < labels.numbers().length; at += labels.width()) {
        double flag = labels.numbers()[at];
        if (flag == 0 || flag == 1) counts[(int) flag]++;
      }
      weights[tag] = counts[0] == 0 || counts[1] == 0 ? 1 : (double) counts[0] / counts[1];
    }
    return weights;
  }
}
