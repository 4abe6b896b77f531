package mttc.images;

import java.util.function.IntUnaryOperator;

/**
 * Training's resize to the bit: libvips's. What shrinks: an integer box first, then Lanczos 3 in 64ths of a
 * place. What grows: Catmull-Rom, places without the usual half. Weights are integers, 4096 the whole.
 *
 * <p>An array is [outer, n, inner] to each step, which changes n: for rows outer is 1, for columns the rows.
 */
final class Resize {
  private static final int SUPPORT = 3;
  private static final int PLACES = 64;
  private static final int WHOLE = 4096;
  private static final int SHIFT = 12;
  private static final int CUBIC_TAPS = 4;
  /** libvips adds places up over rows in strips of so many, over columns in one go. */
  private static final int STRIP_ROWS = 10;

  private Resize() {}

  /** [fromHeight, fromWidth, bands] -> [height, width, bands]. */
  static byte[] resize(byte[] pixels, int fromHeight, int fromWidth, int height, int width, int bands) {
    byte[] reduced = pixels;
    if (height < fromHeight) reduced = reduce(reduced, 1, fromHeight, fromWidth * bands, height, STRIP_ROWS);
    int rows = Math.min(height, fromHeight);
    if (width < fromWidth) reduced = reduce(reduced, rows, fromWidth, bands, width, width);
    int columns = Math.min(width, fromWidth);
    if (width <= fromWidth && height <= fromHeight) return reduced;
    byte[] narrow = reduced;
    // Both axes, also one that has its size already; between them nothing is cut off.
    int[] wide = enlarge(i -> narrow[i] & 255, rows, columns, bands, width);
    int[] whole = enlarge(i -> wide[i], 1, rows, width * bands, height);
    byte[] bytes = new byte[whole.length];
    for (int i = 0; i < bytes.length; i++) bytes[i] = clipped(whole[i]);
    return bytes;
  }

  private static byte[] reduce(byte[] in, int outer, int n, int inner, int size, int run) {
    int k = Math.max(1, n / size / 2);
    byte[] a = k > 1 ? box(in, outer, n, inner, k) : in;
    int count = (n + k - 1) / k;
    if (n == k * size) return a;
    double factor = 1 / (1 / ((double) n / size));
    double step = factor / k;
    int half = (int) Math.rint(SUPPORT * step);
    int[][] weights = new int[PLACES + 1][];
    byte[] out = new byte[outer * size * inner];
    double place = 0;
    for (int j = 0; j < size; j++) {
      boolean starts = j % run == 0;
      place = starts ? (j + 0.5) * step - 0.5 - ((1 + (size * factor - n) / k) / 2 - 1) : place + step;
      int q = (int) (place * 2 * PLACES);
      int t = ((q & (2 * PLACES - 1)) + 1) >> 1;
      if (weights[t] == null) weights[t] = lanczos(t, step, half);
      weigh(a, count, (q >> 7) - half, weights[t], out, j, size, outer, inner);
    }
    return out;
  }

  /** The weighted rows from `first` on of each block of `count` rows -> row j of `size`. */
  private static void weigh(
      byte[] a, int count, int first, int[] weights, byte[] out, int j, int size, int outer, int inner) {
    int[] sums = new int[inner];
    for (int block = 0; block < outer; block++) {
      java.util.Arrays.fill(sums, WHOLE / 2);
      for (int i = 0; i < weights.length; i++) {
        int from = (block * count + Math.max(0, Math.min(count - 1, first + i))) * inner;
        int weight = weights[i];
        for (int x = 0; x < inner; x++) sums[x] += weight * (a[from + x] & 255);
      }
      int to = (block * size + j) * inner;
      for (int x = 0; x < inner; x++) out[to + x] = clipped(sums[x] >> SHIFT);
    }
  }

  /** Means of k rows; the last row is repeated until k divides them. */
  private static byte[] box(byte[] a, int outer, int n, int inner, int k) {
    int count = (n + k - 1) / k;
    long share = (1 << 24) / k;
    byte[] out = new byte[outer * count * inner];
    for (int block = 0, to = 0; block < outer; block++)
      for (int j = 0; j < count; j++)
        for (int x = 0; x < inner; x++, to++) {
          long sum = k / 2;
          for (int i = 0; i < k; i++) sum += a[(block * n + Math.min(n - 1, j * k + i)) * inner + x] & 255;
          out[to] = (byte) (sum * share >> 24);
        }
    return out;
  }

  private static int[] lanczos(int place, double step, int half) {
    double[] weights = new double[2 * half + 1];
    double sum = 0;
    for (int i = 0; i < weights.length; i++) {
      double x = (i - ((double) place / PLACES + half - 0.5)) * (1 / step);
      weights[i] = Math.abs(x) <= SUPPORT ? sinc(x) * sinc(x / SUPPORT) : 0;
      sum += weights[i];
    }
    int[] whole = new int[weights.length];
    for (int i = 0; i < whole.length; i++) whole[i] = (int) (WHOLE * (weights[i] / sum));
    return whole;
  }

  private static double sinc(double x) {
    return x == 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
  }

  private static int[] enlarge(IntUnaryOperator a, int outer, int n, int inner, int size) {
    int[] out = new int[outer * size * inner];
    for (int j = 0; j < size; j++) {
      long q = (long) j * n * 2 * PLACES / size - PLACES;
      int first = (int) (q >> 7) - 1;
      int[] weights = catmullRom((double) (((q & (2 * PLACES - 1)) + 1) >> 1) / PLACES);
      for (int block = 0; block < outer; block++)
        for (int x = 0; x < inner; x++) {
          int sum = WHOLE / 2;
          for (int i = 0; i < CUBIC_TAPS; i++) {
            int row = block * n + Math.max(0, Math.min(n - 1, first + i));
            sum += weights[i] * a.applyAsInt(row * inner + x);
          }
          out[(block * size + j) * inner + x] = sum >> SHIFT;
        }
    }
    return out;
  }

  private static int[] catmullRom(double x) {
    double y = 1 - x;
    double[] weights = {
      -x * y * y / 2, y * (1 + x - 1.5 * x * x), x * (0.5 + 2 * x - 1.5 * x * x), -x * x * y / 2
    };
    int[] whole = new int[CUBIC_TAPS];
    for (int i = 0; i < CUBIC_TAPS; i++) whole[i] = (int) (WHOLE * weights[i]);
    return whole;
  }

  private static byte clipped(int value) {
    return (byte) Math.max(0, Math.min(255, value));
  }
}
