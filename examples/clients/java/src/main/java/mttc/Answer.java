package mttc;

import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import mttc.Metadata.Task;

/**
 * What a model says of a picture in one task.
 *
 * @param kind "classes", "tags" or "number"
 * @param answer the class; the tags, most probable first; or the numbers
 * @param numbers all that the task's output holds
 * @param unsure whether the class is better left open
 * @param within how far the truth lies from each number at most, nine times of ten; null: unknown
 */
public record Answer(
    String task, String kind, Object answer, float[] numbers, boolean unsure, double[] within) {
  /** Probabilities and their sum may be off by what other providers and half precision round. */
  private static final double SLACK = 0.01;

  static Answer of(Task task, float[] numbers) {
    check(task, numbers);
    int best = 0;
    for (int i = 1; i < numbers.length; i++) if (numbers[i] > numbers[best]) best = i;
    Object answer =
        switch (task.kind()) {
          case CLASSES -> task.names().get(best);
          case TAGS -> tags(task, numbers);
          case NUMBER -> numbers;
        };
    return new Answer(
        task.name(), task.kind().word, answer, numbers, numbers[best] < task.unsure(), task.within());
  }

  private static List<String> tags(Task task, float[] numbers) {
    return IntStream.range(0, numbers.length)
        .filter(i -> numbers[i] >= task.thresholds()[i])
        .boxed()
        .sorted(Comparator.comparing((Integer i) -> -numbers[i]))
        .map(task.names()::get)
        .toList();
  }

  private static void check(Task task, float[] numbers) {
    double sum = 0;
    boolean isSound = numbers.length == task.names().size();
    for (float number : numbers) {
      sum += number;
      boolean isShare = number >= -SLACK && number <= 1 + SLACK;
      isSound &= Float.isFinite(number) && (isShare || task.kind() == Metadata.Kind.NUMBER);
    }
    if (task.kind() == Metadata.Kind.CLASSES) isSound &= Math.abs(sum - 1) <= SLACK;
    if (!isSound)
      throw new Refusal(
          "E_MODEL_META",
          "task \"" + task.name() + "\": the model gives no " + task.kind().word + ", but "
              + Arrays.toString(Arrays.copyOf(numbers, Math.min(4, numbers.length))));
  }

  /** As a line of JSON has it. */
  Map<String, Object> toMap() {
    var map = new LinkedHashMap<String, Object>();
    map.put("task", task);
    map.put("kind", kind);
    map.put("answer", answer);
    if (unsure) map.put("unsure", true);
    if (within != null) map.put("within", within);
    map.put("numbers", numbers);
    return map;
  }
}
