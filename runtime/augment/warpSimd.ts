// The usual warp, three channels and four taps, in WebAssembly with vectors of 128 bits: the same fixed point
// as warpPixels.ts, to the bit, at several times its speed. The module is a few dozen instructions, written
// below as such; it is compiled once for each kernel.
import type { ImageSize } from "../../compiler/augment/operation.ts";
import { type FixedTaps, PIXEL_BITS, rowsRead, WEIGHT_BITS } from "./warpPixels.ts";

/** Bytes that loads and stores of vectors may go beyond what they are meant for. */
const SLACK = 16;
const PAGE = 65_536;

const I32 = 0x7f;
const V128 = 0x7b;

/** A number as WebAssembly writes it: LEB128, signed. */
function signed(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; ) {
    const low = rest & 0x7f;
    rest >>= 7;
    const isLast = (rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0);
    bytes.push(isLast ? low : low | 0x80);
    if (isLast) return bytes;
  }
}

function unsigned(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(value >>> 7)];
}

type Code = readonly number[];
const get = (local: number): Code => [0x20, local];
const set = (local: number, ...value: Code[]): Code => [...value.flat(), 0x21, local];
const number = (value: number): Code => [0x41, ...signed(value)];
const add = (a: Code, b: Code): Code => [...a, ...b, 0x6a];
const times = (a: Code, b: Code): Code => [...a, ...b, 0x6c];
const loadInt = (at: Code): Code => [...at, 0x28, 2, 0];
const loadShort = (at: Code, offset: number): Code => [...at, 0x2e, 1, offset];
/** Repeats `body` while a < b; at least once. */
const repeat = (body: readonly Code[], a: Code, b: Code): Code => [
  ...[0x03, 0x40, ...body.flat()],
  ...[...a, ...b, 0x48, 0x0d, 0, 0x0b],
];

const simd = (opcode: number, ...operands: Code[]): Code => [...operands.flat(), 0xfd, ...unsigned(opcode)];
const loadVector = (at: Code): Code => [...simd(0x00, at), 0, 0];
const storeHalf = (at: Code, value: Code): Code => [...simd(0x5b, at, value), 0, 0, 0];
const shuffle = (a: Code, b: Code, lanes: Code): Code => [...simd(0x0d, a, b), ...lanes];
const splatShort = (value: Code): Code => simd(0x10, value);
const splatInt = (value: Code): Code => simd(0x11, value);
const narrowToBytes = (a: Code): Code => simd(0x66, a, a);
const narrowToShorts = (a: Code, b: Code): Code => simd(0x85, a, b);
const lowBytes = (a: Code): Code => simd(0x89, a);
const highBytes = (a: Code): Code => simd(0x8a, a);
const shiftRight = (a: Code, bits: number): Code => simd(0xac, a, number(bits));
const addInts = (a: Code, b: Code): Code => simd(0xae, a, b);
const dot = (a: Code, b: Code): Code => simd(0xba, a, b);
const lowProduct = (a: Code, b: Code): Code => simd(0xbc, a, b);
const highProduct = (a: Code, b: Code): Code => simd(0xbd, a, b);

/** The four bytes of lane `lane` of two vectors of four ints. */
const lane = (which: number): Code => [0, 1, 2, 3].map((byte) => 4 * which + byte);

