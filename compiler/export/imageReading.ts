// How training read its images, for the metadata of exported files: whoever serves one must bring an image
// to the same numbers. What is written here is what runtime/images/images.ts does;
// test/export/readingRules.test.ts holds both, and the Python client, to each other.
import { z } from "zod";

/** The set of rules that is described here; another number is refused. */
const RULES_VERSION = 1;

/** Rules for JPEG, PNG and WebP, and one sentence for TIFF; the words are for people. */
export const readingSchema = z.looseObject({
  version: z.literal(RULES_VERSION),
  /** Steps in their order. */
  order: z.array(z.string()),
  /** The EXIF orientation is applied. */
  orientation: z.string(),
  /** 16 bits a channel become 8 by their high byte, or are kept. */
  bits: z.string(),
  /** Colours of an embedded ICC profile become sRGB. */
  profile: z.string(),
  /**
   * CMYK without a profile: RGB at a grid of 5 steps an ink, uint8 [C,M,Y,K,RGB] in base64, linear in between
   * (within 2.3 of 255 on average of libvips's own profile).
   */
  cmyk: z.string().optional(),
  /** What becomes of transparency. */
  alpha: z.string(),
  /** How colours become grey, where the model wants that. */
  grey: z.string(),
  /** Filter of the resize, and that the aspect ratio is not kept. */
  resize: z.string(),
  tiff: z.string(),
  /** The same as keys and numbers, for programs: of 8-bit images. */
  rules: z.looseObject({}).optional(),
});

/** The rules as an exported file states them. */
export type ImageReading = Readonly<z.infer<typeof readingSchema>>;

/** Who brings images to the network's size: whoever serves the file, or the file's own graph. */
export type Resizer = "caller" | "graph";

/** The rules by which images of a format, the network's, are read. Steps of the graph are not the caller's. */
export function imageReading(
  format: {
    readonly channels: number;
    readonly greyscale: boolean;
    readonly dtype: "uint8" | "uint16" | "float32";
  },
  resizer: Resizer = "caller",
): ImageReading {
  const { channels, greyscale, dtype } = format;
  const isCaller = resizer === "caller";
  const grey = greyscale ? "luminance of linear light (BT.709), as sRGB" : "no";
  const resize =
    "lanczos3, aspect ratio not kept; JPEG decoded at 1/2, 1/4 or 1/8 where that is larger still";
  return {
    version: RULES_VERSION,
    order: ["orientation", "bits", "profile", "alpha", ...(isCaller ? ["grey", "resize"] : [])],
    orientation: "exif",
    bits: dtype === "uint8" ? "high byte of 16" : "kept",
    profile: "to sRGB, perceptual",
    cmyk: CMYK_GRID,
    alpha: channels === 4 && !greyscale ? "fourth channel" : "onto white",
    grey: isCaller || !greyscale ? grey : `${grey}, in the graph`,
    resize: isCaller ? resize : "in the graph",
    tiff: "samples as stored, orientation applied, no profile, no alpha",
    ...(dtype === "uint8" && { rules: readingRules(format, resizer) }),
  };
}

/** Weights of linear red, green and blue in luminance (BT.709). */
export const LUMINANCE = [0.2126, 0.7152, 0.0722];
/** Of the resize: places between pixels that weights are made for, and ones of a weight. */
export const RESIZE_STEPS = 64;
export const RESIZE_ONE = 4096;

/** The rules as keys and numbers; docs/predict.md says what they mean. */
function readingRules({ channels, greyscale }: Parameters<typeof imageReading>[0], by: Resizer) {
  const luminance = { light: "linear", weights: LUMINANCE, steps: 256, by };
  return {
    orientation: { tag: "exif", turn: by === "caller" ? "after resize" : "before the graph" },
    bits: { keep: "high byte" },
    profile: { to: "srgb", intent: "perceptual" },
    alpha: channels === 4 && !greyscale ? { as: "fourth channel" } : { onto: [255, 255, 255], round: "down" },
    ...(greyscale && { grey: luminance }),
    resize: {
      by,
      reduce: {
        ...{ filter: "lanczos3", support: 3, antialias: true },
        ...{ box: "max(1, floor(n / size / 2))", place: "(j + 0.5) n / size - 0.5" },
      },
      enlarge: {
        ...{ filter: "catmull-rom", support: 2, antialias: false },
        ...{ place: "j n / size - 0.5", axes: "both where one grows" },
      },
      order: ["reduce rows", "reduce columns", "enlarge columns", "enlarge rows"],
      steps: RESIZE_STEPS,
      weights: { scale: RESIZE_ONE, round: "to zero" },
      values: { round: "half up", clip: [0, 255] },
      ...(by === "caller" && { jpeg: [8, 4, 2], webp: "to size by its decoder" }),
    },
  };
}

