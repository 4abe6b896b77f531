// Every image of a run looked at once before the first epoch, cheaply: the head and the end of its file say
// what it is, how large, and whether it is whole. What these leave open (another format, no end where one is
// expected) is decoded, in processes of their own. In: files; out: the fault of each that cannot be read.
import { type Fault, MttcError } from "../../compiler/diagnostics.ts";
import { type ImageEnds, readImageEnds, readImageFile, refusalOf } from "../images/imageFile.ts";
import { maxPixels } from "../images/imageFormat.ts";
import { headerSize } from "../images/imageLayout.ts";
import type { ImageFormat } from "../images/images.ts";
import type { ListedImage } from "../images/listedImage.ts";
import { isTiff } from "../images/tiff/tiffDirectory.ts";
import { checkTiff } from "../images/tiff/tiffImage.ts";
import { InspectionPool } from "./inspectionPool.ts";

/** Room for what cameras write before the size: an EXIF block with its thumbnail. */
const HEAD_BYTES = 64 * 1024;
const TAIL_BYTES = 64;
const FILES_AT_ONCE = 16;
/** Sides from which on an image decodes to any size; below, the decoder is asked. */
const SURE_SIDE = 8;

const PNG_END = Buffer.from([0, 0, 0, 0, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82]);
const JPEG_END = Buffer.from([0xff, 0xd9]);

export interface HeaderCheckOptions {
  readonly format: ImageFormat;
  /** Have every image decoded, not only those that their ends leave open. */
  readonly decode?: boolean;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  /** Ends the check with E_INTERRUPTED. */
  readonly signal?: AbortSignal | undefined;
}

/** The first fault of each file that cannot be read, by path, in the order of `items`. E_INTERRUPTED. */
export async function checkHeaders(
  items: readonly ListedImage[],
  { format, decode = false, onProgress, signal }: HeaderCheckOptions,
): Promise<Map<string, Fault>> {
  const found: (Fault | undefined)[] = [];
  await using pool = new InspectionPool({ format });
  let [next, done] = [0, 0];
  let isInterrupted = signal?.aborted ?? false;
  const interrupt = (): void => {
    isInterrupted = true;
  };
  signal?.addEventListener("abort", interrupt);
  const work = async (): Promise<void> => {
    for (let index = next++; index < items.length && !isInterrupted; index = next++) {
      const item = items[index];
      if (item === undefined) return;
      found[index] =
        (decode ? undefined : await endsVerdict(item, format)) ?? (await decodeFault(item, pool));
      onProgress?.(++done, items.length);
    }
  };
  await Promise.all(Array.from({ length: FILES_AT_ONCE }, work)).finally(() =>
    signal?.removeEventListener("abort", interrupt),
  );
  if (isInterrupted) {
    const message = `interrupted after ${done} of ${items.length} images were looked at; nothing was trained`;
    throw new MttcError({ code: "E_INTERRUPTED", message });
  }
  const faults = new Map<string, Fault>();
  for (const [index, { path }] of items.entries()) {
    const fault = found[index];
    if (fault !== undefined && fault !== SOUND) faults.set(path, fault);
  }
  return faults;
}

/** Stands for an image that its ends show to be sound. */
const SOUND: Fault = { code: "E_IMG_FORMAT", message: "" };

/** SOUND, a fault, or undefined where only decoding tells. */
async function endsVerdict({ path, place }: ListedImage, format: ImageFormat): Promise<Fault | undefined> {
  try {
    const ends = await readImageEnds(path, { head: HEAD_BYTES, tail: TAIL_BYTES }, place);
    if (isTiff(ends.head)) {
      const isSure = await checkTiff(await readImageFile(path, place), format, refusalOf(path, place));
      return isSure ? SOUND : undefined;
    }
    return isSound(ends, format) ? SOUND : undefined;
  } catch (error) {
    if (error instanceof MttcError) return error.faults[0];
    throw error;
  }
}

async function decodeFault({ path, place }: ListedImage, pool: InspectionPool): Promise<Fault | undefined> {
  return (await pool.inspect(path, place)).faults[0];
}

/** Whether head and end are those of a whole image of a plain kind, within the limits. */
function isSound({ head, tail, sizeBytes }: ImageEnds, format: ImageFormat): boolean {
  // Alpha, which four channels need, is not told by the size alone.
  if (!format.greyscale && format.channels !== 1 && format.channels !== 3) return false;
  const size = headerSize(head) ?? webpSize(head, sizeBytes);
  if (size === undefined || Math.min(size.width, size.height) < SURE_SIDE) return false;
  if (size.width * size.height > maxPixels(format)) return false;
  if (head[0] === 0xff) return tail.subarray(-JPEG_END.length).equals(JPEG_END);
  if (head[0] === 0x89) return tail.subarray(-PNG_END.length).equals(PNG_END);
  return true;
}

/** Width and height of a WebP that is as long as its header says. */
function webpSize(head: Buffer, sizeBytes: number): { width: number; height: number } | undefined {
  const isWebp = head.toString("latin1", 0, 4) === "RIFF" && head.toString("latin1", 8, 12) === "WEBP";
  if (!isWebp || head.length < 30 || head.readUInt32LE(4) + 8 !== sizeBytes) return undefined;
  const chunk = head.toString("latin1", 12, 16);
  // RFC 9649: 14 bits each, 14 bits each less one, 24 bits each less one.
  if (chunk === "VP8 ")
    return { width: head.readUInt16LE(26) & 0x3fff, height: head.readUInt16LE(28) & 0x3fff };
  if (chunk === "VP8L") {
    const bits = head.readUInt32LE(21);
    return { width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1 };
  }
  if (chunk === "VP8X") return { width: head.readUIntLE(24, 3) + 1, height: head.readUIntLE(27, 3) + 1 };
  return undefined;
}
