package mttc.images;

import mttc.Refusal;

/** The bytes of an image file whose header has been read, and nothing decoded yet. */
interface ImageFile {
  int width();

  int height();

  /** EXIF's orientation, 1 to 8. */
  int orientation();

  /** The embedded ICC profile; null without. */
  byte[] profile();

  /**
   * Decodes what is to be resized to [height, width] as it is stored: formats whose decoder can, and only
   * where that is smaller, come down towards it, as training's do. Throws E_IMG_TRUNCATED (damaged or cut),
   * E_IMG_FORMAT (a kind that is not read).
   */
  Picture decode(int height, int width);

  /** Reads the header. Throws E_IMG_FORMAT for anything but a JPEG, PNG or WebP, E_IMG_TRUNCATED. */
  static ImageFile of(byte[] bytes) {
    if (startsWith(bytes, 0, 0xff, 0xd8, 0xff)) return JpegFile.of(bytes);
    if (startsWith(bytes, 0, 0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n')) return PngFile.of(bytes);
    if (startsWith(bytes, 0, 'R', 'I', 'F', 'F') && startsWith(bytes, 8, 'W', 'E', 'B', 'P'))
      return WebpFile.of(bytes);
    throw new Refusal("E_IMG_FORMAT", "expected a JPEG, PNG or WebP image" + found(bytes));
  }

  private static String found(byte[] bytes) {
    if (bytes.length == 0) return ": the file is empty";
    if (startsWith(bytes, 0, 'I', 'I', 42, 0) || startsWith(bytes, 0, 'M', 'M', 0, 42))
      return ": this client reads no TIFF";
    if (startsWith(bytes, 0, 'G', 'I', 'F', '8')) return ": this client reads no GIF";
    if (startsWith(bytes, 4, 'f', 't', 'y', 'p')) return ": this client reads no AVIF or HEIC";
    if (startsWith(bytes, 0, 'B', 'M')) return ": this client reads no BMP";
    return "";
  }

  private static boolean startsWith(byte[] bytes, int at, int... wanted) {
    if (bytes.length < at + wanted.length) return false;
    for (int i = 0; i < wanted.length; i++) if ((bytes[at + i] & 255) != wanted[i]) return false;
    return true;
  }
}
