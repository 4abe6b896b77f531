package mttc.train;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;

/**
 * An operation of augmentation: what is drawn for an image, as CONTRACT.md, "Augmentation", says. The graph
 * does the rest.
 *
 * @param strength q of that page
 * @param stream names its random stream
 */
public record Operation(String name, double strength, String stream) {
  /** The operations that are known. */
  public static final Set<String> NAMES =
      Set.of(
          "flip_left_right", "flip_up_down", "rot90", "shear", "zoom_scale", "center_zoom_scale", "solarize",
          "jitter", "brightness_delta", "contrast_delta", "saturation_delta", "hue_delta", "gaussian_blur",
          "gaussian_noise", "autocontrast", "drop_color", "sobel_prob", "jpeg_degrade", "mask", "pixel_mask");

  /** Nothing is as bright. */
  private static final double NO_THRESHOLD = 1e9;
  private static final double NO_BLUR = 0.01;
  private static final double PIXEL_LEVEL = 0.5244005127080407;
  private static final int TRIES = 100;

  /** The columns of the image at `place` of an epoch, of the size that the graph takes. */
  public double[] draw(long seed, int epoch, int place, int height, int width) {
    return new Drawing(new RandomStream(seed, stream, epoch, place), strength, height, width).of(name);
  }

  /** The numbers of one image, in the order in which they are written. */
  private record Drawing(RandomStream stream, double q, int height, int width) {
    double[] of(String name) {
      return switch (name) {
        case "flip_left_right", "flip_up_down" -> row(flag(uniform() < 0.5));
        case "rot90" -> turn(integer(0, 4));
        case "shear" -> row(between(-q, q), between(-q, q));
        case "zoom_scale" -> crop();
        case "center_zoom_scale" -> row(between(0, (1 - q) / 2));
        case "solarize" -> row(chance() ? uniform() : NO_THRESHOLD);
        case "jitter" -> jitter();
        case "brightness_delta", "contrast_delta", "saturation_delta" -> row(factor(q));
        case "hue_delta" -> row(between(-q, q));
        case "gaussian_blur" -> row(chance() ? between(0.1, 2) : NO_BLUR);
        case "gaussian_noise" -> chance() ? noise(0.1) : row(0, 0, 0, 0);
        case "autocontrast", "drop_color", "sobel_prob" -> row(flag(chance()));
        case "jpeg_degrade" -> chance() ? row(1, flag(chance())) : row(0, 0);
        case "mask" -> chance() ? rectangle() : row(0, 0, 0, 0);
        case "pixel_mask" -> chance() ? pixels() : row(0, 0, 0, 0, -1);
        default -> throw new IllegalArgumentException(name);
      };
    }

    private static double[] row(double... numbers) {
      return numbers;
    }

    private static double flag(boolean is) {
      return is ? 1 : 0;
    }

    private double uniform() {
      return stream.nextUniform();
    }

    private boolean chance() {
      return uniform() < q;
    }

    private double between(double start, double end) {
      return start + uniform() * (end - start);
    }

    private double integer(double start, double end) {
      return start + Math.floor(uniform() * Math.max(end - start, 0));
    }

    private double factor(double delta) {
      return between(Math.max(0, 1 - delta), 1 + delta);
    }

    private static double[] turn(double quarters) {
      return row(quarters % 2, flag(quarters == 1 || quarters == 2), flag(quarters >= 2));
    }

    private double[] jitter() {
      double[] order = {0, 1, 2, 3};
      for (int last = 3; last > 0; last--) {
        int chosen = (int) integer(0, last + 1);
        double kept = order[last];
        order[last] = order[chosen];
        order[chosen] = kept;
      }
      List<Double> numbers = new ArrayList<>(Arrays.stream(order).boxed().toList());
      for (int i = 0; i < 3; i++) numbers.add(factor(0.8 * q));
      numbers.add(between(-0.2 * q, 0.2 * q));
      return numbers.stream().mapToDouble(Double::doubleValue).toArray();
    }

    private double[] noise(double deviation) {
      double most = Math.ceil(0x1p19 / width);
      double first = integer(0, most);
      double second = integer(0, most);
      double angle = between(0, 2 * Math.PI);
      return row(first, second, deviation * Math.cos(angle), deviation * Math.sin(angle));
    }

    private double[] pixels() {
      double[] numbers = Arrays.copyOf(noise(1), 5);
      numbers[4] = PIXEL_LEVEL;
      return numbers;
    }

    private double[] rectangle() {
      double rows = integer(height / 20, height / 2);
      double columns = integer(height / 20, width / 2);
      double column = integer(0, width - columns);
      return row(integer(0, height - rows), column, rows, columns);
    }

    private double[] crop() {
      for (int i = 0; i < TRIES; i++) {
        double[] tried = triedCrop();
        if (tried != null) return tried;
      }
      return row(0, 0, height, width);
    }

    /** Row, column, height and width of a part of at least q of the image; null where this one is none. */
    private double[] triedCrop() {
      double aspect = between(3.0 / 4, 4.0 / 3) * ((double) width / height);
      double area = (double) height * width;
      double tall = Math.floor(Math.sqrt(area / aspect) + 0.5);
      if (wide(tall, aspect) > width) tall = Math.floor((width + 0.5) / aspect);
      if (wide(tall, aspect) > width) tall--;
      tall = Math.min(tall, height);
      double rows = integer(Math.min(Math.floor(Math.sqrt(q * area / aspect) + 0.5), tall), tall + 1);
      if (wide(rows, aspect) * rows < q * area) rows++;
      if (wide(rows, aspect) * rows > area) rows--;
      double columns = wide(rows, aspect);
      boolean fits = rows >= 1 && rows <= height && columns >= 1 && columns <= width;
      if (!fits || columns * rows < q * area || columns * rows > area) return null;
      return row(integer(0, height - rows), integer(0, width - columns), rows, columns);
    }

    private static double wide(double rows, double aspect) {
      return Math.floor(rows * aspect + 0.5);
    }
  }
}
