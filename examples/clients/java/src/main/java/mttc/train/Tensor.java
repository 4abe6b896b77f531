package mttc.train;

import ai.onnxruntime.OnnxJavaType;
import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** The type and shape of a tensor of a graph, as the manifest gives them, and tensors of it. */
record Tensor(String dtype, long[] shape) {
  static final java.util.List<String> DTYPES = java.util.List.of("float32", "int64", "uint8");

  long count() {
    long count = 1;
    for (long side : shape) count = Math.multiplyExact(count, side);
    return count;
  }

  int bytes() {
    return Math.multiplyExact(Math.toIntExact(count()), elementBytes());
  }

  int elementBytes() {
    return dtype.equals("float32") ? 4 : dtype.equals("int64") ? 8 : 1;
  }

  private OnnxJavaType type() {
    return switch (dtype) {
      case "float32" -> OnnxJavaType.FLOAT;
      case "int64" -> OnnxJavaType.INT64;
      default -> OnnxJavaType.UINT8;
    };
  }

  /** Room for its numbers, in the machine's order. */
  ByteBuffer room() {
    return ByteBuffer.allocateDirect(bytes()).order(ByteOrder.nativeOrder());
  }

  /** The tensor of what `room` holds; it keeps to that memory. */
  OnnxTensor of(ByteBuffer room) throws OrtException {
    return OnnxTensor.createTensor(OrtEnvironment.getEnvironment(), room.clear(), shape, type());
  }

  /** The tensor of numbers, rounded to its type. */
  OnnxTensor of(double[] numbers) throws OrtException {
    var room = room();
    for (double number : numbers) put(room, number);
    return of(room);
  }

  OnnxTensor of(float[] numbers) throws OrtException {
    var room = room();
    room.asFloatBuffer().put(numbers);
    return of(room);
  }

  OnnxTensor zeros() throws OrtException {
    return of(room());
  }

  private void put(ByteBuffer room, double number) {
    switch (dtype) {
      case "float32" -> room.putFloat((float) number);
      case "int64" -> room.putLong((long) number);
      default -> room.put((byte) number);
    }
  }
}
