package mttc.images;

import java.awt.image.IndexColorModel;
import java.awt.image.Raster;
import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.zip.CRC32;
import java.util.zip.DataFormatException;
import java.util.zip.Inflater;
import mttc.Refusal;

/**
 * A PNG. Java's reader is given the critical chunks alone and hands out the stored numbers; palette, clear
 * colours, 16 bits and shades of fewer bits are brought to bytes here. It checks no sums, so they are here.
 */
final class PngFile implements ImageFile {
  private static final int SIGNATURE = 8;
  private static final int[] GREY_KINDS = {0, 4};
  private static final int PALETTE = 3;
  private static final int MOST_PROFILE_BYTES = 16 << 20;

  private final ByteArrayOutputStream critical = new ByteArrayOutputStream();
  private ByteBuffer header;
  private byte[] clear = {};
  private byte[] profile;
  private int orientation = 1;
  private boolean ends;

  private PngFile() {}

  static PngFile of(byte[] bytes) {
    var file = new PngFile();
    file.critical.write(bytes, 0, SIGNATURE);
    int at = SIGNATURE;
    while (!file.ends) {
      if (at + 12 > bytes.length) throw Decoders.damaged("its chunks are cut", null);
      int length = ByteBuffer.wrap(bytes).getInt(at);
      if (length < 0 || length > bytes.length - at - 12) throw Decoders.damaged("a chunk is cut", null);
      var sum = new CRC32();
      sum.update(bytes, at + 4, 4 + length);
      if ((int) sum.getValue() != ByteBuffer.wrap(bytes).getInt(at + 8 + length))
        throw Decoders.damaged("the sum of a chunk is wrong", null);
      var name = new String(bytes, at + 4, 4, StandardCharsets.ISO_8859_1);
      file.chunk(name, Arrays.copyOfRange(bytes, at + 8, at + 8 + length));
      if (Character.isUpperCase(name.charAt(0))) file.critical.write(bytes, at, 12 + length);
      at += 12 + length;
    }
    return file;
  }

  private void chunk(String name, byte[] body) {
    if (header == null && (!name.equals("IHDR") || body.length != 13))
      throw Decoders.damaged("it does not begin with its header", null);
    switch (name) {
      case "IHDR" -> header = ByteBuffer.wrap(body);
      case "tRNS" -> clear = body;
      case "iCCP" -> profile = inflated(body);
      case "eXIf" -> orientation = Exif.orientation(body);
      case "IEND" -> ends = true;
      default -> {}
    }
  }

  /** A profile stands behind its name, which ends with 0, and the method of compression, 0. */
  private static byte[] inflated(byte[] body) {
    int start = 0;
    while (start < body.length && body[start] != 0) start++;
    if (start + 2 >= body.length) return null;
    var inflater = new Inflater();
    inflater.setInput(body, start + 2, body.length - start - 2);
    var whole = new ByteArrayOutputStream();
    byte[] part = new byte[1 << 16];
    try {
      while (!inflater.finished()) {
        int count = inflater.inflate(part);
        if (count == 0 || whole.size() > MOST_PROFILE_BYTES) return null;
        whole.write(part, 0, count);
      }
      return whole.toByteArray();
    } catch (DataFormatException error) {
      throw Decoders.damaged("its colour profile is no zlib stream", error);
    } finally {
      inflater.end();
    }
  }

  @Override
  public int width() {
    return header.getInt(0);
  }

  @Override
  public int height() {
    return header.getInt(4);
  }

  private int bits() {
    return header.get(8) & 255;
  }

  private int kind() {
    return header.get(9) & 255;
  }

  private boolean isGrey() {
    return kind() == GREY_KINDS[0] || kind() == GREY_KINDS[1];
  }

  @Override
  public int orientation() {
    return orientation;
  }

  @Override
  public byte[] profile() {
    if (profile == null || bits() != 16) return profile;
    // Grey of 16 bits training leaves as it is; colours it takes for another space than sRGB.
    if (isGrey()) return null;
    throw new Refusal("E_IMG_FORMAT", "a PNG of 16 bits with a colour profile is not read");
  }

  @Override
  public Picture decode(int wantedHeight, int wantedWidth) {
    var image = Decoders.image("png", critical.toByteArray());
    var raster = image.getRaster();
    if (kind() != PALETTE) return ofNumbers(raster);
    if (image.getColorModel() instanceof IndexColorModel palette) return ofPalette(raster, palette);
    throw Decoders.damaged("its palette is missing", null);
  }

  private Picture ofPalette(Raster raster, IndexColorModel palette) {
    int width = raster.getWidth();
    int height = raster.getHeight();
    byte[] colours = new byte[3 * width * height];
    byte[] alpha = clear.length == 0 ? null : new byte[width * height];
    int[] row = new int[width];
    for (int y = 0, at = 0; y < height; y++) {
      raster.getSamples(0, y, width, 1, 0, row);
      for (int index : row) {
        if (index >= palette.getMapSize()) throw Decoders.damaged("a pixel is not in its palette", null);
        colours[3 * at] = (byte) palette.getRed(index);
        colours[3 * at + 1] = (byte) palette.getGreen(index);
        colours[3 * at + 2] = (byte) palette.getBlue(index);
        if (alpha != null) alpha[at] = index < clear.length ? clear[index] : (byte) 255;
        at++;
      }
    }
    return new Picture(width, height, Picture.Space.RGB, colours, alpha);
  }

  private Picture ofNumbers(Raster raster) {
    int width = raster.getWidth();
    int height = raster.getHeight();
    int bands = raster.getNumBands();
    var space = isGrey() ? Picture.Space.GREY : Picture.Space.RGB;
    boolean hasAlpha = bands == space.bands + 1;
    if (!hasAlpha && bands != space.bands) throw new Refusal("E_IMG_FORMAT", "a PNG of kind " + kind());
    int[] key = hasAlpha || clear.length != 2 * bands ? null : key();
    byte[] colours = new byte[space.bands * width * height];
    byte[] alpha = hasAlpha || key != null ? new byte[width * height] : null;
    int[] row = new int[bands * width];
    for (int y = 0, at = 0; y < height; y++) {
      raster.getPixels(0, y, width, 1, row);
      for (int x = 0; x < width; x++, at++) {
        int from = x * bands;
        for (int band = 0; band < space.bands; band++)
          colours[at * space.bands + band] = toByte(row[from + band]);
        if (hasAlpha) alpha[at] = toByte(row[from + bands - 1]);
        else if (key != null) alpha[at] = (byte) (isKey(row, from, key) ? 0 : 255);
      }
    }
    return new Picture(width, height, space, colours, alpha);
  }

  private static boolean isKey(int[] row, int from, int[] key) {
    return Arrays.equals(row, from, from + key.length, key, 0, key.length);
  }

  /** The one colour that is clear. */
  private int[] key() {
    int[] key = new int[clear.length / 2];
    for (int i = 0; i < key.length; i++) key[i] = ByteBuffer.wrap(clear).getShort(2 * i) & 0xffff;
    return key;
  }

  /** The high byte of 16 bits; of fewer than 8 the share of the most. */
  private byte toByte(int value) {
    return (byte) (bits() == 16 ? value >> 8 : value * 255 / ((1 << bits()) - 1));
  }
}
