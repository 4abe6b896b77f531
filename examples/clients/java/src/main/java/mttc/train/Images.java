package mttc.train;

import java.nio.file.Path;
import java.util.List;
import mttc.Refusal;
import mttc.images.PictureReader;

/** The pixels of a table's rows. All are read once at the start; as many as there is room for are kept. */
final class Images {
  private final List<Path> paths;
  private final PictureReader reader;
  private final byte[][] kept;

  /** Reads all. Throws what PictureReader.read throws, with the file's name. */
  Images(List<Path> paths, PictureReader.Target form) {
    this.paths = paths;
    reader = new PictureReader(form);
    kept = new byte[paths.size()][];
    long free = Runtime.getRuntime().maxMemory() / 2;
    for (int row = 0; row < kept.length; row++) {
      byte[] pixels = read(row);
      free -= pixels.length;
      if (free > 0) kept[row] = pixels;
    }
  }

  int rows() {
    return paths.size();
  }

  /** Bytes [H,W,C] of a row. */
  byte[] of(int row) {
    return kept[row] == null ? read(row) : kept[row];
  }

  private byte[] read(int row) {
    try {
      return reader.read(paths.get(row)).data();
    } catch (Refusal refusal) {
      throw refusal.in(paths.get(row));
    }
  }
}
