package mttc.train;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;
import mttc.Json;
import mttc.PlainFile;
import mttc.Refusal;
import mttc.images.PictureReader.Target;

/**
 * A compiled bundle's manifest: CONTRACT.md, "manifest.json". Everything is checked as it is read; what that
 * page does not name is refused, as E_BUNDLE.
 *
 * @param batch B, rows of a step
 * @param accumulate A, micro-batches of a step
 * @param graphs by name
 * @param state what training changes, in the order of its file
 * @param checkpoint texts that a saved state takes along; empty in bundles of an earlier mttc
 */
record Bundle(
    Path folder,
    int batch,
    int accumulate,
    Map<String, Graph> graphs,
    Map<String, Tensor> state,
    Map<String, Task> tasks,
    Target images,
    long[] features,
    Spec spec,
    Map<String, String> checkpoint) {
  static final String CODE = "E_BUNDLE";
  private static final String MANIFEST = "manifest.json";
  private static final Pattern PLAIN_NAME = Pattern.compile("[^./\\\\][^/\\\\]*");
  private static final int VERSION = 2;
  private static final int MOST_SIDE = 65_536;
  private static final int MOST = 1_000_000;
  private static final long MOST_NUMBERS = 1L << 28;
  private static final long MOST_SEED = 1L << 53;
  private static final Set<String> OF_ROWS = Set.of("train", "grad", "losses");

  /** A graph; its inputs and outputs in the manifest's order. */
  record Graph(String file, String purpose, List<Port> inputs, List<Port> outputs) {
    boolean takes(String role) {
      return inputs.stream().anyMatch(input -> input.role().equals(role));
    }

    /** Whether it runs on each micro-batch of a step; others run once. */
    boolean isOfRows() {
      return OF_ROWS.contains(purpose);
    }
  }

  /** An input or output; `json` has what its role adds. */
  record Port(String name, Tensor tensor, String role, Json json) {}

  /**
   * A task.
   *
   * @param names classes or tags; empty of numbers
   * @param columns of the table
   */
  record Task(String name, String kind, List<String> names, String separator, List<String> columns) {
    boolean isOfColumns() {
      return !columns.equals(List.of(name));
    }
  }

  /** What a driver needs of the experiment. */
  record Spec(
      long seed,
      int epochs,
      boolean isBalanced,
      boolean byClass,
      String filepaths,
      Map<String, String> prefixes,
      String suffix,
      List<String> missing) {
    /** The path of an image, as a cell of the table spells it. */
    String path(String cell) {
      var full = cell.endsWith(suffix) ? cell : cell + suffix;
      var begins = prefixes.keySet().stream().filter(full::startsWith);
      var longest = begins.max(Comparator.comparing(String::length));
      return longest.map(begin -> prefixes.get(begin) + full.substring(begin.length())).orElse(full);
    }
  }

  /** Reads a bundle's manifest. E_FILE, E_BUNDLE. */
  static Bundle read(Path folder) {
    var place = folder.resolve(MANIFEST);
    String text;
    try {
      text = Files.readString(PlainFile.of(place));
    } catch (IOException error) {
      throw new Refusal(CODE, place + ": cannot be read: " + error.getMessage(), error);
    }
    var manifest = Json.object(text, place.toString(), CODE);
    manifest.at("format").oneOf(List.of("mttc-bundle"));
    manifest.at("version").whole(VERSION, VERSION);
    int batch = manifest.at("batchSize").whole(1, MOST);
    int accumulate = manifest.at("accumulate").whole(1, batch);
    if (batch % accumulate != 0) throw manifest.at("accumulate").wrong("a divisor of " + batch);
    if (manifest.has("augment") && !manifest.at("augment").at("loader").node().isEmpty())
      throw manifest.at("augment").at("loader").wrong("nothing, as `mttc compile` writes it");
    var state = new LinkedHashMap<String, Tensor>();
    for (var entry : manifest.at("state").list(MOST)) state.put(entry.at("name").text(), tensorOf(entry));
    var tasks = new LinkedHashMap<String, Task>();
    for (var entry : manifest.at("tasks").list(MOST)) tasks.put(entry.at("name").text(), taskOf(entry));
    var graphs = new LinkedHashMap<String, Graph>();
    manifest.objectAt("graphs").node().fieldNames().forEachRemaining(
        name -> graphs.put(name, graphOf(manifest.objectAt("graphs").objectAt(name))));
    return new Bundle(
        folder, batch, accumulate, graphs, state, tasks, targetOf(manifest.objectAt("preprocessing")),
        featuresOf(manifest), specOf(manifest.objectAt("spec")), checkpointOf(manifest));
  }

  private static Graph graphOf(Json graph) {
    return new Graph(
        graph.at("file").text(),
        graph.at("purpose").text(),
        portsOf(graph.at("inputs")),
        portsOf(graph.at("outputs")));
  }

  private static List<Port> portsOf(Json list) {
    var ports = new ArrayList<Port>();
    for (var port : list.list(MOST))
      ports.add(new Port(port.at("name").text(), tensorOf(port), port.at("role").text(), port));
    return ports;
  }

  private static Tensor tensorOf(Json entry) {
    var dtype = entry.at("dtype").oneOf(Tensor.DTYPES);
    var sides = entry.at("shape").node();
    if (!sides.isArray()) throw entry.at("shape").wrong("a list");
    long[] shape = new long[sides.size()];
    long count = 1;
    for (int axis = 0; axis < shape.length; axis++) {
      var side = entry.at("shape").list(MOST).get(axis);
      // A free axis, which has a name, is 0 here: who feeds it says how long it is.
      shape[axis] = side.node().isTextual() ? 0 : side.whole(1, 1 << 30);
      count *= Math.max(1, shape[axis]);
      if (count > MOST_NUMBERS) throw entry.at("shape").wrong("at most 2^28 numbers");
    }
    return new Tensor(dtype, shape);
  }

  private static Task taskOf(Json task) {
    var name = task.at("name").text();
    var kind = task.at("kind").oneOf(List.of("classes", "number", "tags"));
    var columns = task.has("columns") ? task.at("columns").names(MOST) : List.of(name);
    List<String> names =
        kind.equals("number") ? List.of() : task.at(kind.equals("tags") ? "tags" : "classes").names(MOST);
    return new Task(name, kind, names, kind.equals("tags") ? task.at("separator").text() : "", columns);
  }

  private static Target targetOf(Json images) {
    images.at("dtype").oneOf(List.of("uint8"));
    int height = images.at("height").whole(1, MOST_SIDE);
    int width = images.at("width").whole(1, MOST_SIDE);
    int channels = images.at("channels").whole(1, 16);
    boolean greyscale = images.at("greyscale").flag();
    if ((long) height * width * channels > MOST_NUMBERS) throw images.wrong("at most 2^28 numbers");
    if (channels != 3 && !greyscale) throw images.at("channels").wrong("3, or grey");
    return new Target(height, width, channels, greyscale, true, null);
  }

  private static long[] featuresOf(Json manifest) {
    if (!manifest.has("features")) return null;
    var shape = manifest.objectAt("features").at("shape").list(8);
    return shape.stream().mapToLong(side -> side.whole(1, 1 << 28)).toArray();
  }

  private static Spec specOf(Json spec) {
    double seed = spec.at("seed").number();
    if (seed < 0 || seed >= MOST_SEED || seed != Math.rint(seed))
      throw spec.at("seed").wrong("0 to 2^53 - 1");
    var prefixes = new LinkedHashMap<String, String>();
    var prefix = spec.at("path_prefix");
    if (prefix.node().isTextual()) prefixes.put("", prefix.text());
    prefix.node().fieldNames().forEachRemaining(begin -> prefixes.put(begin, prefix.at(begin).text()));
    var missing = new ArrayList<String>();
    spec.at("missing").node().forEach(word -> missing.add(word.asText()));
    return new Spec(
        (long) seed,
        spec.at("epochs").whole(1, Integer.MAX_VALUE),
        spec.at("balance_probs").flag(),
        spec.at("balance_classes").flag(),
        spec.at("filepaths").text(),
        prefixes,
        spec.at("path_suffix").node().asText(""),
        missing);
  }

  private static Map<String, String> checkpointOf(Json manifest) {
    var texts = new LinkedHashMap<String, String>();
    if (!manifest.has("checkpoint")) return texts;
    var checkpoint = manifest.objectAt("checkpoint");
    checkpoint.node().fieldNames().forEachRemaining(key -> texts.put(key, checkpoint.at(key).text()));
    return texts;
  }

  /** What a step runs, in order; `losses` twice, before the update and after it: CONTRACT.md, "A step". */
  List<Graph> step(boolean takesFeatures) {
    if (accumulate == 1) return List.of(graph("train", takesFeatures));
    var grad = graph("grad", takesFeatures);
    var apply = graph("apply", false);
    if (!grad.takes("losses")) return List.of(grad, apply);
    var losses = graph("losses", takesFeatures);
    return List.of(losses, grad, apply, losses, graph("factors", false));
  }

  /** The one graph of a purpose that takes features, or that takes none. */
  Graph graph(String purpose, boolean takesFeatures) {
    var found =
        graphs.values().stream()
            .filter(graph -> graph.purpose().equals(purpose) && graph.takes("features") == takesFeatures)
            .findFirst()
            .orElseThrow(() -> new Refusal(CODE, folder + ": it has no graph with purpose " + purpose));
    if (PLAIN_NAME.matcher(found.file()).matches()) return found;
    throw new Refusal(CODE, folder + ": the graph " + purpose + " is not a file in it: " + found.file());
  }

  /**
   * Whether the frozen trunk's features can be computed once: there is such a trunk, and nothing changes its
   * images from epoch to epoch.
   */
  boolean hasFeatures() {
    return features != null
        && graphs.values().stream().noneMatch(graph -> graph.takes("augment"))
        && graphs.values().stream().anyMatch(graph -> graph.purpose().equals("trunk"));
  }
}
