package mttc.train;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import mttc.train.Bundle.Graph;
import mttc.train.Bundle.Port;

/** The labels of all tasks, in their order. */
final class TaskLabels {
  static final List<String> ENCODINGS = List.of("class_index", "number", "flags");

  private TaskLabels() {}

  /** Reads them as the graphs take them. E_BUNDLE (an encoding that is not known), E_CSV_HEADER, E_LABEL. */
  static Map<String, Labels> read(Bundle bundle, List<Graph> graphs, LabelTable table) {
    var labels = new LinkedHashMap<String, Labels>();
    for (var task : bundle.tasks().values()) labels.put(task.name(), null);
    for (var graph : graphs)
      for (var input : graph.inputs()) {
        if (!input.role().equals("label")) continue;
        var task = bundle.tasks().get(input.json().at("task").text());
        if (task == null) throw input.json().at("task").wrong("one of " + bundle.tasks().keySet());
        input.json().at("encoding").oneOf(List.of(encodingOf(task.kind())));
        labels.put(task.name(), Labels.of(task, table, bundle.spec().missing(), missing(input)));
      }
    labels.forEach((task, found) -> {
      if (found == null) throw new mttc.Refusal(Bundle.CODE, "no graph takes the labels of " + task);
    });
    return labels;
  }

  private static String encodingOf(String kind) {
    return kind.equals("classes") ? "class_index" : kind.equals("tags") ? "flags" : "number";
  }

  private static double missing(Port input) {
    var missing = input.json().at("missing");
    return missing.node().asText().equals("nan") ? Double.NaN : missing.number();
  }
}
