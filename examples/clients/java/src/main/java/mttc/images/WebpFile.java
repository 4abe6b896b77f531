package mttc.images;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import mttc.Refusal;

/** A WebP, decoded by libwebp. Of animated ones training takes the first frame; they are refused here. */
final class WebpFile implements ImageFile {
  private static final int FIRST_CHUNK = 12;
  private static final int ANIMATED = 2;

  private final byte[] bytes;
  private int width;
  private int height;
  private int orientation = 1;
  private byte[] profile;

  private WebpFile(byte[] bytes) {
    this.bytes = bytes;
  }

  static WebpFile of(byte[] bytes) {
    var file = new WebpFile(bytes);
    var data = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    if ((data.getInt(4) & 0xffffffffL) + 8 > bytes.length) throw Decoders.damaged("it is cut short", null);
    for (long at = FIRST_CHUNK; at + 8 <= bytes.length; ) {
      int start = (int) at + 8;
      long length = data.getInt((int) at + 4) & 0xffffffffL;
      if (start + length > bytes.length) throw Decoders.damaged("a chunk is cut", null);
      var name = new String(bytes, (int) at, 4, StandardCharsets.ISO_8859_1);
      file.chunk(name, Arrays.copyOfRange(bytes, start, start + (int) length));
      at = start + length + length % 2;
    }
    if (file.width == 0) throw Decoders.damaged("it has no image", null);
    return file;
  }

  private void chunk(String name, byte[] body) {
    var data = ByteBuffer.wrap(body).order(ByteOrder.LITTLE_ENDIAN);
    if (name.equals("VP8X") && body.length >= 10 && (body[0] & ANIMATED) != 0)
      throw new Refusal("E_IMG_FORMAT", "an animated WebP is not read");
    if (name.equals("VP8 ") && body.length >= 10) {
      width = data.getShort(6) & 0x3fff;
      height = data.getShort(8) & 0x3fff;
    } else if (name.equals("VP8L") && body.length >= 5) {
      width = (data.getInt(1) & 0x3fff) + 1;
      height = (data.getInt(1) >> 14 & 0x3fff) + 1;
    } else if (name.equals("ICCP")) profile = body;
    else if (name.equals("EXIF")) orientation = Exif.orientation(tiffIn(body));
  }

  /** Some writers put the name of JPEG's segment in front. */
  private static byte[] tiffIn(byte[] body) {
    boolean isNamed = new String(body, StandardCharsets.ISO_8859_1).startsWith("Exif\0\0");
    return isNamed ? Arrays.copyOfRange(body, 6, body.length) : body;
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
    return profile;
  }

  @Override
  public Picture decode(int wantedHeight, int wantedWidth) {
    double factor = Math.min((double) height / wantedHeight, (double) width / wantedWidth);
    var image = Decoders.webp(bytes, 1 / factor);
    boolean hasAlpha = image.getColorModel().hasAlpha();
    int wide = image.getWidth();
    int high = image.getHeight();
    byte[] colours = new byte[3 * wide * high];
    byte[] alpha = hasAlpha ? new byte[wide * high] : null;
    int[] row = new int[(hasAlpha ? 4 : 3) * wide];
    for (int y = 0, at = 0; y < high; y++) {
      image.getRaster().getPixels(0, y, wide, 1, row);
      for (int x = 0; x < wide; x++, at++) {
        int from = x * (hasAlpha ? 4 : 3);
        for (int band = 0; band < 3; band++) colours[3 * at + band] = (byte) row[from + band];
        if (hasAlpha) alpha[at] = (byte) row[from + 3];
      }
    }
    return new Picture(wide, high, Picture.Space.RGB, colours, alpha);
  }
}
