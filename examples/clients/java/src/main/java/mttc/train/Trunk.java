package mttc.train;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import java.util.Map;
import java.util.function.Function;
import mttc.Refusal;
import mttc.train.Bundle.Graph;

/** The frozen part of a network, whose features are computed once. */
final class Trunk {
  private final Bundle bundle;
  private final Graph graph;
  private final OrtSession session;

  Trunk(Bundle bundle, Function<Graph, OrtSession> open) {
    this.bundle = bundle;
    graph = bundle.graph("trunk", false);
    session = open.apply(graph);
  }

  /** Of each row, in the order of the graph's output. E_ORT, E_BUNDLE. */
  float[][] features(Images images) {
    float[][] features = new float[images.rows()][];
    for (int row = 0; row < features.length; row++) features[row] = of(images.of(row));
    try {
      session.close();
    } catch (OrtException error) {
      throw new Refusal("E_ORT", graph.file() + ": " + error.getMessage(), error);
    }
    return features;
  }

  private float[] of(byte[] pixels) {
    var form = bundle.images();
    var input = graph.inputs().get(0);
    var output = graph.outputs().get(0);
    if (graph.inputs().size() != 1 || !input.role().equals("image") || !output.role().equals("features"))
      throw new Refusal(Bundle.CODE, graph.file() + ": a trunk goes from images to features");
    var one = new Tensor("uint8", new long[] {1, form.height(), form.width(), form.channels()});
    try (var image = one.of(one.room().put(pixels));
        var results = session.run(Map.of(input.name(), image))) {
      var tensor = (OnnxTensor) results.get(output.name()).orElseThrow(() -> Trainer.unknown(output));
      float[] numbers = new float[tensor.getFloatBuffer().remaining()];
      tensor.getFloatBuffer().get(numbers);
      long count = java.util.Arrays.stream(bundle.features()).reduce(1, Math::multiplyExact);
      if (numbers.length != count)
        throw new Refusal(Bundle.CODE, graph.file() + ": it gives other features than the manifest says");
      return numbers;
    } catch (OrtException error) {
      throw new Refusal("E_ORT", graph.file() + ": " + error.getMessage(), error);
    }
  }
}
