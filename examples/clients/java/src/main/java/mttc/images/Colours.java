package mttc.images;

import java.awt.color.ColorSpace;
import java.awt.color.ICC_Profile;
import java.awt.image.ColorConvertOp;
import java.awt.image.DataBufferByte;
import java.awt.image.Raster;
import java.awt.image.WritableRaster;
import java.util.Arrays;
import mttc.Refusal;

/** Colours of a file -> sRGB, opaque; and sRGB -> grey. 8 bits a number. */
final class Colours {
  /** Of an ICC header: the intent, of which 0 is perceptual, the class of device, and the version. */
  private static final int INTENT = 64;
  private static final int DEVICE_CLASS = 12;
  private static final int VERSION = 8;
  private static final int HEADER_BYTES = 128;
  private static final int GRID_STEPS = 5;
  /** Of 255 levels, between two steps of the grid. */
  private static final double GRID_LEVELS = 255.0 / (GRID_STEPS - 1);
  private static final int GRID_SHIFT = 64;

  private Colours() {}

  /**
   * Colours of a profile -> sRGB, by perceptual intent (lcms, as in libvips). As training does, it passes
   * over a profile of other colours than the picture's. E_IMG_FORMAT for one that is damaged.
   */
  static Picture fromProfile(Picture picture, byte[] profile) {
    if (profile.length < HEADER_BYTES) throw new Refusal("E_IMG_FORMAT", "its colour profile is cut short");
    byte[] perceptual = profile.clone();
    Arrays.fill(perceptual, INTENT, INTENT + 4, (byte) 0);
    // Java takes profiles of printers by relative colorimetric intent, others by perceptual, as is wanted.
    System.arraycopy(new byte[] {'s', 'c', 'n', 'r'}, 0, perceptual, DEVICE_CLASS, 4);
    try {
      var source = ICC_Profile.getInstance(perceptual);
      if (source.getColorSpaceType() != picture.space().type) return picture;
      var convert = new ColorConvertOp(new ICC_Profile[] {source, srgb()}, null);
      byte[] colours = new byte[3 * picture.width() * picture.height()];
      convert.filter(
          raster(picture.colours(), picture, picture.space().bands), raster(colours, picture, 3));
      return picture.withColours(Picture.Space.RGB, colours);
    } catch (IllegalArgumentException | java.awt.color.CMMException error) {
      throw new Refusal("E_IMG_FORMAT", "its colour profile is not usable: " + error.getMessage(), error);
    }
  }

  /** Java's sRGB, called one of ICC version 4: only of such does lcms bring black to black, as libvips's. */
  private static ICC_Profile srgb() {
    byte[] profile = ICC_Profile.getInstance(ColorSpace.CS_sRGB).getData();
    profile[VERSION] = 4;
    return ICC_Profile.getInstance(profile);
  }

  private static WritableRaster raster(byte[] numbers, Picture of, int bands) {
    int[] offsets = new int[bands];
    for (int band = 0; band < bands; band++) offsets[band] = band;
    var buffer = new DataBufferByte(numbers, numbers.length);
    return Raster.createInterleavedRaster(
        buffer, of.width(), of.height(), bands * of.width(), bands, offsets, null);
  }

  /** CMYK without a profile -> sRGB, linear between the colours of a grid [C,M,Y,K,RGB] of 5 steps an ink. */
  static Picture fromInks(Picture picture, byte[] grid) {
    byte[] inks = picture.colours();
    byte[] colours = new byte[inks.length / 4 * 3];
    int[] low = new int[4];
    double[] part = new double[4];
    for (int pixel = 0; pixel < inks.length / 4; pixel++) {
      for (int ink = 0; ink < 4; ink++) {
        int value = inks[4 * pixel + ink] & 255;
        low[ink] = Math.min(value / GRID_SHIFT, GRID_STEPS - 2);
        part[ink] = value / GRID_LEVELS - low[ink];
      }
      double[] sum = new double[3];
      for (int corner = 0; corner < 16; corner++) {
        double weight = 1;
        int at = 0;
        for (int ink = 0; ink < 4; ink++) {
          int up = corner >> ink & 1;
          weight *= up == 1 ? part[ink] : 1 - part[ink];
          at = at * GRID_STEPS + low[ink] + up;
        }
        for (int band = 0; band < 3; band++) sum[band] += weight * (grid[3 * at + band] & 255);
      }
      for (int band = 0; band < 3; band++) colours[3 * pixel + band] = (byte) (int) Math.rint(sum[band]);
    }
    return picture.withColours(Picture.Space.RGB, colours);
  }

  /** Laid onto white, rounded down. */
  static Picture onWhite(Picture picture) {
    byte[] alpha = picture.alpha();
    if (alpha == null) return picture;
    int bands = picture.space().bands;
    byte[] colours = picture.colours().clone();
    for (int i = 0; i < colours.length; i++) {
      int a = alpha[i / bands] & 255;
      colours[i] = (byte) (((colours[i] & 255) * a + 255 * (255 - a)) / 255);
    }
    return new Picture(picture.width(), picture.height(), picture.space(), colours, null);
  }

  static Picture toRgb(Picture picture) {
    if (picture.space() != Picture.Space.GREY) return picture;
    byte[] colours = new byte[3 * picture.colours().length];
    for (int i = 0; i < colours.length; i++) colours[i] = picture.colours()[i / 3];
    return picture.withColours(Picture.Space.RGB, colours);
  }

  /** Luminance of linear light (BT.709), back in sRGB's curve by libvips's table of 256 steps, in float32. */
  static Picture toGrey(Picture picture) {
    if (picture.space() == Picture.Space.GREY) return picture;
    byte[] rgb = picture.colours();
    byte[] grey = new byte[rgb.length / 3];
    for (int i = 0; i < grey.length; i++) {
      float light = 0.2126f * LINEAR[rgb[3 * i] & 255] + 0.7152f * LINEAR[rgb[3 * i + 1] & 255];
      float place = 255f * (light + 0.0722f * LINEAR[rgb[3 * i + 2] & 255]);
      int step = Math.max(0, Math.min(255, (int) place));
      float value = CURVE[step] + (CURVE[step + 1] - CURVE[step]) * (place - step);
      grey[i] = (byte) (int) Math.rint(value);
    }
    return picture.withColours(Picture.Space.GREY, grey);
  }

  private static final float[] LINEAR = new float[256];
  private static final float[] CURVE = new float[257];

  static {
    for (int i = 0; i < 256; i++) {
      double share = i / 255.0;
      LINEAR[i] = (float) (share <= 0.04045 ? share / 12.92 : Math.pow((share + 0.055) / 1.055, 2.4));
      double curved = share <= 0.0031308 ? 12.92 * share : 1.055 * Math.pow(share, 1 / 2.4) - 0.055;
      CURVE[i] = (float) Math.rint(255 * curved);
    }
    CURVE[256] = CURVE[255];
  }
}