/** libvips's colours of CMYK without a profile, at 0, 64, 128, 191 and 255 of each ink. */
const CMYK_GRID =
  "////urm4hoWEUk9NFAUA//y9wLqXjIdwWFRFDAIA//iDw7pyjYZWWlU2DQQA//I+w7Q7joQvXFUdDgUA//AAxrUAj4MAWlEA" +
  "EwYA/L/XvJaliHB4WUlNEQAA/buovpaKi3FnWUhADgAA/bd6v5Nmim1NWkcwDgAA/7ZHv5E7jG0tWUUWDwAA/7IAwZAAjW0A" +
  "WUMAEwAA9Yq2uXGOiFdrWThFFQAA9IiRunB3ildbWDU3EAAA9YZuu29ciVVGVzQnDgAA9oREu243ilMpWDMREAAA+IMAvGwA" +
  "ilEAWDIAEwAA7VOVtUZ4iDlfWSE7FQAA7VJ8tkdnhzdPViAvDwAA7lFftkZPhjY7VyEjDAAA7lA7tkUwhzUjWCAPDwAA7k4A" +
  "tkQAhTIAVh0AFAAA6gCAtABohQBOVgAvEgAA6ABrtABYhQNDVgAmCwAA5wBRtAlEhQUzVgAcCAAA5wA0swkqhQYeVgAJDAAA" +
  "6AAAtAEAhgYAVgAAGQAAq9z4jKu7a36GSFJWAwIAsde8j6eWbHtvRk5FAwMAt9WKkqVwbXlUSE82BAMAuNBRlaRFcHkzSU0d" +
  "BgQAu84AlqEAcHYASUsACwYAtarPkoykbmp5R0NKCAAAtaakk4qGb2llSURABgAAuqd+lIhncGdNSUIwBwAAu6NMlYVAcGQv" +
  "SUAYBwAAvKEAloMAcWMASUAABwAAt3+ulGuNb1NqSTVDCQAAuH+RlGp2b1FYSTQ4CAAAuHxulGhbcFBFSjMqCAAAuXpGlGY5" +
  "cE4qSTIVBwAAunkIlmYAcE0ASTAABQAAt1KTlEZ3bzVaRx43BwAAt1F8lEdnbzVMSB8vBgAAt1FglEVPbzU8Rx4iBQAAt1BA" +
  "k0MybzMlSB4RBAAAt00OlEMEbzIARxsABAAAtAZ7kgRmbwBORwAwAgAAtAxpkghXbQBBRgAlAAAAthZVkhBFbAEwRQAYAAAA" +
  "sxI3kRItbQYfRQAFAAAAswAMkAsFbQYARwAAAwAAW8HwVZm4RHKFLUlUAAUAZby5XJaUR29tLEVDAAIAb7mLX5NxSW5VLkU0" +
  "AAEAdrdaZJJKTW02MEQdAAEAe7QIZo8KT2sBMUIAAQQAd5zOZH+gTGB1MT5KAAAAepejZX2ETl9jMTw9AAAAfpV+Z3pmT11N" +
  "MzwwAAAAf5JRa3pEUVwxNDsbAAAAgZEVbHgMUloANToAAAAAgHSsbGOLUUtnNDBBAAAAg3SPa2F1UktYMy41AAAAg3FubWBc" +
  "U0hENi4pAAAAhm9Jbl07VEgsNi4YAAAAhm4Wb10RVEYBNiwAAAAAhkyPb0F2VTJaNh04AAAAhkx7cEFlVTJNNh0vAAAAh0tg" +
  "bz9OVTE7NhwiAAAAhUhAbz0zVjAmNhwSAAAAh0kabzwQVS4FNRgAAAAAiA16cAZkVQBLNgAvAAAAihdrcAdWVQA/NgAmAAAA" +
  "iBVVbglCVQMyNQAbAAAAiBo5cA8tUwMdNQAJAAAAiRsbbw4QUwAANQAAAAAAAKnlAIiyAGWAAEBQAAIAAKe4AIaRAGRsAD9E" +
  "AAAAAKSLAYNxAWJVAD81AAAAAaJeEYFMEGA2AzsdAAAAAp0kF38bF18OBjoAAAAABovIFnKcFld0BjRGAAAAH4iiJXGEHFVi" +
  "EDg/AAAALYV8K3BoIVRNETUvAAAAN4RVMW1FJ1MzFTQcAAAAPYIjNGwcJlAMFTIAAAAAQWusN1mHKEJlFik/AAAARGiNO1h0" +
  "K0JWFyg0AAAAR2ZuPVZbLUFEGykpAAAATGVLPlQ9Lz8sHikZAAAATWIhQVMZLz4LGyUAAAAAUkWORjt2MytXHRc2AAAAVEV4" +
  "RTljNCtLHhguAAAAVERgRThONCk5IBgjAAAAU0BARzg2NCckIRgTAAAAVUEgRzUUNScIIBYAAAAAXA55SwRiNgBHIgAtAAAA" +
  "WRBlSwhVOANAIQAkAAAAWxRTSglCOAMyIgAcAAAAWxs9Sw0tNgAeIgAOAAAAWxgbSQkTNwQIIwAAAAAAAJnjAHuvAF2BADtS" +
  "AAAAAJSzAHqSAFprADhDAAAAAJSMAHZwAFhUADYyAAAAAI9eAHVOAFc6ADYhAAAAAI0tAHEiAFUUADYDAAAAAH3CAGaaAE1y" +
  "AC5GAAAAAHufAGWDAEthAC48AAAAAHh7AGNnAElMAC4vAAAAAHdXAGFHAEk1AC0eAAAAAHYsAF4fAEYSACwIAAAAAF+jAE6E" +
  "ADpjACA9AAAAAF6LAE5yADlVAB8zAAAAAF1vAExaADhDACEpAAAAAFtNAEs/ADgvAB4WAAAAAFglAEkdADQOACEFAAAAADyK" +
  "ADJzACRWAAwzAAAAADx1ADJhACNJABEuAAAAADxeADBOACI5ABEiAAAAAD5GAC81ACAkAA8RAAAAAjohAC4ZACEOABMDAAAA" +
  "IAZ1FQBfCwBKAAAqAAAAIAxlEgFTBQA8AAAiAAAAHwhQFwVBAgAtAAAZAAAAIAs4GQkuCQAeAAAQAAAAIREfGg0WEQgSBQAD" +
  "AAAA";
