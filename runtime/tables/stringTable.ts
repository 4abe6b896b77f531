// Many strings in few bytes: UTF-8 in blocks of one mebibyte, and where each string begins. Ten million
// paths as JavaScript strings would cost the heap 64 bytes each besides their text. Strings are added,
// never changed. The memory is shared between threads: another one reads a table without a copy of it.
import { resolve } from "node:path";

/** A list of image paths: an array of strings, or a table that makes them as they are asked for. */
export interface PathList extends Iterable<string> {
  readonly length: number;
  at(index: number): string | undefined;
}

const BLOCK_BYTES = 2 ** 20;
const FIRST_CAPACITY = 1_024;

/** A growing list of 32-bit whole numbers in one typed array. */
export class NumberList {
  #numbers = sharedNumbers(FIRST_CAPACITY);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(number: number): void {
    if (this.#length === this.#numbers.length) {
      const larger = sharedNumbers(Math.ceil(this.#length * 1.5));
      larger.set(this.#numbers);
      this.#numbers = larger;
    }
    this.#numbers[this.#length++] = number;
  }

  /** The numbers so far, a view. */
  values(): Int32Array {
    return this.#numbers.subarray(0, this.#length);
  }
}

function sharedNumbers(count: number): Int32Array {
  return new Int32Array(new SharedArrayBuffer(count * Int32Array.BYTES_PER_ELEMENT));
}

/** A list of paths as it is posted to another thread, which then reads the same memory. */
export interface SharedPaths {
  /** Where relative paths start; null: the strings are taken as they are. */
  readonly folder: string | null;
  readonly blocks: readonly SharedArrayBuffer[];
  /** Of each string: the number of its block, and where in the block it ends. */
  readonly blockOf: Int32Array;
  readonly ends: Int32Array;
}

interface Strings {
  readonly blocks: readonly Buffer[];
  readonly blockOf: Int32Array;
  readonly ends: Int32Array;
}

function stringAt({ blocks, blockOf, ends }: Strings, index: number): string | undefined {
  const number = blockOf[index];
  if (number === undefined) return undefined;
  const start = index > 0 && blockOf[index - 1] === number ? ends[index - 1] : 0;
  return blocks[number]?.toString("utf8", start, ends[index]);
}

/** Strings as bytes in blocks; a string never lies across two blocks. */
export class StringTable implements PathList {
  readonly #blocks: Buffer<SharedArrayBuffer>[] = [];
  readonly #blockOf = new NumberList();
  readonly #ends = new NumberList();
  #used = 0;

  get length(): number {
    return this.#ends.length;
  }

  push(text: string): void {
    const most = 3 * text.length;
    let block = this.#blocks.at(-1);
    if (block === undefined || this.#used + most > block.length) {
      block = Buffer.from(new SharedArrayBuffer(Math.max(BLOCK_BYTES, most)));
      this.#blocks.push(block);
      this.#used = 0;
    }
    this.#used += block.write(text, this.#used, "utf8");
    this.#blockOf.push(this.#blocks.length - 1);
    this.#ends.push(this.#used);
  }

  at(index: number): string | undefined {
    const [blockOf, ends] = [this.#blockOf.values(), this.#ends.values()];
    return stringAt({ blocks: this.#blocks, blockOf, ends }, index);
  }

  *[Symbol.iterator](): Iterator<string> {
    for (let index = 0; index < this.length; index++) yield this.at(index) ?? "";
  }

  /** The strings so far, for another thread; nothing is copied. */
  share(): SharedPaths {
    const blocks = this.#blocks.map(({ buffer }) => buffer);
    return { folder: null, blocks, blockOf: this.#blockOf.values(), ends: this.#ends.values() };
  }
}

/** A table that this or another thread has shared. */
class SharedTable implements PathList {
  readonly #strings: Strings;
  readonly #shared: SharedPaths;

  constructor(shared: SharedPaths) {
    const { blocks, blockOf, ends } = shared;
    this.#strings = { blocks: blocks.map((block) => Buffer.from(block)), blockOf, ends };
    this.#shared = { ...shared, folder: null };
  }

  /** For a further thread. */
  share(): SharedPaths {
    return this.#shared;
  }

  get length(): number {
    return this.#strings.ends.length;
  }

  at(index: number): string | undefined {
    return stringAt(this.#strings, index);
  }

  *[Symbol.iterator](): Iterator<string> {
    for (let index = 0; index < this.length; index++) yield this.at(index) ?? "";
  }
}

/** The paths of another list made absolute, from a folder on; nothing is kept. */
export class FolderPaths implements PathList {
  readonly list: PathList;
  readonly folder: string;

  constructor(list: PathList, folder: string) {
    this.list = list;
    this.folder = folder;
  }

  get length(): number {
    return this.list.length;
  }

  at(index: number): string | undefined {
    const path = this.list.at(index);
    return path === undefined ? undefined : resolve(this.folder, path);
  }

  *[Symbol.iterator](): Iterator<string> {
    for (const path of this.list) yield resolve(this.folder, path);
  }
}

/** A list for another thread: string tables and the paths of a folder are not copied, other lists are. */
export function sharePaths(list: PathList): SharedPaths {
  const isTable = (each: PathList) => each instanceof StringTable || each instanceof SharedTable;
  if (isTable(list)) return list.share();
  if (list instanceof FolderPaths && isTable(list.list)) return { ...list.list.share(), folder: list.folder };
  const copy = new StringTable();
  for (const path of list) copy.push(path);
  return copy.share();
}

/** The list that was shared. */
export function openPaths(shared: SharedPaths): PathList {
  const table = new SharedTable(shared);
  return shared.folder === null ? table : new FolderPaths(table, shared.folder);
}
