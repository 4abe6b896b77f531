// Decompressed bytes of a strip or tile -> its samples: brought to the host's byte order (little endian), the
// predictor undone (TIFF 6.0 section 14; floats: Adobe's TIFF Technical Note 3), white turned to the top.
import type { TiffLayout } from "./tiffDirectory.ts";

/** Samples as the file stores them. */
export type Samples =
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | Int8Array
  | Int16Array
  | Int32Array
  | Float32Array
  | Float64Array;

/** The samples of whole rows of `rowBytes` each. Works in place where `bytes` are the block's own. */
export function toSamples(bytes: Uint8Array, rowBytes: number, layout: TiffLayout): Samples {
  const { sampleBytes, littleEndian, predictor, planar, bands, whiteIsZero, compression } = layout;
  const stride = planar ? 1 : bands;
  const isOwn = compression !== "none" && bytes.byteOffset % sampleBytes === 0;
  const own = isOwn ? bytes : new Uint8Array(bytes);
  // Its bytes are in their own order, most significant first, whatever the file's is.
  if (predictor === 3) undoFloatPredictor(own, rowBytes, sampleBytes, stride);
  else if (!littleEndian) reverseSamples(own, sampleBytes);
  if (predictor === 2) undoDifferences(integersOf(own, sampleBytes), rowBytes / sampleBytes, stride);
  const samples = samplesOf(own, layout);
  if (whiteIsZero) {
    const white = 2 ** (8 * sampleBytes) - 1;
    for (let i = 0; i < samples.length; i++) samples[i] = white - (samples[i] ?? 0);
  }
  return samples;
}

function samplesOf(bytes: Uint8Array, { kind, sampleBytes }: TiffLayout): Samples {
  const { buffer, byteOffset: at, length } = bytes;
  if (kind === "uint") return integersOf(bytes, sampleBytes);
  if (kind === "float")
    return sampleBytes === 4
      ? new Float32Array(buffer, at, length / 4)
      : new Float64Array(buffer, at, length / 8);
  if (sampleBytes === 1) return new Int8Array(buffer, at, length);
  return sampleBytes === 2 ? new Int16Array(buffer, at, length / 2) : new Int32Array(buffer, at, length / 4);
}

function integersOf(bytes: Uint8Array, sampleBytes: number): Uint8Array | Uint16Array | Uint32Array {
  const { buffer, byteOffset: at, length } = bytes;
  if (sampleBytes === 1) return bytes;
  return sampleBytes === 2
    ? new Uint16Array(buffer, at, length / 2)
    : new Uint32Array(buffer, at, length / 4);
}

function reverseSamples({ buffer, byteOffset, length }: Uint8Array, sampleBytes: number): void {
  const bytes = Buffer.from(buffer, byteOffset, length);
  if (sampleBytes === 2) bytes.swap16();
  if (sampleBytes === 4) bytes.swap32();
  if (sampleBytes === 8) bytes.swap64();
}

/** Each sample is stored as the difference from its left neighbour of the same band, modulo its size. */
function undoDifferences(
  numbers: Uint8Array | Uint16Array | Uint32Array,
  rowLength: number,
  stride: number,
): void {
  for (let row = 0; row < numbers.length; row += rowLength)
    for (let band = 0; band < stride; band++) {
      let left = 0;
      for (let i = row + band; i < row + rowLength; i += stride) {
        numbers[i] = left + (numbers[i] ?? 0);
        left = numbers[i] ?? 0;
      }
    }
}

/** A row holds first all first bytes of its samples, then all second ones, ...; all as differences. */
function undoFloatPredictor(bytes: Uint8Array, rowBytes: number, sampleBytes: number, stride: number): void {
  undoDifferences(bytes, rowBytes, stride);
  const count = rowBytes / sampleBytes;
  for (let row = 0; row < bytes.length; row += rowBytes) {
    const apart = new Uint8Array(bytes.subarray(row, row + rowBytes));
    for (let byte = 0; byte < sampleBytes; byte++) {
      const from = (sampleBytes - 1 - byte) * count;
      for (let i = 0; i < count; i++) bytes[row + i * sampleBytes + byte] = apart[from + i] ?? 0;
    }
  }
}
