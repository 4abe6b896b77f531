// Images to predict -> batches of pixels: files by path and encoded images in memory, read as training reads
// them, several at a time and one batch ahead. A bad one is a fault of its own place.
import { availableParallelism } from "node:os";
import { MttcError } from "../../compiler/diagnostics.ts";
import { readImageFile } from "../images/imageFile.ts";
import { restrictImageLibrary } from "../images/imageLibrary.ts";
import { decodeImage, decodeWhole, type ImageFormat, type WholeImage } from "../images/images.ts";

/**
 * An image to predict: the path of a file, a file under another name in results, or the bytes of a JPEG, PNG,
 * WebP or TIFF, which may have a name.
 */
export type ImageInput =
  | string
  | Uint8Array
  | { readonly name: string; readonly path: string }
  | { readonly name: string; readonly bytes: Uint8Array };

/** An image that could not be read, and why. */
export interface ImageFault {
  readonly file: string;
  readonly error: MttcError;
}

/** The images of a batch that could be read, one after the other in `pixels`, and those that could not. */
export interface ReadBatch {
  readonly names: readonly string[];
  /** Their places among the inputs of the batch. */
  readonly places: readonly number[];
  readonly pixels: Uint8Array<ArrayBuffer>;
  /** Size of each image. */
  readonly height: number;
  readonly width: number;
  readonly faults: readonly ImageFault[];
}

/** What an image is called in results: its path or name; bytes alone by their place, from 0. */
export function inputName(input: ImageInput, place: number): string {
  if (typeof input === "string") return input;
  return input instanceof Uint8Array ? `image ${place}` : input.name;
}

const IMAGES_PER_CORE = 2;
/** Decoding the largest image that is read takes seconds; what takes this long hangs (a lost file server). */
const STUCK_MS = 60_000;

/** Reads images of one format, or each at its own size: then one at a time. */
export class InputReader {
  readonly #format: ImageFormat;
  readonly #isOwnSize: boolean;

  constructor(format: ImageFormat, isOwnSize = false) {
    this.#format = format;
    this.#isOwnSize = isOwnSize;
    restrictImageLibrary();
  }

  /** Reads `inputs`, the first of which has the number `first`. Rejects for faults of mttc alone. */
  async read(inputs: readonly ImageInput[], first: number): Promise<ReadBatch> {
    const results = new Array<WholeImage | MttcError>(inputs.length);
    let next = 0;
    const work = async (): Promise<void> => {
      for (let i = next++; i < inputs.length; i = next++)
        results[i] = await this.#readOne(inputs[i] ?? "", inputName(inputs[i] ?? "", first + i));
    };
    await Promise.all(Array.from({ length: IMAGES_PER_CORE * availableParallelism() }, work));
    const good = results.flatMap((result) => (result instanceof MttcError ? [] : [result]));
    const { height, width } = good[0] ?? this.#format;
    const size = good[0]?.pixels.length ?? 0;
    const pixels = new Uint8Array(good.length * size);
    for (const [i, image] of good.entries()) pixels.set(image.pixels, i * size);
    const named = results.map((result, i) => ({ file: inputName(inputs[i] ?? "", first + i), result }));
    return {
      names: named.flatMap(({ file, result }) => (result instanceof MttcError ? [] : [file])),
      places: results.flatMap((result, place) => (result instanceof MttcError ? [] : [place])),
      ...{ pixels, height, width },
      faults: named.flatMap(({ file, result }) =>
        result instanceof MttcError ? [{ file, error: result }] : [],
      ),
    };
  }

  async #readOne(input: ImageInput, name: string): Promise<WholeImage | MttcError> {
    const { promise: stuck, cancel } = failAfter(STUCK_MS, name);
    try {
      return await Promise.race([this.#decode(input, name), stuck]);
    } catch (error) {
      if (error instanceof MttcError) return error;
      throw error;
    } finally {
      cancel();
    }
  }

  async #decode(input: ImageInput, name: string): Promise<WholeImage> {
    const bytes = await encodedBytes(input);
    if (this.#isOwnSize) return await decodeWhole(bytes, this.#format, name);
    const { height, width } = this.#format;
    return { pixels: await decodeImage(bytes, this.#format, name), height, width };
  }
}

async function encodedBytes(input: ImageInput): Promise<Buffer> {
  if (typeof input === "string") return await readImageFile(input);
  if ("path" in input) return await readImageFile(input.path);
  const { buffer, byteOffset, byteLength } = "bytes" in input ? input.bytes : input;
  return Buffer.from(buffer, byteOffset, byteLength);
}

function failAfter(ms: number, file: string): { promise: Promise<never>; cancel: () => void } {
  let cancel = (): void => undefined;
  const promise = new Promise<never>((_, reject) => {
    const message = `reading the image takes more than ${ms / 1000} s`;
    const timer = setTimeout(
      () => reject(new MttcError({ code: "E_DATA_STUCK", message, at: { file } })),
      ms,
    );
    cancel = () => clearTimeout(timer);
  });
  return { promise, cancel };
}
