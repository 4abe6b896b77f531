// Many strings in few bytes: UTF-8 in blocks of one mebibyte, and where each string begins. Ten million
// paths as JavaScript strings would cost the heap 64 bytes each besides their text. Strings are added,
// never changed.

/** A list of image paths: an array of strings, or a table that makes them as they are asked for. */
export interface PathList extends Iterable<string> {
  readonly length: number;
  at(index: number): string | undefined;
}

const BLOCK_BYTES = 2 ** 20;
const FIRST_CAPACITY = 1_024;

/** A growing list of 32-bit whole numbers in one typed array. */
export class NumberList {
  #numbers = new Int32Array(FIRST_CAPACITY);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(number: number): void {
    if (this.#length === this.#numbers.length) {
      const larger = new Int32Array(Math.ceil(this.#length * 1.5));
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

/** Strings as bytes in blocks; a string never lies across two blocks. */
export class StringTable implements PathList {
  readonly #blocks: Buffer[] = [];
  /** Number of the block that holds each string, and where in the block the string ends. */
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
      block = Buffer.allocUnsafeSlow(Math.max(BLOCK_BYTES, most));
      this.#blocks.push(block);
      this.#used = 0;
    }
    this.#used += block.write(text, this.#used, "utf8");
    this.#blockOf.push(this.#blocks.length - 1);
    this.#ends.push(this.#used);
  }

  at(index: number): string | undefined {
    const blockOf = this.#blockOf.values();
    const number = blockOf[index];
    if (number === undefined) return undefined;
    const ends = this.#ends.values();
    const start = index > 0 && blockOf[index - 1] === number ? ends[index - 1] : 0;
    return this.#blocks[number]?.toString("utf8", start, ends[index]);
  }

  *[Symbol.iterator](): Iterator<string> {
    for (let index = 0; index < this.length; index++) yield this.at(index) ?? "";
  }
}

/** The strings of another list, each through a function: nothing is kept. */
export class MappedList implements PathList {
  readonly #list: PathList;
  readonly #change: (text: string) => string;

  constructor(list: PathList, change: (text: string) => string) {
    this.#list = list;
    this.#change = change;
  }

  get length(): number {
    return this.#list.length;
  }

  at(index: number): string | undefined {
    const text = this.#list.at(index);
    return text === undefined ? undefined : this.#change(text);
  }

  *[Symbol.iterator](): Iterator<string> {
    for (const text of this.#list) yield this.#change(text);
  }
}