/** columns(source, between, weights, first, width, row, end): the pass over columns, on rows [row, end). */
function columnsBody(): Code {
  const [source, between, weights, first, width, row, end] = [0, 1, 2, 3, 4, 5, 6] as const;
  const [out, column, begin, pixels, low, high] = [7, 8, 9, 10, 11, 12] as const;
  const rowOf = (base: number, pixelBytes: number): Code =>
    add(get(base), times(times(get(row), get(width)), number(pixelBytes)));
  const firstPixel = loadInt(add(get(first), times(get(column), number(4))));
  // Four pixels of three channels: channel by channel, red and green below, blue above.
  const byChannel = [0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11, 11, 11, 11, 11];
  const four = loadVector(add(get(begin), times(firstPixel, number(3))));
  const taps = loadVector(add(get(weights), times(get(column), number(16))));
  const evens = [...lane(0), ...lane(2), ...lane(4), ...lane(6)];
  const odds = [...lane(1), ...lane(3), ...lane(5), ...lane(7)];
  const pairs = addInts(shuffle(get(low), get(high), evens), shuffle(get(low), get(high), odds));
  const shift = WEIGHT_BITS - PIXEL_BITS;
  const rounded = shiftRight(addInts(pairs, splatInt(number(1 << (shift - 1)))), shift);
  const eachColumn = [
    set(pixels, four),
    set(pixels, shuffle(get(pixels), get(pixels), byChannel)),
    set(low, dot(lowBytes(get(pixels)), taps)),
    set(high, dot(highBytes(get(pixels)), taps)),
    set(low, rounded),
    storeHalf(get(out), narrowToShorts(get(low), get(low))),
    set(out, add(get(out), number(6))),
    set(column, add(get(column), number(1))),
  ];
  const eachRow = [
    set(begin, rowOf(source, 3)),
    set(out, rowOf(between, 6)),
    set(column, number(0)),
    repeat(eachColumn, get(column), get(width)),
    set(row, add(get(row), number(1))),
  ];
  return functionBody(
    [
      [3, I32],
      [3, V128],
    ],
    repeat(eachRow, get(row), get(end)),
  );
}

/** rows(between, target, weights, first, height, stride): the pass over rows; stride is in numbers. */
function rowsBody(): Code {
  const [between, target, weights, first, height, stride] = [0, 1, 2, 3, 4, 5] as const;
  const [row, at, out, end, step, low, high, taken] = [6, 7, 8, 9, 10, 11, 12, 13] as const;
  const taps = [14, 15, 16, 17];
  const shift = WEIGHT_BITS + PIXEL_BITS;
  const half = splatInt(number(1 << (shift - 1)));
  const weightsOfRow = add(get(weights), times(get(row), number(8)));
  const firstRow = loadInt(add(get(first), times(get(row), number(4))));
  const eachTap = taps.map((tap, i) => [
    ...set(taken, loadVector(add(get(at), times(get(step), number(i))))),
    ...set(low, addInts(get(low), lowProduct(get(taken), get(tap)))),
    ...set(high, addInts(get(high), highProduct(get(taken), get(tap)))),
  ]);
  const eachEight = [
    set(low, half),
    set(high, half),
    ...eachTap,
    set(low, narrowToShorts(shiftRight(get(low), shift), shiftRight(get(high), shift))),
    storeHalf(get(out), narrowToBytes(get(low))),
    set(at, add(get(at), number(16))),
    set(out, add(get(out), number(8))),
  ];
  const eachRow = [
    ...taps.map((tap, i) => set(tap, splatShort(loadShort(weightsOfRow, 2 * i)))),
    set(at, add(get(between), times(firstRow, get(step)))),
    set(out, add(get(target), times(get(row), get(stride)))),
    set(end, add(get(out), get(stride))),
    repeat(eachEight, get(out), get(end)),
    set(row, add(get(row), number(1))),
  ];
  const code = [...set(step, times(get(stride), number(2))), ...repeat(eachRow, get(row), get(height))];
  return functionBody(
    [
      [5, I32],
      [7, V128],
    ],
    code,
  );
}

function functionBody(locals: readonly (readonly [number, number])[], code: Code): Code {
  return sized([locals.length, ...locals.flat(), ...code, 0x0b]);
}

function sized(bytes: Code): Code {
  return [...unsigned(bytes.length), ...bytes];
}

function section(id: number, entries: readonly Code[]): Code {
  return [id, ...sized([entries.length, ...entries.flat()])];
}

function named(text: string): Code {
  return sized([...text].map((letter) => letter.charCodeAt(0)));
}

