// The section of the spec about images: the size and the numbers that they are read as, and how training
// images are augmented.
import { z } from "zod";
import { AUGMENT_KEYS, AUGMENT_NAMES, type AugmentName, resolveAugment } from "./augmentKeys.ts";
import { decides, flag, integer, phrase } from "./keyKinds.ts";

const MAX_SIDE = 8_192;
const sidePhrase = `[height, width] or one number for both, each from 1 to ${MAX_SIDE}`;

const augmentPhrase = "true, false or a map of operations";

/** An augmentation operation: a flag, or a number; true is its usual number, false and null are off. */
function augmentEntry(name: AugmentName) {
  const { kind, least, most, normal, doc } = AUGMENT_KEYS[name];
  if (kind === "flag") return flag.nullish().describe(`${doc}.`);
  const expected = `a number from ${least} to ${most}, true (${normal}) or false`;
  const number = z.number(phrase(expected)).min(least, phrase(expected)).max(most, phrase(expected));
  return z.union([number, z.boolean()], phrase(expected)).nullish().describe(`${doc}; usually ${normal}.`);
}

const augmentMap = z.strictObject(
  Object.fromEntries(AUGMENT_NAMES.map((name) => [name, augmentEntry(name)])) as Record<
    AugmentName,
    ReturnType<typeof augmentEntry>
  >,
  { error: (issue) => (issue.code === "unrecognized_keys" ? undefined : augmentPhrase) },
);

const augment = z
  .union([z.boolean(), augmentMap], phrase(augmentPhrase))
  .transform(resolveAugment)
  .prefault(false);

/** The keys, in the order in which the README lists them. */
export const IMAGE_KEYS = {
  imshape: z
    .union(
      [
        z.tuple([integer(1, MAX_SIDE), integer(1, MAX_SIDE)], phrase(sidePhrase)),
        integer(1, MAX_SIDE, sidePhrase).transform((side): [number, number] => [side, side]),
      ],
      phrase(sidePhrase),
    )
    .prefault([256, 256])
    .describe("Height and width that images are resized to; one number for both."),
  num_channels: integer(1, 16)
    .default(3)
    .describe(
      "Channels of the images: 3, 1 (grey) or 4 (with alpha); of a TIFF its bands, up to 16. A file that has another " +
        "number is refused.",
    ),
  bit_depth: z
    .literal([8, 16, 32], phrase("8, 16 or 32"))
    .default(8)
    .describe(
      "Bits of a channel as read: 8, 16 (unsigned) or 32 (floats). Wider PNGs are reduced to 8 bits; a TIFF's numbers " +
        "are never scaled, and one whose numbers do not fit is refused. 16 and 32 need `norm`.",
    ),
  norm: z
    .number(phrase("a number > 0"))
    .positive(phrase("a number > 0"))
    .max(1e30, phrase("a number > 0"))
    .default(255)
    .describe("Pixel values (0 to 255, or as `bit_depth` reads them) are divided by this."),
  nodata: z
    .union([z.literal("refuse"), z.number()], phrase('"refuse" or a number'))
    .default("refuse")
    .describe(
      "What pixels become that a TIFF itself marks as missing (GDAL_NODATA, such as -9999): a number, or the image is refused.",
    ),
  max_megapixels: integer(1, 1_000)
    .default(50)
    .describe(
      "Images of more pixels are refused; memory grows with it (4 bytes and more a pixel and thread).",
    )
    .meta(decides("nothing")),
  single_channel: flag
    .default(false)
    .describe("Read images as greyscale and repeat that channel num_channels times."),
  augment: augment.describe(
    "Augmentation of the training images: true for patchwork's usual operations, or a map of operations with " +
      "their numbers (see Augmentation).",
  ),
};
