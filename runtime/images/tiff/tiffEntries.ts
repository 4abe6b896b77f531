// The entries of a TIFF's first directory, looked at before a library allocates what they claim: their
// number, types, and that all their values lie inside the file and together are no longer than it.
import type { Refuse } from "../imageFile.ts";

const MAX_ENTRIES = 4_096;
const BIG_TIFF = 43;
/** Bytes of one value by the number of its type; 0 for numbers that are no type. */
const TYPE_BYTES = [0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8];

/** Numbers of the file, in its byte order. */
class FileNumbers {
  readonly #view: DataView;
  readonly #littleEndian: boolean;
  /** BigTIFF: offsets of 8 bytes. */
  readonly big: boolean;

  constructor(bytes: Buffer, littleEndian: boolean) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#littleEndian = littleEndian;
    this.big = this.short(2) === BIG_TIFF;
  }

  get length(): number {
    return this.#view.byteLength;
  }

  short(at: number): number {
    return this.#view.getUint16(at, this.#littleEndian);
  }

  /** A count or an offset. */
  long(at: number): number {
    if (!this.big) return this.#view.getUint32(at, this.#littleEndian);
    return Number(this.#view.getBigUint64(at, this.#littleEndian));
  }
}

/**
 * Throws E_IMG_TRUNCATED (values outside the file) or E_IMG_FORMAT (nonsense). Returns whether the file names
 * another directory after this one.
 */
export function checkEntries(bytes: Buffer, littleEndian: boolean, refuse: Refuse): boolean {
  const cut = (what: string): Error => refuse("E_IMG_TRUNCATED", `the image is cut short: ${what}`);
  if (bytes.length < 16) throw cut("a TIFF without a directory");
  const file = new FileNumbers(bytes, littleEndian);
  const { big, length } = file;
  if (big && (file.short(4) !== 8 || file.short(6) !== 0))
    throw refuse("E_IMG_FORMAT", "a BigTIFF whose offsets have no 8 bytes");
  const start = file.long(big ? 8 : 4);
  const [countBytes, entryBytes, inlineBytes] = big ? [8, 20, 8] : [2, 12, 4];
  if (start + countBytes > length) throw cut(`its directory is at ${start}, the file has ${length} bytes`);
  if (start < (big ? 16 : 8)) throw refuse("E_IMG_FORMAT", `the directory of the TIFF is at ${start}`);
  const count = big ? file.long(start) : file.short(start);
  if (count === 0 || count > MAX_ENTRIES)
    throw refuse("E_IMG_FORMAT", `the directory of the TIFF has ${count} entries`);
  const first = start + countBytes;
  // The offset of the next directory ends this one.
  if (first + count * entryBytes + inlineBytes > length) throw cut("its directory is incomplete");
  let total = 0;
  for (let at = first; at < first + count * entryBytes; at += entryBytes) {
    const typeBytes = TYPE_BYTES[file.short(at + 2)] ?? 0;
    const tag = file.short(at);
    if (typeBytes === 0) throw refuse("E_IMG_FORMAT", `tag ${tag} of the TIFF has an unknown type`);
    const size = typeBytes * file.long(at + 4);
    if (size <= inlineBytes) continue;
    total += size;
    if (file.long(at + 4 + inlineBytes) + size > length)
      throw cut(`the values of tag ${tag} (${size} bytes) reach past the end of the file`);
  }
  if (total > length)
    throw refuse("E_IMG_FORMAT", `the directory claims ${total} bytes, the file has ${length}`);
  return file.long(first + count * entryBytes) !== 0;
}
