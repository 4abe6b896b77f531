package mttc;

import java.util.Base64;
import java.util.HashSet;
import java.util.List;
import mttc.images.PictureReader.Target;

/**
 * What `mttc export` wrote into the file: what the model takes, and what its outputs mean. Everything is
 * checked; a stranger may have written it.
 *
 * @param resizes whether the graph does: then images of any size go in
 */
record Metadata(Target target, boolean resizes, List<Task> tasks) {
  private static final String KEY = "mttc";
  private static final String CODE = "E_MODEL_META";
  private static final int MOST_SIDE = 65_536;
  private static final long MOST_NUMBERS = 1L << 28;
  private static final int MOST_TASKS = 1_000;
  private static final int MOST_NAMES = 1_000_000;
  private static final int INKS_BYTES = 5 * 5 * 5 * 5 * 3;

  /** What the numbers of an output are. */
  enum Kind {
    CLASSES("classes"),
    TAGS("tags"),
    NUMBER("number");

    final String word;

    Kind(String word) {
      this.word = word;
    }
  }

  /**
   * A task.
   *
   * @param names of its numbers: classes, tags, or columns
   * @param thresholds of tags: from which probability on each is answered
   * @param unsure of classes: below which an answer is unsure; 0 where it never is
   * @param within of numbers: the radius of the interval round each; null without
   */
  record Task(
      String name,
      String output,
      Kind kind,
      List<String> names,
      double[] thresholds,
      double unsure,
      double[] within) {}

  /** Reads and checks metadata_props. Throws E_MODEL_META. */
  static Metadata of(OnnxFile file) {
    var text = file.metadata().get(KEY);
    if (text == null)
      throw new Refusal(CODE, "the model has no metadata \"mttc\": only files that `mttc export` wrote do");
    var meta = Json.object(text, "the metadata", CODE);
    meta.at("format").oneOf(List.of("mttc-model"));
    meta.at("version").whole(1, 3);
    var kind = meta.at("kind").oneOf(List.of("model", "task", "trunk", "shared", "head"));
    if (!kind.equals("model") && !kind.equals("task"))
      throw new Refusal(CODE, "the file is the part \"" + kind + "\" of a split export: give model.onnx");
    if (meta.has("reading")) meta.objectAt("reading").at("version").whole(1, 1);
    var tasks = meta.at("tasks").list(MOST_TASKS).stream().map(Metadata::task).toList();
    if (tasks.stream().map(Task::name).distinct().count() < tasks.size())
      throw meta.at("tasks").wrong("tasks of different names");
    if (!new HashSet<>(file.outputs()).containsAll(tasks.stream().map(Task::output).toList()))
      throw new Refusal(CODE, "the metadata names outputs that the graph does not have: " + file.outputs());
    boolean resizes = meta.objectAt("preprocessing").has("resize");
    return new Metadata(target(meta.objectAt("preprocessing"), inks(meta), resizes), resizes, tasks);
  }

  private static Target target(Json input, byte[] inks, boolean resizes) {
    if (resizes) input.at("resize").oneOf(List.of("graph"));
    input.at("layout").oneOf(List.of("NHWC"));
    if (!input.at("dtype").oneOf(List.of("uint8", "uint16", "float32")).equals("uint8"))
      throw new Refusal(CODE, "the model takes images of more than 8 bits, which this client does not read");
    int height = input.at("height").whole(1, MOST_SIDE);
    int width = input.at("width").whole(1, MOST_SIDE);
    int channels = input.at("channels").whole(1, 16);
    boolean greyscale = input.at("greyscale").flag();
    if ((long) height * width * channels > MOST_NUMBERS)
      throw input.wrong("an image of at most 2^28 numbers");
    if (channels != 3 && !greyscale)
      throw new Refusal(CODE, "the model takes " + channels + " channels; colours and grey are read here");
    return new Target(height, width, channels, greyscale, !resizes, inks);
  }

  private static byte[] inks(Json meta) {
    if (!meta.has("reading") || !meta.objectAt("reading").has("cmyk")) return null;
    var text = meta.objectAt("reading").at("cmyk");
    try {
      byte[] inks = Base64.getDecoder().decode(text.text());
      if (inks.length == INKS_BYTES) return inks;
    } catch (IllegalArgumentException error) {
      // Said below.
    }
    throw text.wrong(INKS_BYTES + " bytes in base64");
  }

  private static Task task(Json entry) {
    if (!entry.node().isObject()) throw entry.wrong("an object");
    var name = entry.at("name").text();
    if (name.isEmpty()) throw entry.at("name").wrong("a name");
    var output = entry.at("output").text();
    var word = entry.has("kind") ? entry.at("kind").oneOf(List.of("classes", "tags", "number")) : "classes";
    return switch (word) {
      case "tags" -> {
        var tags = entry.at("tags").names(MOST_NAMES);
        double[] thresholds =
            entry.has("thresholds") ? shares(entry.at("thresholds"), tags.size()) : halves(tags);
        yield new Task(name, output, Kind.TAGS, tags, thresholds, 0, null);
      }
      case "number" -> {
        int count = entry.at("mean").list(MOST_NAMES).size();
        var names = entry.has("columns") ? entry.at("columns").names(MOST_NAMES) : List.of(name);
        if (names.size() != count) throw entry.at("columns").wrong(count + " columns, as many as means");
        double[] within =
            entry.has("interval") ? radius(entry.objectAt("interval").at("radius"), count) : null;
        yield new Task(name, output, Kind.NUMBER, names, null, 0, within);
      }
      default -> {
        double unsure = entry.has("unsure") ? entry.objectAt("unsure").at("below").share() : 0;
        yield new Task(name, output, Kind.CLASSES, entry.at("classes").names(MOST_NAMES), null, unsure, null);
      }
    };
  }

  private static double[] halves(List<String> tags) {
    return tags.stream().mapToDouble(tag -> 0.5).toArray();
  }

  private static double[] shares(Json list, int count) {
    return sized(list, count).stream().mapToDouble(Json::share).toArray();
  }

  private static double[] radius(Json list, int count) {
    return sized(list, count).stream().mapToDouble(Json::number).toArray();
  }

  private static List<Json> sized(Json list, int count) {
    var members = list.list(MOST_NAMES);
    if (members.size() != count) throw list.wrong("a list of " + count);
    return members;
  }
}
