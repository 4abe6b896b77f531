package mttc.images;

/**
 * A decoded image as its file has it, 8 bits a number, row-major.
 *
 * @param colours [height, width, bands of the space]
 * @param alpha [height, width], 255 opaque; null without
 */
record Picture(int width, int height, Space space, byte[] colours, byte[] alpha) {
  /** What the colours are. CMYK: 255 is all of an ink. */
  enum Space {
    GREY(1),
    RGB(3),
    CMYK(4);

    final int bands;

    Space(int bands) {
      this.bands = bands;
    }
  }

  Picture withColours(Space changed, byte[] values) {
    return new Picture(width, height, changed, values, alpha);
  }
}
