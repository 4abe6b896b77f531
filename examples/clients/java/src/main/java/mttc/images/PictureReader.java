package mttc.images;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import mttc.Refusal;

/** Image files -> what the model is given, by the steps and in the order of training (docs/predict.md). */
public final class PictureReader {
  private static final int LEAST_SIDE = 8;
  private static final long MOST_PIXELS = 1L << 28;
  private static final long MOST_FILE_BYTES = 64L << 20;

  private final Target target;

  /**
   * What the model takes.
   *
   * @param resizes false where the graph resizes, and makes grey: then pictures keep their own size
   * @param inks colours of CMYK without a profile, uint8 [5,5,5,5,3]; null: such images are refused
   */
  public record Target(
      int height, int width, int channels, boolean greyscale, boolean resizes, byte[] inks) {}

  /** Bytes [height, width, channels], row-major. */
  public record Pixels(int height, int width, int channels, byte[] data) {}

  public PictureReader(Target target) {
    this.target = target;
  }

  /**
   * Reads a file. Throws E_FILE, E_PATH_TYPE (no plain file), E_IMG_LIMIT (64 MiB, 2^28 pixels, the memory),
   * E_IMG_SIZE (a side under 8 and under the model's), E_IMG_FORMAT, E_IMG_TRUNCATED.
   */
  public Pixels read(Path path) {
    try {
      return decode(bytesOf(path));
    } catch (OutOfMemoryError error) {
      throw new Refusal("E_IMG_LIMIT", "too large for the memory of this process (java -Xmx)", error);
    }
  }

  private static byte[] bytesOf(Path path) {
    try {
      var asItIs = LinkOption.NOFOLLOW_LINKS;
      if (Files.exists(path, asItIs) && !Files.isRegularFile(path, asItIs))
        throw new Refusal("E_PATH_TYPE", "expected a regular file");
      if (Files.size(path) > MOST_FILE_BYTES)
        throw new Refusal("E_IMG_LIMIT", "the file is larger than " + MOST_FILE_BYTES + " bytes");
      return Files.readAllBytes(path);
    } catch (NoSuchFileException error) {
      throw new Refusal("E_FILE", "there is no such file", error);
    } catch (IOException error) {
      throw new Refusal("E_FILE", "cannot read the image: " + error.getMessage(), error);
    }
  }

  /** The same of the bytes of a file. */
  public Pixels decode(byte[] bytes) {
    var file = ImageFile.of(bytes);
    boolean isTurned = file.orientation() >= 5;
    checkSize(isTurned ? file.height() : file.width(), isTurned ? file.width() : file.height());
    // Stored pictures are resized and then turned, as libvips does: the other way round is another picture.
    int height = !target.resizes ? file.height() : isTurned ? target.width : target.height;
    int width = !target.resizes ? file.width() : isTurned ? target.height : target.width;
    var flat = Colours.onWhite(inSrgb(file.decode(height, width), file.profile()));
    var brought = target.greyscale ? Colours.toGrey(flat) : Colours.toRgb(flat);
    int bands = brought.space().bands;
    byte[] resized =
        target.resizes
            ? Resize.resize(brought.colours(), brought.height(), brought.width(), height, width, bands)
            : brought.colours();
    var upright = Turn.upright(new Pixels(height, width, bands, resized), file.orientation());
    return bands == target.channels ? upright : repeated(upright, target.channels);
  }

  private void checkSize(int width, int height) {
    if (width < 1 || height < 1) throw Decoders.damaged("its size is " + width + "x" + height, null);
    if ((long) width * height > MOST_PIXELS)
      throw new Refusal("E_IMG_LIMIT", "the image is " + width + "x" + height + ", over 2^28 pixels");
    if (width < Math.min(LEAST_SIDE, target.width) || height < Math.min(LEAST_SIDE, target.height))
      throw new Refusal("E_IMG_SIZE", "the image is " + width + "x" + height + ", the least is 8x8");
  }

  private Picture inSrgb(Picture picture, byte[] profile) {
    var seen = profile == null ? picture : Colours.fromProfile(picture, profile);
    if (seen.space() != Picture.Space.CMYK) return seen;
    if (target.inks != null) return Colours.fromInks(seen, target.inks);
    throw new Refusal("E_IMG_FORMAT", "the model says nothing of CMYK without a colour profile");
  }

  private static Pixels repeated(Pixels grey, int channels) {
    byte[] data = new byte[grey.data.length * channels];
    for (int i = 0; i < data.length; i++) data[i] = grey.data[i / channels];
    return new Pixels(grey.height, grey.width, channels, data);
  }
}
