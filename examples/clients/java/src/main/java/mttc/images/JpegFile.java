package mttc.images;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.TreeMap;
import mttc.Refusal;

/**
 * A JPEG. Java's reader (libjpeg) is given the coded image alone, without the markers that it would convert
 * colours by, and hands out what is stored; the conversion is libjpeg's own, to the bit.
 */
final class JpegFile implements ImageFile {
  private static final int[] APPLICATION = {0xe0, 0xef};
  private static final int COMMENT = 0xfe;
  private static final int SCAN = 0xda;
  private static final int END = 0xd9;
  /** Sequential and progressive, Huffman-coded. */
  private static final int MOST_READ_FRAME = 0xc2;

  private final ByteArrayOutputStream coded = new ByteArrayOutputStream();
  private final TreeMap<Integer, byte[]> profileParts = new TreeMap<>();
  private int[] components;
  /** Of each component its share of columns (high 4 bits) and of rows. */
  private int[] sampling;
  private int width;
  private int height;
  private int orientation = 1;
  private boolean hasJfif;
  /** Adobe's marker: 0 as it is, 1 YCbCr, 2 YCCK; -1 without. */
  private int adobe = -1;

  private JpegFile() {}

  static JpegFile of(byte[] bytes) {
    var file = new JpegFile();
    file.coded.write(bytes, 0, 2);
    int at = 2;
    while (true) {
      if (at + 4 > bytes.length) throw Decoders.damaged("its header is cut", null);
      int marker = bytes[at + 1] & 255;
      if (bytes[at] != (byte) 0xff || marker == END) throw Decoders.damaged("its header is no JPEG's", null);
      if (marker == 0xff) {
        at++;
        continue;
      }
      int length = word(bytes, at + 2);
      if (length < 2 || at + 2 + length > bytes.length) throw Decoders.damaged("its header is cut", null);
      if (marker == SCAN) break;
      file.segment(marker, Arrays.copyOfRange(bytes, at + 4, at + 2 + length));
      boolean isAside = marker == COMMENT || (marker >= APPLICATION[0] && marker <= APPLICATION[1]);
      if (!isAside) file.coded.write(bytes, at, 2 + length);
      at += 2 + length;
    }
    file.coded.write(bytes, at, bytes.length - at);
    if (file.components == null) throw Decoders.damaged("it has no frame", null);
    return file;
  }

  private void segment(int marker, byte[] body) {
    boolean isFrame = marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
    if (isFrame) frame(marker, body);
    else if (marker == 0xe0) hasJfif |= hasName(body, "JFIF\0");
    else if (marker == 0xe1 && hasName(body, "Exif\0\0"))
      orientation = Exif.orientation(Arrays.copyOfRange(body, 6, body.length));
    else if (marker == 0xe2 && body.length > 14 && hasName(body, "ICC_PROFILE\0"))
      profileParts.put(body[12] & 255, Arrays.copyOfRange(body, 14, body.length));
    else if (marker == 0xee && body.length >= 12 && hasName(body, "Adobe")) adobe = body[11] & 255;
  }

  private void frame(int marker, byte[] body) {
    if (body.length < 6 || body.length < 6 + 3 * body[5]) throw Decoders.damaged("its frame is cut", null);
    if (marker > MOST_READ_FRAME)
      throw new Refusal("E_IMG_FORMAT", "a lossless or arithmetic-coded JPEG is not read");
    if (body[0] != 8) throw new Refusal("E_IMG_FORMAT", "a JPEG of " + body[0] + " bits is not read");
    height = word(body, 1);
    width = word(body, 3);
    int count = body[5];
    if (count != 1 && count != 3 && count != 4)
      throw new Refusal("E_IMG_FORMAT", "a JPEG of " + count + " components is not read");
    components = new int[count];
    sampling = new int[count];
    for (int i = 0; i < count; i++) {
      components[i] = body[6 + 3 * i] & 255;
      sampling[i] = body[7 + 3 * i] & 255;
    }
  }

  @Override
  public int width() {
    return width;
  }

  @Override
  public int height() {
    return height;
  }

  @Override
  public int orientation() {
    return orientation;
  }

  @Override
  public byte[] profile() {
    if (profileParts.isEmpty()) return null;
    var whole = new ByteArrayOutputStream();
    profileParts.values().forEach(whole::writeBytes);
    return whole.toByteArray();
  }

  @Override
  public Picture decode(int wantedHeight, int wantedWidth) {
    var raster = Decoders.raster(coded.toByteArray());
    int bands = components.length;
    if (raster.getNumBands() != bands) throw Decoders.damaged(raster.getNumBands() + " components", null);
    if (raster.getWidth() != width || raster.getHeight() != height) throw Decoders.damaged("its size", null);
    int r = reduction(Math.min((double) height / wantedHeight, (double) width / wantedWidth));
    byte[] stored = (byte[]) raster.getDataElements(0, 0, width, height, null);
    byte[] colours = r == 1 ? stored : new JpegReduction(stored, height, width, sampling, r).pixels();
    if (bands == 4) inks(colours);
    else if (bands == 3 && isLumaChroma()) toRgb(colours, 3);
    var space = bands == 1 ? Picture.Space.GREY : bands == 3 ? Picture.Space.RGB : Picture.Space.CMYK;
    return new Picture(width / r, height / r, space, colours, null);
  }

  /** How many times smaller libvips has libjpeg decode what is to become `factor` times smaller. */
  private static int reduction(double factor) {
    int r = factor >= 8 ? 8 : factor >= 4 ? 4 : factor >= 2 ? 2 : 1;
    return r > 1 && (int) factor == r ? r / 2 : r;
  }

  /** As libjpeg tells: by the markers, else by the components' numbers. */
  private boolean isLumaChroma() {
    if (hasJfif) return true;
    if (adobe >= 0) return adobe != 0;
    return !Arrays.equals(components, new int[] {'R', 'G', 'B'});
  }

  /** Adobe's files store what is left of the paper, others ink; YCCK is YCbCr of it. */
  private void inks(byte[] colours) {
    if (adobe == 2) {
      toRgb(colours, 4);
      for (int i = 0; i < colours.length; i++) if (i % 4 != 3) colours[i] = (byte) ~colours[i];
    }
    if (adobe >= 0) for (int i = 0; i < colours.length; i++) colours[i] = (byte) ~colours[i];
  }

  /** YCbCr -> RGB in place by libjpeg's integers (jdcolor.c): numbers of 16 bits behind the point. */
  private static void toRgb(byte[] colours, int step) {
    for (int i = 0; i < colours.length; i += step) {
      int y = colours[i] & 255;
      int blue = (colours[i + 1] & 255) - 128;
      int red = (colours[i + 2] & 255) - 128;
      colours[i] = clamped(y + ((91881 * red + 32768) >> 16));
      colours[i + 1] = clamped(y + ((-22554 * blue - 46802 * red + 32768) >> 16));
      colours[i + 2] = clamped(y + ((116130 * blue + 32768) >> 16));
    }
  }

  static byte clamped(int value) {
    return (byte) Math.max(0, Math.min(255, value));
  }

  private static int word(byte[] bytes, int at) {
    return (bytes[at] & 255) << 8 | (bytes[at + 1] & 255);
  }

  private static boolean hasName(byte[] body, String name) {
    byte[] wanted = name.getBytes(StandardCharsets.ISO_8859_1);
    return body.length >= wanted.length && Arrays.equals(body, 0, wanted.length, wanted, 0, wanted.length);
  }
}