/** The module: imports the memory `host.memory`, exports `columns` and `rows`. */
export function warpModule(): Uint8Array<ArrayBuffer> {
  const takes = (count: number): Code => [0x60, count, ...Array.from({ length: count }, () => I32), 0];
  return Uint8Array.from([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [takes(7), takes(6)]),
    ...section(2, [[...named("host"), ...named("memory"), 2, 0, 1]]),
    ...section(3, [[0], [1]]),
    ...section(7, [
      [...named("columns"), 0, 0],
      [...named("rows"), 0, 1],
    ]),
    ...section(10, [columnsBody(), rowsBody()]),
  ]);
}

interface Memory {
  readonly buffer: ArrayBuffer;
}
type Kernel = Readonly<Record<"columns" | "rows", (...numbers: readonly number[]) => void>>;
/** As far as it is used here: the types of Node leave it out. */
declare const WebAssembly: {
  readonly Memory: new (size: { readonly initial: number }) => Memory;
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (
    module: object,
    imports: { readonly host: { readonly memory: Memory } },
  ) => { readonly exports: Kernel };
};

/** Resamples images of one size, uint8 [H,W,3], by four taps along each axis. */
export class SimdWarp {
  readonly #size: ImageSize;
  readonly #kernel: Kernel;
  readonly #places: Readonly<Record<(typeof PARTS)[number], number>>;
  readonly #source: Uint8Array;
  readonly #target: Uint8Array;
  readonly #memory: ArrayBuffer;

  constructor(size: ImageSize) {
    const { height, width } = size;
    const bytes = height * width * 3;
    const sizes = [bytes, 2 * bytes, bytes, 16 * width, 4 * width, 8 * height, 4 * height];
    let next = 0;
    const places = PARTS.map((part, i) => {
      const place = next;
      next += Math.ceil(((sizes[i] ?? 0) + SLACK) / SLACK) * SLACK;
      return [part, place] as const;
    });
    const memory = new WebAssembly.Memory({ initial: Math.ceil(next / PAGE) });
    const module = new WebAssembly.Module(warpModule());
    this.#size = size;
    this.#kernel = new WebAssembly.Instance(module, { host: { memory } }).exports;
    this.#places = Object.fromEntries(places) as Record<(typeof PARTS)[number], number>;
    this.#memory = memory.buffer;
    this.#source = new Uint8Array(memory.buffer, this.#places.source, bytes);
    this.#target = new Uint8Array(memory.buffer, this.#places.target, bytes);
  }

  /** As resampleColumns and then resampleRows; `isTransposed` exchanges rows and columns of the result. */
  resample(
    source: Uint8Array,
    target: Uint8Array,
    columns: FixedTaps,
    rows: FixedTaps,
    isTransposed: boolean,
  ): void {
    const { height, width } = this.#size;
    const at = this.#places;
    this.#source.set(source);
    const columnWeights = new Int16Array(this.#memory, at.columnWeights, 8 * width);
    // Each column's weights twice: for red and green together.
    for (let i = 0; i < 8 * width; i++) columnWeights[i] = columns.weights[(i >> 3) * 4 + (i & 3)] ?? 0;
    new Int32Array(this.#memory, at.columnFirst, width).set(columns.first);
    new Int16Array(this.#memory, at.rowWeights, 4 * height).set(rows.weights);
    new Int32Array(this.#memory, at.rowFirst, height).set(rows.first);
    const [from, to] = rowsRead(rows);
    this.#kernel.columns(at.source, at.between, at.columnWeights, at.columnFirst, width, from, to);
    this.#kernel.rows(at.between, at.target, at.rowWeights, at.rowFirst, height, 3 * width);
    if (isTransposed) transpose(this.#target, target, height);
    else target.set(this.#target);
  }
}

const PARTS = [
  "source",
  "between",
  "target",
  "columnWeights",
  "columnFirst",
  "rowWeights",
  "rowFirst",
] as const;

/** Rows of a square image of three channels become columns. */
function transpose(source: Uint8Array, target: Uint8Array, side: number): void {
  for (let row = 0, at = 0; row < side; row++)
    for (let column = 0, out = 3 * row; column < side; column++, at += 3, out += 3 * side) {
      target[out] = source[at] as number;
      target[out + 1] = source[at + 1] as number;
      target[out + 2] = source[at + 2] as number;
    }
}
