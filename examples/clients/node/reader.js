// Picture files -> pixels, as training reads them, with sharp, the library that training uses.
import { readFile } from "node:fs/promises";
import sharp from "sharp";
import { ClientError, firstLineOf } from "../browser/errors.js";

const MOST_PIXELS = 2 ** 28;
/** Training takes no picture with a side under this, unless the model's own is smaller. */
const LEAST_SIDE = 8;

// No other reader of the library is reached by a stranger's file: neither SVG nor any that opens a path.
sharp.block({ operation: ["VipsForeignLoad"] });
sharp.unblock({
  operation: ["Jpeg", "Png", "Webp", "Nsgif", "Heif"].map((name) => `VipsForeignLoad${name}Buffer`),
});

/**
 * The pixels of a file for a model: `data` [height,width,channels], row-major, uint8. They have the model's
 * size, or the picture's own where the graph resizes. ClientError E_FILE, E_IMG_FORMAT, E_IMG_LIMIT,
 * E_IMG_SIZE, E_IMG_TRUNCATED.
 */
export async function readPicture(path, { preprocessing }) {
  const { height, width, channels, greyscale, dtype, anySize } = preprocessing;
  if (dtype !== "uint8" || ![1, 3].includes(channels))
    throw new ClientError(
      "E_IMG_FORMAT",
      `${path}: no pictures of ${channels} channels of ${dtype} are read here`,
    );
  const bytes = await readFile(path).catch((error) => {
    throw new ClientError("E_FILE", `${path}: ${error.message}`);
  });
  const open = () =>
    sharp(bytes, { failOn: "warning", limitInputPixels: MOST_PIXELS, autoOrient: true, pages: 1 });
  await checkHeader(path, open, { height, width });
  const flat = open().flatten({ background: "white" });
  const sized = anySize ? flat : flat.resize(width, height, { fit: "fill" });
  const isGrey = greyscale && !anySize;
  const coloured = isGrey ? sized.greyscale().toColourspace("b-w") : sized.toColourspace("srgb");
  const { data, info } = await coloured
    .raw()
    .toBuffer({ resolveWithObject: true })
    .catch((error) => {
      throw new ClientError("E_IMG_TRUNCATED", `${path}: ${firstLineOf(error)}`);
    });
  const size = { height: info.height, width: info.width };
  if (!isGrey) return { ...size, data, channels: info.channels };
  return {
    ...size,
    data: Uint8Array.from({ length: data.length * channels }, (_, i) => data[Math.floor(i / channels)]),
    channels,
  };
}

async function checkHeader(path, open, least) {
  const { autoOrient } = await headerOf(open).catch((error) => {
    const code = /limit/i.test(error.message) ? "E_IMG_LIMIT" : "E_IMG_FORMAT";
    throw new ClientError(code, `${path}: ${firstLineOf(error)}`);
  });
  for (const side of ["height", "width"])
    if (autoOrient[side] < Math.min(LEAST_SIDE, least[side]))
      throw new ClientError("E_IMG_SIZE", `${path}: ${autoOrient.width}x${autoOrient.height} is too small`);
}

/** An empty file is refused before there is a promise. */
const headerOf = async (open) => await open().metadata();
