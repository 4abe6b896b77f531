package mttc.train;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtLoggingLevel;
import ai.onnxruntime.OrtSession;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import mttc.PlainFile;
import mttc.Refusal;
import mttc.train.Bundle.Graph;
import mttc.train.Bundle.Port;
import mttc.train.Feeds.Place;

/**
 * Trains a bundle: its graphs, its state, and the rows that it trains on. The state stays in ONNX Runtime's
 * tensors from step to step: what a graph gives for it is what the next one is given.
 */
public final class Trainer implements AutoCloseable {
  private static final String DRIVER = "mttc examples Java, ONNX Runtime ";

  /** Roles of outputs; those for reports alone are left. */
  private static final List<String> OUTPUTS =
      List.of("state", "accumulator", "losses", "figure", "prediction", "gram", "gradient_weights");

  /** Roles of what is summed up over micro-batches. */
  private static final Set<String> SUMS = Set.of("accumulator", "losses");

  private final OrtEnvironment environment =
      OrtEnvironment.getEnvironment(OrtLoggingLevel.ORT_LOGGING_LEVEL_ERROR);
  private final Bundle bundle;
  private final Map<String, Runner> runners = new LinkedHashMap<>();
  /** What a step runs, in order. */
  private final List<Runner> stages;
  /** State and sums by name. */
  private final Map<String, OnnxTensor> state = new HashMap<>();
  private final EpochOrder order;
  private final EpochLosses losses = new EpochLosses();
  private final int stepsPerEpoch;
  private final int epochs;
  private long steps;

  /**
   * A graph that is run, and what it is given.
   *
   * @param zeros what the sums that it adds to begin with, by name
   */
  private record Runner(
      Graph graph, OrtSession session, Map<String, Feeds.Feed> feeds, Map<String, OnnxTensor> zeros) {}

  /**
   * Reads all that training needs. Throws Refusal: E_FILE, E_BUNDLE, E_ST_HEADER, E_ST_LAYOUT, E_CSV_SHAPE,
   * E_CSV_HEADER, E_LABEL, E_IMG_..., E_MODEL_PARSE.
   *
   * @param epochs 0: as many as the experiment says
   */
  public Trainer(Path folder, Path tableFile, int epochs) {
    try {
      environment.setTelemetry(false);
    } catch (OrtException error) {
      throw new Refusal("E_ORT", "ONNX Runtime: " + error.getMessage(), error);
    }
    bundle = Bundle.read(folder);
    this.epochs = epochs > 0 ? epochs : bundle.spec().epochs();
    boolean takesFeatures = bundle.hasFeatures();
    var step = bundle.step(takesFeatures);
    var graphs = step.stream().distinct().toList();
    graphs.forEach(this::checkState);
    checkSums(graphs);
    var stored = Safetensors.read(folder.resolve("state.safetensors"), bundle.state());
    var table = LabelTable.read(tableFile);
    var labels = TaskLabels.read(bundle, graphs, table);
    stepsPerEpoch = (table.rows().size() + bundle.batch() - 1) / bundle.batch();
    order = new EpochOrder(
        bundle.spec().seed(),
        labels.values().stream().map(Labels::groups).toList(),
        bundle.spec().isBalanced(),
        bundle.spec().byClass());
    var images = new Images(paths(tableFile, table), bundle.images());
    float[][] features = takesFeatures ? new Trunk(bundle, this::open).features(images) : null;
    var feeds = new Feeds(bundle, labels, images, features, (long) this.epochs * stepsPerEpoch, losses);
    int rows = bundle.batch() / bundle.accumulate();
    for (var graph : graphs) {
      var made = feeds.of(graph, graph.isOfRows() ? rows : bundle.batch());
      runners.put(graph.purpose(), new Runner(graph, open(graph), made, new HashMap<>()));
    }
    stages = step.stream().map(graph -> runners.get(graph.purpose())).toList();
    takeOver(stored);
  }

  private List<Path> paths(Path tableFile, LabelTable table) {
    var paths = new ArrayList<Path>();
    for (var cell : table.column(bundle.spec().filepaths()))
      paths.add(tableFile.resolveSibling(bundle.spec().path(cell)));
    return paths;
  }

  /** State of a graph must be the bundle's, and its outputs must replace such. */
  private void checkState(Graph graph) {
    for (var input : graph.inputs())
      if (input.role().equals("state") && !bundle.state().containsKey(input.name()))
        throw input.json().at("name").wrong("a tensor of the state");
    for (var output : graph.outputs()) {
      output.json().at("role").oneOf(OUTPUTS);
      if (output.role().equals("state") && !bundle.state().containsKey(replaced(output)))
        throw output.json().at("replaces").wrong("a tensor of the state");
    }
  }

  /** Sums that a graph takes must be its own, or those of a graph before it. */
  private static void checkSums(List<Graph> graphs) {
    var made = new HashSet<String>();
    for (var graph : graphs) {
      for (var output : graph.outputs()) if (SUMS.contains(output.role())) made.add(replaced(output));
      for (var input : graph.inputs())
        if (SUMS.contains(input.role()) && !made.contains(input.name()))
          throw input.json().at("name").wrong("a sum that a graph makes");
    }
  }

  private static String replaced(Port output) {
    return output.json().at("replaces").text();
  }

