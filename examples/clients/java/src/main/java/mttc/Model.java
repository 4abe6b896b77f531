package mttc;

import ai.onnxruntime.NodeInfo;
import ai.onnxruntime.OnnxJavaType;
import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import ai.onnxruntime.TensorInfo;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import mttc.images.PictureReader;
import mttc.images.PictureReader.Pixels;

/**
 * A model that `mttc export` wrote, at work: pictures in, answers out. Of any number of threads; close it
 * after use.
 */
public final class Model implements AutoCloseable {
  private static final String INPUT = "image";
  private static final String CODE = "E_MODEL_META";

  private final Metadata metadata;
  private final OrtSession session;
  private final OrtEnvironment environment;
  private final PictureReader reader;
  /** Images of a run: 1, or what the file is fixed to; the others stay black. */
  private final int batch;
  /** Place of each task's output among the session's. */
  private final int[] places;

  /** Opens a file. Throws Refusal: E_FILE, E_MODEL_PARSE, E_MODEL_META. */
  public static Model open(Path path) {
    try {
      return new Model(path);
    } catch (Refusal refusal) {
      throw refusal.getMessage().startsWith(path + ":") ? refusal : refusal.in(path);
    }
  }

  private Model(Path path) {
    var file = OnnxFile.read(path);
    metadata = Metadata.of(file);
    reader = new PictureReader(metadata.target());
    places = metadata.tasks().stream().mapToInt(task -> file.outputs().indexOf(task.output())).toArray();
    try {
      environment = OrtEnvironment.getEnvironment();
      environment.setTelemetry(false);
      session = environment.createSession(path.toString());
      try {
        batch = checkedBatch(session.getInputInfo());
        checkOutputs(List.copyOf(session.getOutputInfo().values()), file.outputs().size());
      } catch (Refusal | OrtException fault) {
        session.close();
        throw fault;
      }
    } catch (OrtException error) {
      throw new Refusal("E_MODEL_PARSE", "ONNX Runtime does not open it: " + error.getMessage(), error);
    }
  }

  /** Tasks by name, for programs that look before they ask. */
  public List<String> tasks() {
    return metadata.tasks().stream().map(Metadata.Task::name).toList();
  }

  private int checkedBatch(Map<String, NodeInfo> inputs) {
    var target = metadata.target();
    long[] size = {target.height(), target.width(), target.channels()};
    var node = inputs.get(INPUT);
    if (inputs.size() != 1 || node == null)
      throw new Refusal(CODE, "expected one input \"image\", found " + inputs.keySet());
    boolean isBytes = node.getInfo() instanceof TensorInfo info && info.type == OnnxJavaType.UINT8;
    long[] shape = isBytes ? ((TensorInfo) node.getInfo()).getShape() : new long[0];
    if (shape.length != 4)
      throw new Refusal(CODE, "expected bytes [N,H,W,C] as input, found " + node.getInfo());
    for (int axis = 0; axis < 3; axis++) {
      boolean isFree = metadata.resizes() && axis < 2;
      if (isFree ? shape[axis + 1] > 0 : shape[axis + 1] != size[axis])
        throw new Refusal(CODE, "the graph's input is not of the size that the metadata says");
    }
    if (shape[0] > Integer.MAX_VALUE / Math.max(1, size[0] * size[1] * size[2]))
      throw new Refusal(CODE, "the graph takes " + shape[0] + " images at once");
    return shape[0] < 1 ? 1 : (int) shape[0];
  }

  private void checkOutputs(List<NodeInfo> outputs, int count) {
    // ONNX Runtime's Java garbles names beyond 16 bits, and may take two for one. Places stay.
    if (outputs.size() != count) throw new Refusal(CODE, "names of outputs that Java cannot tell apart");
    for (int t = 0; t < places.length; t++) {
      var task = metadata.tasks().get(t);
      var output = outputs.get(places[t]).getInfo();
      boolean isFloat = output instanceof TensorInfo info && info.type == OnnxJavaType.FLOAT;
      long[] shape = isFloat ? ((TensorInfo) output).getShape() : new long[0];
      if (shape.length != 2 || (shape[1] > 0 && shape[1] != task.names().size()))
        throw new Refusal(
            CODE, "task \"" + task.name() + "\" has " + task.names().size() + " names, its output does not");
    }
  }

  /** What the model takes of an image file. Throws what PictureReader.read does. */
  public Pixels read(Path image) {
    return reader.read(image);
  }

  /** The model's answers of one picture, a task each. Throws E_MODEL_META for numbers that are none. */
  public List<Answer> predict(Pixels picture) {
    var bytes = ByteBuffer.allocateDirect(batch * picture.data().length).put(picture.data());
    long[] shape = {batch, picture.height(), picture.width(), picture.channels()};
    try (var tensor = OnnxTensor.createTensor(environment, bytes.clear(), shape, OnnxJavaType.UINT8);
        var results = session.run(Map.of(INPUT, tensor))) {
      var answers = new ArrayList<Answer>();
      for (int t = 0; t < places.length; t++) {
        float[][] rows = (float[][]) results.get(places[t]).getValue();
        answers.add(Answer.of(metadata.tasks().get(t), rows[0]));
      }
      return answers;
    } catch (OrtException error) {
      throw new Refusal("E_ORT", "ONNX Runtime does not run the model: " + error.getMessage(), error);
    }
  }

  @Override
  public void close() {
    try {
      session.close();
    } catch (OrtException error) {
      throw new Refusal("E_ORT", "ONNX Runtime does not close the model: " + error.getMessage(), error);
    }
  }
}
