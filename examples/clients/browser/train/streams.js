// @ts-check
// The random streams of a run: Philox4x32-10 by counters, as compiler/bundle/CONTRACT.md says (Salmon et
// al., SC 2011). A stream is named by (seed, purpose, time, index), and gives the same numbers everywhere.

/** @typedef {readonly [seed: number, purpose: string, time: number, index: number]} StreamName */

const WORD = 2 ** 32;
const [LEFT, RIGHT] = [0xd2511f53, 0xcd9e8d57];
const [ADD_K, ADD_M] = [0x9e3779b9, 0xbb67ae85];
const ROUNDS = 10;

/** The upper 32 bits of a product of two words. @param {number} a @param {number} b */
function high(a, b) {
  const [aHigh, aLow, bHigh, bLow] = [a >>> 16, a & 0xffff, b >>> 16, b & 0xffff];
  const middle = aHigh * bLow + Math.floor((aLow * bLow) / 0x10000);
  const other = aLow * bHigh + (middle % 0x10000);
  return aHigh * bHigh + Math.floor(middle / 0x10000) + Math.floor(other / 0x10000);
}

/** FNV-1a of the purpose in UTF-16, little-endian. @param {string} purpose */
export function hashPurpose(purpose) {
  let hash = 0x811c9dc5;
  for (let i = 0; i < purpose.length; i++) {
    const unit = purpose.charCodeAt(i);
    for (const byte of [unit & 255, unit >> 8]) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  }
  return hash;
}

/** A stream's words and numbers, from its first one on. */
export class Stream {
  #counter;
  #key;
  /** @type {readonly number[]} */
  #block = [];
  #next = 0;

  /** @param {StreamName} name */
  constructor([seed, purpose, time, index]) {
    this.#counter = [0, index, time, hashPurpose(purpose)];
    this.#key = [seed % WORD, Math.floor(seed / WORD)];
  }

  /** The next word, 0 to 2^32 - 1. */
  word() {
    if (this.#next === this.#block.length) {
      this.#block = philox(this.#counter, this.#key);
      this.#counter[0] = (this.#counter[0] ?? 0) + 1;
      this.#next = 0;
    }
    return this.#block[this.#next++] ?? 0;
  }

  /** The next number in [0, 1), of two words. */
  uniform() {
    const [x, y] = [this.word(), this.word()];
    return ((x >>> 5) * 2 ** 26 + (y >>> 6)) / 2 ** 53;
  }
}

/** A stream's first normal number. @param {StreamName} name */
export function normalNumber(name) {
  const stream = new Stream(name);
  const [u, v] = [stream.uniform(), stream.uniform()];
  return Math.sqrt(-2 * Math.log(1 - u)) * Math.cos(2 * Math.PI * v);
}

/**
 * Four words of four words of counter and two of key.
 * @param {readonly number[]} counter
 * @param {readonly number[]} key
 */
function philox(counter, key) {
  let [a = 0, b = 0, c = 0, d = 0] = counter;
  let [k = 0, m = 0] = key;
  for (let round = 0; round < ROUNDS; round++) {
    const next = [high(RIGHT, c) ^ b ^ k, Math.imul(RIGHT, c), high(LEFT, a) ^ d ^ m, Math.imul(LEFT, a)];
    [a = 0, b = 0, c = 0, d = 0] = next.map((word) => word >>> 0);
    k = (k + ADD_K) >>> 0;
    m = (m + ADD_M) >>> 0;
  }
  return [a, b, c, d];
}