  private OrtSession open(Graph graph) {
    var file = PlainFile.of(bundle.folder().resolve(graph.file()));
    refuseWideNames(graph.inputs());
    refuseWideNames(graph.outputs());
    try {
      return environment.createSession(file.toString());
    } catch (OrtException error) {
      var message = file + ": ONNX Runtime does not open it: " + error.getMessage();
      throw new Refusal("E_MODEL_PARSE", message, error);
    }
  }

  /** ONNX Runtime's Java hands over names in Java's own UTF-8, in which an emoji is another. */
  private static void refuseWideNames(List<Port> ports) {
    for (var port : ports)
      if (port.name().chars().anyMatch(letter -> Character.isSurrogate((char) letter)))
        throw port.json().at("name").wrong("a name of letters that ONNX Runtime's Java can hand over");
  }

  private void takeOver(Map<String, ByteBuffer> stored) {
    try {
      for (var entry : bundle.state().entrySet()) {
        var room = entry.getValue().room().put(stored.get(entry.getKey()));
        state.put(entry.getKey(), entry.getValue().of(room));
      }
      for (var runner : runners.values())
        for (var output : runner.graph.outputs())
          if (SUMS.contains(output.role())) runner.zeros.put(replaced(output), output.tensor().zeros());
    } catch (OrtException error) {
      throw new Refusal("E_ORT", "ONNX Runtime: " + error.getMessage(), error);
    }
  }

  /** Epochs that are trained. */
  public int epochs() {
    return epochs;
  }

  /**
   * Trains an epoch, from 1.
   *
   * @return figures, summed over its steps, by "TASK FIGURE"
   */
  public Map<String, Double> train(int epoch) {
    var figures = new TreeMap<String, Double>();
    int[] places = order.of(epoch, stepsPerEpoch * bundle.batch());
    for (int first = 0; first < places.length; first += bundle.batch(), steps++) {
      int[] rows = java.util.Arrays.copyOfRange(places, first, first + bundle.batch());
      // Later rounds over the same rows have figures again.
      var counted = figures;
      for (var runner : stages) {
        int parts = runner.graph.isOfRows() ? bundle.accumulate() : 1;
        for (int part = 0; part < parts; part++)
          run(runner, new Place(epoch, steps, first, rows, part), counted);
        counted = new TreeMap<>();
      }
    }
    losses.add(figures);
    return figures;
  }

  /** Runs a graph; each output that replaces something is that from now on. */
  private void run(Runner runner, Place place, Map<String, Double> figures) {
    var given = new LinkedHashMap<String, OnnxTensor>();
    var passing = new ArrayList<OnnxTensor>();
    try {
      for (var input : runner.graph.inputs()) {
        var feed = runner.feeds.get(input.name());
        var value = feed == null ? kept(input, runner, place) : feed.at(place);
        if (feed != null) passing.add(value);
        given.put(input.name(), value);
      }
      // Not closed: its tensors are kept as state, or closed one by one.
      var results = runner.session.run(given);
      for (var output : runner.graph.outputs()) {
        var value = (OnnxTensor) results.get(output.name()).orElseThrow(() -> unknown(output));
        if (output.json().has("replaces")) replace(replaced(output), value);
        else {
          if (output.role().equals("figure")) add(figures, output, value);
          value.close();
        }
      }
    } catch (OrtException error) {
      throw new Refusal("E_ORT", runner.graph.file() + ": " + error.getMessage(), error);
    } finally {
      passing.forEach(OnnxTensor::close);
    }
  }

  /** What is said of an output that the graph itself has not. */
  static Refusal unknown(Port output) {
    return output.json().at("name").wrong("an output of the graph");
  }

  /** What it is now; a graph's own sums begin with zeros in each round. */
  private OnnxTensor kept(Port input, Runner runner, Place place) {
    var zeros = place.part() == 0 ? runner.zeros.get(input.name()) : null;
    return zeros != null ? zeros : state.get(input.name());
  }

  private void replace(String name, OnnxTensor value) {
    var before = state.put(name, value);
    if (before != null) before.close();
  }

  private static void add(Map<String, Double> figures, Port output, OnnxTensor value) {
    var name = output.json().at("task").text() + " " + output.json().at("figure").text();
    figures.merge(name, (double) value.getFloatBuffer().get(0), Double::sum);
  }

  /** Writes the state. E_FILE. */
  public void save(Path path) {
    var metadata = new LinkedHashMap<>(bundle.checkpoint());
    if (!metadata.isEmpty()) {
      metadata.put("steps", Long.toString(steps));
      metadata.put("steps_per_epoch", Integer.toString(stepsPerEpoch));
      metadata.put("driver", DRIVER + environment.getVersion());
    }
    var data = new HashMap<String, ByteBuffer>();
    for (var name : bundle.state().keySet()) data.put(name, state.get(name).getByteBuffer());
    Safetensors.write(path, metadata, bundle.state(), data);
  }

  @Override
  public void close() {
    state.values().forEach(OnnxTensor::close);
    try {
      for (var runner : runners.values()) {
        runner.zeros.values().forEach(OnnxTensor::close);
        runner.session.close();
      }
    } catch (OrtException error) {
      throw new Refusal("E_ORT", "ONNX Runtime: " + error.getMessage(), error);
    }
  }
}
