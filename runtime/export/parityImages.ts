// The images on which an export is compared with its run: those of the evaluation's labels as far as they can
// be read, else noise, so that a finished run can be exported when its images are gone.
import { MttcError } from "../../compiler/diagnostics.ts";
import type { ExportedFile } from "../../compiler/export/exportModel.ts";
import type { Task } from "../../compiler/tasks/task.ts";
import { RandomStream } from "../draws/randomStream.ts";
import { type ImageFormat, imageBytes, imageDepth, imageFormat, numbersOver } from "../images/imageFormat.ts";
import { ImageReader } from "../images/images.ts";
import { arrayOver } from "../ort/hostTensor.ts";
import type { HostTensor } from "../ort/ortHost.ts";
import type { ImageRows } from "../tables/imageRows.ts";
import { evenlySpread } from "../tables/rowOrder.ts";
import type { ExportSource } from "./exportSource.ts";
import type { ParityReference } from "./parity.ts";

/** Images of the comparison, at most; of noise a few will do. */
const PARITY_IMAGES = 64;
const NOISE_IMAGES = 16;

/** Images, what the run makes of them, and what is to be said of them. */
export async function parityReference(
  source: ExportSource,
  tasks: readonly Task[],
  features: readonly ExportedFile[],
): Promise<{ reference: ParityReference; notes: readonly string[] }> {
  const format = imageFormat(source.spec);
  const { data, count, fault } = await readImages(source, format);
  const isNoise = count === 0;
  const pixels = isNoise ? noise(format, source.spec.norm) : data;
  const shape = [isNoise ? NOISE_IMAGES : count, format.height, format.width, format.channels];
  const depth = imageDepth(format);
  const probabilities = await servedOutputs(source, tasks, pixels);
  const images: HostTensor = { dtype: depth, shape, data: arrayOver(depth, pixels.buffer) };
  const notes = isNoise
    ? [`compared on noise: no image of the run's labels can be read${fault ? ` (${fault})` : ""}`]
    : [];
  return { reference: { images, probabilities, features }, notes };
}

/** What the tasks of the export serve: as the run serves it, or, where that was calibrated, by arithmetic. */
async function servedOutputs(
  source: ExportSource,
  tasks: readonly Task[],
  pixels: Uint8Array,
): Promise<ReadonlyMap<string, Float32Array>> {
  const served = await source.predictImages(pixels.slice());
  if (!tasks.some(({ servedOf }) => servedOf)) return served;
  const scored = await source.predictImages(pixels.slice(), "scored");
  return new Map(
    [...served].map(([name, values]) => {
      const servedOf = tasks.find((task) => task.name === name)?.servedOf;
      const y = scored.get(name);
      return [name, servedOf && y ? servedOf(y) : values];
    }),
  );
}

/** Up to 64 images of the evaluation's rows, evenly spread: bytes of [count,H,W,C], and the first fault. */
async function readImages(
  source: ExportSource,
  format: ImageFormat,
): Promise<{ data: Uint8Array<ArrayBuffer>; count: number; fault: string | undefined }> {
  const size = imageBytes(format);
  let rows: ImageRows;
  try {
    rows = await source.evaluationRows(PARITY_IMAGES);
  } catch (error) {
    if (!(error instanceof MttcError)) throw error;
    return { data: new Uint8Array(), count: 0, fault: error.faults[0]?.message };
  }
  const chosen = evenlySpread(PARITY_IMAGES, rows.paths.length);
  const reader = new ImageReader(format, 0);
  const read = await Promise.all(
    chosen.map(async (row): Promise<Uint8Array | MttcError> => {
      const image = new Uint8Array(size);
      try {
        await reader.read(rows.paths.at(row) ?? "", image, rows.locate(row));
        return image;
      } catch (error) {
        if (error instanceof MttcError) return error;
        throw error;
      }
    }),
  );
  const images = read.filter((image) => image instanceof Uint8Array);
  const data = new Uint8Array(images.length * size);
  for (const [i, image] of images.entries()) data.set(image, i * size);
  const fault = read.find((image) => image instanceof MttcError)?.faults[0]?.message;
  return { data, count: images.length, fault };
}

/** The same noise each time: numbers from 0 to `norm`, which is what pixels are divided by. */
function noise(format: ImageFormat, norm: number): Uint8Array<ArrayBuffer> {
  const buffer = new ArrayBuffer(NOISE_IMAGES * imageBytes(format));
  const numbers = numbersOver(imageDepth(format), buffer);
  const stream = new RandomStream(0, "parity", 0);
  for (let i = 0; i < numbers.length; i++) numbers[i] = stream.nextUniform() * norm;
  return new Uint8Array(buffer);
}
