package mttc.images;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** The one thing of EXIF that matters here: how the image is turned. */
final class Exif {
  private static final int ORIENTATION = 0x0112;
  private static final int SHORT = 3;
  private static final int ENTRY_BYTES = 12;

  private Exif() {}

  /** The orientation, 1 to 8, of a block of EXIF (a small TIFF); 1 where it says none or nonsense. */
  static int orientation(byte[] block) {
    if (block.length < 8) return 1;
    var tiff = ByteBuffer.wrap(block);
    if (block[0] == 'I' && block[1] == 'I') tiff.order(ByteOrder.LITTLE_ENDIAN);
    else if (block[0] != 'M' || block[1] != 'M') return 1;
    long directory = tiff.getInt(4) & 0xffffffffL;
    if (tiff.getShort(2) != 42 || directory + 2 > block.length) return 1;
    int entries = tiff.getShort((int) directory) & 0xffff;
    for (int i = 0; i < entries && directory + 2 + (i + 1L) * ENTRY_BYTES <= block.length; i++) {
      int entry = (int) directory + 2 + i * ENTRY_BYTES;
      if ((tiff.getShort(entry) & 0xffff) != ORIENTATION || tiff.getShort(entry + 2) != SHORT) continue;
      int value = tiff.getShort(entry + 8) & 0xffff;
      return value >= 1 && value <= 8 ? value : 1;
    }
    return 1;
  }
}
