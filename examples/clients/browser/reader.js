// @ts-check
// Image files -> the pixels that a model is given, as training reads them (docs/predict.md). PNGs are
// decoded by png.js; JPEGs and WebPs, and colours with a profile, by the browser.
import { flatten, spread, toGrey, upright } from "./colour.js";
import { ClientError } from "./errors.js";
import { damaged, readHead, refusal } from "./imageFile.js";
import { decodeShrunk, shrinkOf, shrinkPixels } from "./jpegShrink.js";
import { decodePng, encodePng } from "./png.js";
import { resize } from "./resize.js";

/**
 * @typedef {import("./resize.js").Pixels} Pixels
 * @typedef {import("./metadata.js").Metadata} Metadata
 * @typedef {import("./imageFile.js").ImageHead} ImageHead
 */

/** Training takes no side under this, unless the model's own is smaller. */
const MIN_SIDE = 8;

/**
 * The pixels of a JPEG, PNG or WebP for a model: of its size, or of the image's own where the graph
 * resizes. E_IMG_FORMAT (not read here), E_IMG_LIMIT (too many pixels), E_IMG_SIZE (too few),
 * E_IMG_TRUNCATED (damaged).
 * @param {Blob} file
 * @param {Pick<Metadata, "preprocessing">} metadata
 * @returns {Promise<Pixels>}
 */
export async function readImage(file, { preprocessing }) {
  const { height, width, channels, greyscale, dtype, anySize } = preprocessing;
  if (dtype !== "uint8") throw refusal(`this program reads no images of ${dtype}, which the model takes`);
  if (!greyscale && channels !== 3)
    throw refusal(`this program reads no images of ${channels} channels, which the model takes`);
  const bytes = new Uint8Array(await file.arrayBuffer());
  const head = readHead(bytes);
  const isTurned = head.orientation >= 5;
  checkSize(isTurned ? { height: head.width, width: head.height } : head, preprocessing);
  const wanted = isTurned ? { height: width, width: height } : { height, width };
  const pixels = await decode(bytes, head, anySize ? 1 : shrinkOf(head, wanted));
  if (anySize) return upright(spread(pixels, channels), head.orientation);
  const coloured = greyscale ? toGrey(pixels) : pixels;
  return spread(upright(resize(coloured, wanted), head.orientation), channels);
}

/** @param {{ height: number, width: number }} size @param {{ height: number, width: number }} least */
function checkSize({ height, width }, least) {
  if (height >= Math.min(MIN_SIDE, least.height) && width >= Math.min(MIN_SIDE, least.width)) return;
  throw new ClientError(
    "E_IMG_SIZE",
    `the image is ${width}x${height}, the least is ${MIN_SIDE}x${MIN_SIDE}`,
  );
}

/**
 * Pixels as stored, sRGB or grey, on white.
 * @param {Uint8Array} bytes
 * @param {ImageHead} head
 * @param {number} shrink of JPEGs
 * @returns {Promise<Pixels>}
 */
async function decode(bytes, head, shrink) {
  if (head.format === "png") {
    const { icc, ...pixels } = await decodePng(bytes);
    return flatten(icc ? await toSrgb(pixels, icc) : pixels);
  }
  if (head.format === "jpeg" && shrink > 1 && !head.isGrey) {
    const shrunk = await decodeShrunk(head.upright, shrink).catch((cause) => {
      throw damaged("the browser cannot decode it", cause);
    });
    if (shrunk) return head.icc ? await toSrgb(shrunk, head.icc) : shrunk;
  }
  const whole = await decodeInBrowser(head.upright, head.format);
  if (whole.height !== head.height || whole.width !== head.width)
    throw refusal("the browser decodes the image to another size than it has");
  const shrunk = shrinkPixels(whole, head.format === "jpeg" ? shrink : 1);
  return head.isGrey && !head.icc ? firstChannel(shrunk) : shrunk;
}

/** Grey that a browser gives as three equal channels. @param {Pixels} pixels @returns {Pixels} */
function firstChannel({ height, width, channels, data }) {
  const grey = Uint8Array.from({ length: height * width }, (_, i) => data[i * channels] ?? 0);
  return { height, width, channels: 1, data: grey };
}

/**
 * Colours with a profile as sRGB: the browser does it for a PNG that holds both. Alpha is set aside.
 * @param {Pixels} pixels
 * @param {Uint8Array} icc
 * @returns {Promise<Pixels>}
 */
async function toSrgb(pixels, icc) {
  const { height, width, channels, data } = pixels;
  const space = String.fromCharCode(...icc.subarray(16, 20));
  const colours = channels - (channels % 2 === 0 ? 1 : 0);
  if (space !== (colours === 1 ? "GRAY" : "RGB ")) return pixels;
  const opaque = new Uint8Array(height * width * colours);
  for (let i = 0, to = 0; i < data.length; i += channels)
    for (let c = 0; c < colours; c++) opaque[to++] = data[i + c] ?? 0;
  const converted = await decodeInBrowser(
    await encodePng({ height, width, channels: colours, data: opaque }, icc),
    "png",
  );
  if (colours === channels) return converted;
  const withAlpha = new Uint8Array(height * width * 4);
  for (let i = 0; i < height * width; i++) {
    for (let c = 0; c < 3; c++) withAlpha[4 * i + c] = converted.data[3 * i + c] ?? 0;
    withAlpha[4 * i + 3] = data[i * channels + colours] ?? 0;
  }
  return { height, width, channels: 4, data: withAlpha };
}

/**
 * RGB on white, by the browser's own decoder and colour conversion.
 * @param {Uint8Array} bytes
 * @param {string} format
 * @returns {Promise<Pixels>}
 */
async function decodeInBrowser(bytes, format) {
  if (typeof createImageBitmap === "undefined") throw refusal(`no ${format} is read outside a browser`);
  const blob = new Blob([/** @type {BlobPart} */ (bytes)], { type: `image/${format}` });
  const bitmap = await createImageBitmap(blob).catch((cause) => {
    throw damaged("the browser cannot decode it", cause);
  });
  const { height, width } = bitmap;
  try {
    const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
    if (!context) throw new Error("no canvas of this size");
    context.fillStyle = "white";
    context.fillRect(0, 0, width, height);
    context.drawImage(bitmap, 0, 0);
    const { data } = context.getImageData(0, 0, width, height);
    const colours = new Uint8Array(height * width * 3);
    for (let i = 0, to = 0; i < data.length; i += 4)
      for (let c = 0; c < 3; c++) colours[to++] = data[i + c] ?? 0;
    return { height, width, channels: 3, data: colours };
  } catch (cause) {
    throw new ClientError("E_IMG_LIMIT", `the browser has no canvas of ${width}x${height}`, cause);
  } finally {
    bitmap.close();
  }
}
