package mttc.train;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import mttc.train.Bundle.Port;

/** Makes what a graph is given at a step, by the role of each input: CONTRACT.md, "Roles". */
final class Feeds {
  /**
   * Where training is.
   *
   * @param step s, from 0 over the whole run
   * @param first place in the epoch of the logical batch's first row
   * @param rows of the table, of the whole logical batch
   * @param part which micro-batch of it
   */
  record Place(int epoch, long step, int first, int[] rows, int part) {}

  /** Makes the value of an input, which holds until the next one is made; the caller closes it. */
  interface Feed {
    OnnxTensor at(Place place) throws OrtException;
  }

  private static final Set<String> KEPT = Set.of("state", "accumulator", "losses");

  private final Bundle bundle;
  private final Map<String, Labels> labels;
  private final Images images;
  private final float[][] features;
  private final Scalar.Sources sources;

  /**
   * @param features of each row, where the graphs take such in place of images; else null
   * @param steps of the whole run
   * @param losses of the epochs that are done, as they come
   */
  Feeds(
      Bundle bundle,
      Map<String, Labels> labels,
      Images images,
      float[][] features,
      long steps,
      EpochLosses losses) {
    this.bundle = bundle;
    this.labels = labels;
    this.images = images;
    this.features = features;
    var scalars = new LinkedHashMap<String, Port>();
    for (var graph : bundle.graphs().values())
      for (var input : graph.inputs()) if (input.role().equals("scalar")) scalars.put(input.name(), input);
    sources = new Scalar.Sources(labels, steps, scalars, bundle.spec().seed(), losses);
  }

  /** Feeds by input, of all but state and sums. E_BUNDLE for what is not known. */
  Map<String, Feed> of(Bundle.Graph graph, int count) {
    var feeds = new LinkedHashMap<String, Feed>();
    for (var input : graph.inputs())
      if (!KEPT.contains(input.role())) feeds.put(input.name(), of(input, count));
    return feeds;
  }

  private Feed of(Port input, int count) {
    return switch (input.role()) {
      case "image" -> image(input, count);
      case "features" -> features(input, count);
      case "augment" -> augment(input, count);
      case "label" -> label(input, count);
      case "mask" -> mask(input, count);
      case "draw" -> draw(input);
      case "scalar" -> {
        var scalar = Scalar.of(input, sources);
        yield place -> input.tensor().of(scalar.at(place.step(), place.rows()));
      }
      default ->
          throw input.json().at("role").wrong("a role that this trainer fills");
    };
  }

  private Feed image(Port input, int count) {
    var form = bundle.images();
    expect(input, count, form.height(), form.width(), form.channels());
    var room = input.tensor().room();
    return place -> {
      room.clear();
      for (int row : mine(place, count)) room.put(images.of(row));
      return input.tensor().of(room);
    };
  }

  private Feed features(Port input, int count) {
    long[] shape = new long[bundle.features().length + 1];
    shape[0] = count;
    System.arraycopy(bundle.features(), 0, shape, 1, bundle.features().length);
    expect(input, shape);
    var room = input.tensor().room();
    return place -> {
      room.clear();
      for (int row : mine(place, count)) for (float number : features[row]) room.putFloat(number);
      return input.tensor().of(room);
    };
  }

  private Feed label(Port input, int count) {
    var of = labels.get(input.json().at("task").text());
    if (of == null) throw input.json().at("task").wrong("one of " + labels.keySet());
    if (input.json().at("encoding").oneOf(TaskLabels.ENCODINGS).equals("class_index")) expect(input, count);
    else expect(input, count, of.width());
    return place -> {
      double[] numbers = new double[count * of.width()];
      int to = 0;
      for (int row : mine(place, count))
        for (int i = 0; i < of.width(); i++) numbers[to++] = of.numbers()[row * of.width() + i];
      return input.tensor().of(numbers);
    };
  }

  private Feed mask(Port input, int count) {
    input.json().at("draw").oneOf(List.of("scaled_bernoulli"));
    var mask = new DropoutMask(input.json().at("stream").text(), input.json().at("rate").share());
    long[] shape = input.tensor().shape();
    if (shape.length != 4 || shape[0] != count) throw input.json().at("shape").wrong("[" + count + ",C,1,1]");
    int size = Math.toIntExact(input.tensor().count());
    return place -> {
      float[] whole = mask.draw(bundle.spec().seed(), place.step(), size * (bundle.batch() / count));
      return input.tensor().of(Arrays.copyOfRange(whole, place.part() * size, (place.part() + 1) * size));
    };
  }

  private Feed draw(Port input) {
    input.json().at("draw").oneOf(List.of("task_orders"));
    input.json().at("dtype").oneOf(List.of("int64"));
    int tasks = labels.size();
    expect(input, tasks, tasks - 1);
    var orders = new TaskOrders(input.json().at("stream").text());
    return place -> input.tensor().of(orders.draw(bundle.spec().seed(), place.step(), tasks));
  }

  private Feed augment(Port input, int count) {
    var operations = new ArrayList<Operation>();
    int columns = 0;
    for (var entry : input.json().at("operations").list(Operation.NAMES.size())) {
      var name = entry.at("name").oneOf(List.copyOf(Operation.NAMES));
      operations.add(new Operation(name, entry.at("strength").number(), entry.at("stream").text()));
      columns += entry.at("columns").list(64).size();
    }
    expect(input, count, columns);
    var form = bundle.images();
    var room = input.tensor().room();
    return place -> {
      room.clear();
      for (int i = 0; i < count; i++)
        for (var operation : operations) {
          int at = place.first() + place.part() * count + i;
          long seed = bundle.spec().seed();
          for (double number : operation.draw(seed, place.epoch(), at, form.height(), form.width()))
            room.putFloat((float) number);
        }
      return input.tensor().of(room);
    };
  }

  private static int[] mine(Place place, int count) {
    return Arrays.copyOfRange(place.rows(), place.part() * count, (place.part() + 1) * count);
  }

  private static void expect(Port input, long... shape) {
    if (!Arrays.equals(input.tensor().shape(), shape))
      throw input.json().at("shape").wrong(Arrays.toString(shape));
  }
}
