package mttc;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * What an ONNX file says of itself, read before anything runs it: metadata_props and the names of the graph's
 * outputs. ONNX Runtime's Java hands out such texts in Java's own UTF-8, in which names beyond 16 bits (an
 * emoji) are others; here they are what the file has.
 *
 * @param outputs names in the graph's order, which is the session's
 */
record OnnxFile(Map<String, String> metadata, List<String> outputs) {
  private static final int MODEL_GRAPH = 7;
  private static final int MODEL_METADATA = 14;
  private static final int GRAPH_OUTPUT = 12;
  private static final int MOST_TEXT_BYTES = 64 << 20;

  /** Throws E_FILE (cannot be read), E_MODEL_PARSE (no ONNX file, or one of 2 GiB and more). */
  static OnnxFile read(Path path) {
    try (var channel = FileChannel.open(PlainFile.of(path))) {
      long size = channel.size();
      if (size == 0 || size > Integer.MAX_VALUE) throw damaged("it has " + size + " bytes");
      return parse(channel.map(FileChannel.MapMode.READ_ONLY, 0, size));
    } catch (IOException error) {
      throw new Refusal("E_FILE", path + ": cannot be read: " + error.getMessage(), error);
    }
  }

  private static OnnxFile parse(ByteBuffer bytes) {
    var metadata = new LinkedHashMap<String, String>();
    var outputs = new ArrayList<String>();
    eachField(
        bytes,
        (field, body) -> {
          if (field == MODEL_METADATA) {
            var entry = texts(body);
            metadata.put(entry.getOrDefault(1, ""), entry.getOrDefault(2, ""));
          }
          if (field != MODEL_GRAPH) return;
          eachField(body, (inner, value) -> {
            if (inner == GRAPH_OUTPUT) outputs.add(texts(value).getOrDefault(1, ""));
          });
        });
    return new OnnxFile(metadata, outputs);
  }

  /** What is done with a field of a message that has a body: a text or a message. */
  private interface Visit {
    void field(int number, ByteBuffer body);
  }

  private static Map<Integer, String> texts(ByteBuffer message) {
    var texts = new LinkedHashMap<Integer, String>();
    eachField(message, (field, body) -> {
      if (field > 2) return;
      if (body.remaining() > MOST_TEXT_BYTES) throw damaged("a text of " + body.remaining() + " bytes");
      texts.put(field, StandardCharsets.UTF_8.decode(body).toString());
    });
    return texts;
  }

  /** Walks over the fields of a protobuf message, none beyond its end. */
  private static void eachField(ByteBuffer message, Visit visit) {
    while (message.hasRemaining()) {
      long key = varint(message);
      long skipped =
          switch ((int) (key & 7)) {
            case 0 -> varint(message) * 0;
            case 1 -> 8;
            case 2 -> varint(message);
            case 5 -> 4;
            default -> throw damaged("a field of type " + (key & 7));
          };
      if (skipped < 0 || skipped > message.remaining()) throw damaged("a field goes beyond the end");
      int end = message.position() + (int) skipped;
      if ((key & 7) == 2) visit.field((int) (key >>> 3), message.slice(message.position(), (int) skipped));
      message.position(end);
    }
  }

  private static long varint(ByteBuffer message) {
    long value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (!message.hasRemaining()) throw damaged("a number is cut");
      byte part = message.get();
      value |= (long) (part & 127) << shift;
      if (part >= 0) return value;
    }
    throw damaged("a number of over 64 bits");
  }

  private static Refusal damaged(String reason) {
    return new Refusal("E_MODEL_PARSE", "not an ONNX file: " + reason);
  }
}
