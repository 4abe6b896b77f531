// A strip or tile of JPEG inside a TIFF (TIFF Technical Note 2) -> its samples. The stream is abbreviated:
// its tables stand once in the directory, and the directory, not a marker, says whether colours are YCbCr.
// Both are put into the stream, which the image library then decodes.
import sharp from "sharp";
import { BlockFault } from "./tiffCodecs.ts";
import type { TiffLayout } from "./tiffDirectory.ts";

const MARKER_BYTES = 2;
/** Start of image, and Adobe's segment, whose last byte is the transform: 0 none, 1 YCbCr. */
const START = [0xff, 0xd8];
const ADOBE = [0xff, 0xee, 0, 14, 0x41, 0x64, 0x6f, 0x62, 0x65, 0, 100, 0, 0, 0, 0];

/** Samples of `rows` rows of the block, bands interleaved. BlockFault where it is cut, damaged or smaller. */
export async function decodeJpegBlock(
  bytes: Uint8Array,
  { blockWidth, blockHeight, bands, jpeg }: TiffLayout,
  rows: number,
): Promise<Uint8Array> {
  const tables = jpeg?.tables ?? new Uint8Array();
  // Without their own start and end.
  const inner = tables.length > 2 * MARKER_BYTES ? tables.subarray(MARKER_BYTES, -MARKER_BYTES) : [];
  const stream = Buffer.concat([
    Uint8Array.from([...START, ...ADOBE, jpeg?.isYcbcr ? 1 : 0]),
    Uint8Array.from(inner),
    bytes.subarray(MARKER_BYTES),
  ]);
  try {
    const { data, info } = await sharp(stream, {
      failOn: "warning",
      limitInputPixels: blockWidth * blockHeight,
    })
      .toColourspace(bands === 1 ? "b-w" : "srgb")
      .raw()
      .toBuffer({ resolveWithObject: true });
    const fits = info.width === blockWidth && info.height >= rows && info.channels === bands;
    if (fits) return new Uint8Array(data).subarray(0, rows * blockWidth * bands);
    const found = `${info.width}x${info.height} pixels of ${info.channels} bands`;
    throw new BlockFault("damaged", `${found}, expected ${blockWidth}x${rows} of ${bands}`);
  } catch (error) {
    if (error instanceof BlockFault) throw error;
    const reason = error instanceof Error ? error.message.split("\n")[0] : String(error);
    throw new BlockFault("damaged", reason ?? "");
  }
}
