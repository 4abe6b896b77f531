// Writes plain TIFFs for tests: one strip, no compression, little-endian, bands of 16 bits side by side.

/** A TIFF of [height,width,bands] numbers. */
export function tiffFile(
  numbers: Uint16Array,
  [height, width, bands]: readonly [number, number, number],
): Buffer {
  const [SHORT, LONG] = [3, 4];
  const pixels = Buffer.from(numbers.buffer, numbers.byteOffset, numbers.byteLength);
  const bits = Buffer.alloc(2 * bands);
  for (let band = 0; band < bands; band++) bits.writeUInt16LE(16, 2 * band);
  const entries: readonly TiffEntry[] = [
    [256, LONG, 1, width],
    [257, LONG, 1, height],
    [258, SHORT, bands, bands > 2 ? 8 + pixels.length : bits.readUIntLE(0, bits.length)],
    [259, SHORT, 1, 1],
    [262, SHORT, 1, 1],
    [273, LONG, 1, 8],
    [277, SHORT, 1, bands],
    [278, LONG, 1, height],
    [279, LONG, 1, pixels.length],
  ];
  return tiffOf([pixels, bits], entries);
}

/** One field of a TIFF's directory whose value, or its place, fits into four bytes. */
export type TiffEntry = readonly [tag: number, type: number, count: number, value: number];

/** A little-endian TIFF: header, the given bytes from place 8 on, and one directory of entries in order. */
export function tiffOf(data: readonly Buffer[], entries: readonly TiffEntry[]): Buffer {
  const directory = Buffer.alloc(2 + 12 * entries.length + 4);
  directory.writeUInt16LE(entries.length, 0);
  for (const [i, [tag, type, count, value]] of entries.entries()) {
    directory.writeUInt16LE(tag, 2 + 12 * i);
    directory.writeUInt16LE(type, 4 + 12 * i);
    directory.writeUInt32LE(count, 6 + 12 * i);
    directory.writeUInt32LE(value, 10 + 12 * i);
  }
  const header = Buffer.from([0x49, 0x49, 42, 0, 0, 0, 0, 0]);
  header.writeUInt32LE(8 + data.reduce((sum, { length }) => sum + length, 0), 4);
  return Buffer.concat([header, ...data, directory]);
}
