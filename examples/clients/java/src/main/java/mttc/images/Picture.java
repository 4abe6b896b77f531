package mttc.images;

import java.awt.color.ColorSpace;

/**
 * A decoded image as its file has it, 8 bits a number, row-major.
 *
 * @param colours [height, width, bands of the space]
 * @param alpha [height, width], 255 opaque; null without
 */
record Picture(int width, int height, Space space, byte[] colours, byte[] alpha) {
  /** What the colours are. CMYK: 255 is all of an ink. */
  enum Space {
    GREY(1, ColorSpace.TYPE_GRAY),
    RGB(3, ColorSpace.TYPE_RGB),
    CMYK(4, ColorSpace.TYPE_CMYK);

    final int bands;
    /** What profiles call it. */
    final int type;

    Space(int bands, int type) {
      this.bands = bands;
      this.type = type;
    }
  }

  Picture withColours(Space changed, byte[] values) {
    return new Picture(width, height, changed, values, alpha);
  }
}
