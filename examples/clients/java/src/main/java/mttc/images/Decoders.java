package mttc.images;

import com.luciad.imageio.webp.WebPReadParam;
import java.awt.image.BufferedImage;
import java.awt.image.Raster;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import javax.imageio.ImageIO;
import javax.imageio.ImageReader;
import javax.imageio.stream.MemoryCacheImageInputStream;
import mttc.Refusal;

/** Java's image readers, made strict: what they merely warn of, a cut file say, is an error here. */
final class Decoders {
  private Decoders() {}

  /** What a reader is asked for. */
  interface Step<T> {
    T read(ImageReader reader) throws IOException;
  }

  /** The numbers of a JPEG as it stores them: no conversion of colours, which Java has traps in. */
  static Raster raster(byte[] bytes) {
    return read("jpeg", bytes, reader -> reader.readRaster(0, null));
  }

  /** A WebP; where `scale` is below 1, so much smaller. */
  static BufferedImage webp(byte[] bytes, double scale) {
    return read(
        "webp",
        bytes,
        reader -> {
          var options = (WebPReadParam) reader.getDefaultReadParam();
          options.setUseScaling(scale < 1);
          options.setScaledWidth((int) Math.rint(reader.getWidth(0) * scale));
          options.setScaledHeight((int) Math.rint(reader.getHeight(0) * scale));
          return reader.read(0, options);
        });
  }

  static BufferedImage image(String format, byte[] bytes) {
    return read(format, bytes, reader -> reader.read(0));
  }

  private static <T> T read(String format, byte[] bytes, Step<T> step) {
    var readers = ImageIO.getImageReadersByFormatName(format);
    if (!readers.hasNext()) throw new Refusal("E_IMG_FORMAT", "this Java has no reader of " + format);
    var reader = readers.next();
    var warnings = new StringBuilder();
    reader.addIIOReadWarningListener((source, warning) -> warnings.append(warning).append("; "));
    try (var stream = new MemoryCacheImageInputStream(new ByteArrayInputStream(bytes))) {
      reader.setInput(stream, true, true);
      T read = step.read(reader);
      if (warnings.isEmpty()) return read;
      throw damaged(warnings.substring(0, warnings.length() - 2), null);
    } catch (OutOfMemoryError error) {
      throw new Refusal("E_IMG_LIMIT", "too large for the memory of this process (java -Xmx)", error);
    } catch (UnsatisfiedLinkError | NoClassDefFoundError error) {
      throw new Refusal("E_IMG_FORMAT", "the reader of " + format + " does not run here", error);
    } catch (IOException | RuntimeException error) {
      throw error instanceof Refusal refusal ? refusal : damaged(String.valueOf(error.getMessage()), error);
    } finally {
      reader.dispose();
    }
  }

  static Refusal damaged(String reason, Throwable cause) {
    return new Refusal("E_IMG_TRUNCATED", "the image is damaged or cut short: " + reason, cause);
  }
}
