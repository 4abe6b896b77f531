package mttc.images;

import java.util.Arrays;

/**
 * A JPEG as libjpeg decodes it to a half, a quarter or an eighth, made of the whole picture, which is all
 * that Java gives. Its smaller transforms are means of r x r samples (jidctred.c); within 3 of 255.
 */
final class JpegReduction {
  /** At an eighth a block is one sample, and nothing is drawn out smoothly. */
  private static final int LEAST = 8;

  private final byte[] whole;
  private final int height;
  private final int width;
  private final int[] sampling;
  private final int r;

  /**
   * @param whole [height, width, components] before any conversion of colours
   * @param sampling of each component its share of columns (high 4 bits) and of rows
   * @param r 2, 4 or 8
   */
  JpegReduction(byte[] whole, int height, int width, int[] sampling, int r) {
    this.whole = whole;
    this.height = height;
    this.width = width;
    this.sampling = sampling;
    this.r = r;
  }

  /** [height / r, width / r, components], rounded down. */
  byte[] pixels() {
    int bands = sampling.length;
    int rows = height / r;
    int columns = width / r;
    byte[] pixels = new byte[rows * columns * bands];
    for (int band = 0; band < bands; band++) {
      boolean hasHalfRows = isHalf(band, 0);
      boolean hasHalfColumns = isHalf(band, 4);
      // Of half the size both ways, a component is decoded twice as large as the others, and fits. Of half
      // the size one way it cannot be, and is drawn out to twice its size once more.
      boolean isTall = hasHalfRows && !hasHalfColumns;
      boolean isWide = hasHalfColumns && !hasHalfRows;
      int down = isTall ? 2 * r : r;
      int across = isWide ? 2 * r : r;
      byte[] small = means(band, down, across, weights(down, hasHalfRows), weights(across, hasHalfColumns));
      int smallColumns = (width + across - 1) / across;
      int smallRows = (height + down - 1) / down;
      for (int y = 0, to = band; y < rows; y++)
        for (int x = 0; x < columns; x++, to += bands) {
          int at = isTall ? y / 2 : y;
          int from = at * smallColumns;
          if (isTall) pixels[to] = drawnOut(small, from + x, smallColumns, y, smallRows);
          else if (isWide) pixels[to] = drawnOut(small, from + x / 2, 1, x, smallColumns);
          else pixels[to] = small[from + x];
        }
    }
    return pixels;
  }

  /** libjpeg's smooth doubling (jdsample.c): three parts of the sample, one of its neighbour at that side. */
  private byte drawnOut(byte[] small, int at, int step, int place, int count) {
    int near = small[at] & 255;
    int neighbour = place / 2 + (place % 2 == 0 ? -1 : 1);
    if (r == LEAST || neighbour < 0 || neighbour >= count) return (byte) near;
    int far = small[at + (place % 2 == 0 ? -step : step)] & 255;
    return (byte) ((3 * near + far + 1 + place % 2) >> 2);
  }

  /** Weighted means of `down` x `across` pixels, also of what is left at the edges. */
  private byte[] means(int band, int down, int across, int[] ofRows, int[] ofColumns) {
    int rows = (height + down - 1) / down;
    int columns = (width + across - 1) / across;
    int total = Arrays.stream(ofRows).sum() * Arrays.stream(ofColumns).sum();
    byte[] means = new byte[rows * columns];
    for (int y = 0, to = 0; y < rows; y++)
      for (int x = 0; x < columns; x++, to++) {
        int sum = total / 2;
        for (int i = 0; i < ofRows.length; i++) {
          int row = Math.max(0, Math.min(height - 1, y * down - 1 + i)) * width;
          for (int j = 0; ofRows[i] != 0 && j < ofColumns.length; j++) {
            int column = Math.max(0, Math.min(width - 1, x * across - 1 + j));
            sum += ofRows[i] * ofColumns[j] * (whole[(row + column) * sampling.length + band] & 255);
          }
        }
        means[to] = JpegFile.clamped(Math.floorDiv(sum, total));
      }
    return means;
  }

  /**
   * Of the pixel before `count` pixels, these, and the one behind them. What had half the size was drawn out
   * by weights of 3 and 1, which -1, 3, 3, -1 takes back.
   */
  private static int[] weights(int count, boolean isHalf) {
    int[] weights = new int[count + 2];
    for (int i = 1; i <= count; i += 2)
      for (int j = -1; j < 3; j++) weights[i + j] += j == 0 || j == 1 ? (isHalf ? 3 : 1) : isHalf ? -1 : 0;
    return weights;
  }

  /** Whether a component has half of the rows (shift 0) or columns (shift 4) of the largest. */
  private boolean isHalf(int band, int shift) {
    int most = Arrays.stream(sampling).map(factors -> factors >> shift & 15).max().orElse(1);
    return most == 2 * (sampling[band] >> shift & 15);
  }
}
