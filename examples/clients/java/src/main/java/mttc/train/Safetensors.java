package mttc.train;

import com.fasterxml.jackson.core.JsonProcessingException;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.LinkedHashMap;
import java.util.Map;
import mttc.Json;
import mttc.PlainFile;
import mttc.Refusal;

/** The state of training as a file: CONTRACT.md, "State and checkpoints". */
final class Safetensors {
  private static final Map<String, String> STORED = Map.of("float32", "F32", "int64", "I64");
  private static final int MOST_HEADER_BYTES = 64 << 20;

  private Safetensors() {}

  /**
   * The bytes of each tensor of `wanted`, which the file must hold in that order and nothing else. E_FILE,
   * E_ST_HEADER (the header), E_ST_LAYOUT (other tensors, or not where they should be).
   */
  static Map<String, ByteBuffer> read(Path path, Map<String, Tensor> wanted) {
    byte[] bytes = bytesOf(path);
    var file = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    long length = bytes.length < 8 ? -1 : file.getLong(0);
    if (length < 2 || length > Math.min(MOST_HEADER_BYTES, bytes.length - 8))
      throw new Refusal("E_ST_HEADER", path + ": its header is cut, or none");
    int start = 8 + (int) length;
    var text = new String(bytes, 8, (int) length, StandardCharsets.UTF_8);
    var header = Json.object(text, path.toString(), "E_ST_HEADER");
    var tensors = new LinkedHashMap<String, ByteBuffer>();
    long end = 0;
    for (var entry : wanted.entrySet()) {
      var stored = header.objectAt(entry.getKey());
      var tensor = entry.getValue();
      var place = place(tensor, end);
      for (var key : place.keySet())
        if (!stored.at(key).node().toString().equals(Json.MAPPER.valueToTree(place.get(key)).toString()))
          throw stored.at(key).wrong(Json.MAPPER.valueToTree(place.get(key)).toString());
      if (start + end + tensor.bytes() > bytes.length)
        throw new Refusal("E_ST_LAYOUT", path + ": the file is cut in " + entry.getKey());
      tensors.put(entry.getKey(), file.slice((int) (start + end), tensor.bytes()));
      end += tensor.bytes();
    }
    int others = header.has("__metadata__") ? 1 : 0;
    if (start + end != bytes.length || header.node().size() != wanted.size() + others)
      throw new Refusal("E_ST_LAYOUT", path + ": it holds more than the state's tensors");
    return tensors;
  }

  private static byte[] bytesOf(Path path) {
    try {
      return Files.readAllBytes(PlainFile.of(path));
    } catch (IOException | OutOfMemoryError error) {
      throw new Refusal("E_FILE", path + ": cannot be read: " + error.getMessage(), error);
    }
  }

  /**
   * Writes tensors, in their order, with `metadata` where there is any: whole or not at all. E_FILE, also
   * where another kind of file stands in the way.
   */
  static void write(
      Path path, Map<String, String> metadata, Map<String, Tensor> forms, Map<String, ByteBuffer> data) {
    var header = new LinkedHashMap<String, Object>();
    if (!metadata.isEmpty()) header.put("__metadata__", metadata);
    long end = 0;
    for (var entry : forms.entrySet()) {
      header.put(entry.getKey(), place(entry.getValue(), end));
      end += entry.getValue().bytes();
    }
    var partial = path.resolveSibling(path.getFileName() + ".partial");
    refuseOther(path);
    try (var file = new RandomAccessFile(partial.toFile(), "rw")) {
      byte[] text = padded(Json.MAPPER.writeValueAsString(header));
      file.setLength(0);
      file.write(ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(text.length).array());
      file.write(text);
      for (var name : forms.keySet()) file.getChannel().write(data.get(name));
      file.getChannel().force(true);
      Files.move(partial, path, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    } catch (JsonProcessingException error) {
      throw new IllegalStateException(error);
    } catch (IOException error) {
      throw new Refusal("E_FILE", path + ": cannot be written: " + error.getMessage(), error);
    }
  }

  /** What the header says of a tensor that begins at `start`. */
  private static Map<String, Object> place(Tensor tensor, long start) {
    var place = new LinkedHashMap<String, Object>();
    place.put("dtype", STORED.get(tensor.dtype()));
    place.put("shape", tensor.shape());
    place.put("data_offsets", new long[] {start, start + tensor.bytes()});
    return place;
  }

  /** Looks before anything slow is done: the folder must be there, and only a file of tensors is replaced. */
  static void refuseOther(Path path) {
    var folder = path.toAbsolutePath().getParent();
    if (folder != null && !Files.isDirectory(folder))
      throw new Refusal("E_FILE", path + ": there is no such folder");
    if (!Files.exists(path)) return;
    try (var file = new RandomAccessFile(PlainFile.of(path).toFile(), "r")) {
      byte[] head = new byte[9];
      if (file.read(head) == head.length && head[8] == '{') return;
    } catch (IOException error) {
      throw new Refusal("E_FILE", path + ": cannot be replaced: " + error.getMessage(), error);
    }
    throw new Refusal("E_FILE", path + ": is in the way, and no safetensors file");
  }

  private static byte[] padded(String json) {
    byte[] text = json.getBytes(StandardCharsets.UTF_8);
    byte[] padded = java.util.Arrays.copyOf(text, (text.length + 7) / 8 * 8);
    java.util.Arrays.fill(padded, text.length, padded.length, (byte) ' ');
    return padded;
  }
}
