package mttc.images;

import mttc.images.PictureReader.Pixels;

/** EXIF's eight orientations. */
final class Turn {
  private Turn() {}

  /** The picture as it is to be seen: what it is stored like, mirrored and turned. */
  static Pixels upright(Pixels stored, int orientation) {
    if (orientation == 1) return stored;
    int high = stored.height();
    int wide = stored.width();
    int bands = stored.channels();
    boolean isSwapped = orientation >= 5;
    int height = isSwapped ? wide : high;
    int width = isSwapped ? high : wide;
    // Where the first row of the stored picture is seen: 1, 2 top; 3, 4 bottom; 5, 8 left; 6, 7 right.
    boolean fromRight = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
    boolean fromBottom = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    byte[] data = new byte[stored.data().length];
    for (int y = 0, to = 0; y < height; y++)
      for (int x = 0; x < width; x++, to += bands) {
        int row = isSwapped ? x : y;
        int column = isSwapped ? y : x;
        if (fromBottom) row = high - 1 - row;
        if (fromRight) column = wide - 1 - column;
        System.arraycopy(stored.data(), (row * wide + column) * bands, data, to, bands);
      }
    return new Pixels(height, width, bands, data);
  }
}
