// Named random streams over Philox: a stream is a pure function of (seed, purpose, time, index), where time
// is an epoch or a step. Nothing is shared or stored, so any draw can be repeated from anywhere, in any
// order.
import { hashName, philox4x32 } from "../../compiler/codec/philox.ts";

/** The numbers of one stream, in order. */
export class RandomStream {
  readonly #words = new Uint32Array(4);
  #block = 0;
  #used = 4;
  readonly #purposeHash: number;
  readonly #seedLow: number;
  readonly #seedHigh: number;
  readonly #time: number;
  readonly #index: number;

  /** `seed` is an integer from 0 to 2^53 - 1; `time` and `index` are below 2^32. */
  constructor(seed: number, purpose: string, time: number, index = 0) {
    this.#purposeHash = hashName(purpose);
    this.#seedLow = seed >>> 0;
    this.#seedHigh = Math.floor(seed / 2 ** 32);
    this.#time = time;
    this.#index = index;
  }

  /** The next 32 random bits as an integer. */
  nextUint32(): number {
    if (this.#used === 4) {
      const words = this.#words;
      const block = this.#block;
      const index = this.#index;
      const time = this.#time;
      const purposeHash = this.#purposeHash;
      const seedLow = this.#seedLow;
      const seedHigh = this.#seedHigh;
      philox4x32(words, block, index, time, purposeHash, seedLow, seedHigh);
      this.#block++;
      this.#used = 0;
    }
    return this.#words[this.#used++] as number;
  }

  /** Uniform in [0, 1), with 53 random bits. */
  nextUniform(): number {
    const high = this.nextUint32() >>> 5;
    const low = this.nextUint32() >>> 6;
    return (high * 2 ** 26 + low) / 2 ** 53;
  }
}
