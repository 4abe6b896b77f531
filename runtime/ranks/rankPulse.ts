// What of a rank goes on, in memory that its threads share: a number that counts up with each image that is
// read and with all that is begun or done of what all ranks do together, and what the rank is at. Its
// heartbeat thread tells rank 0 of it, where stalls are found by it (stallWatch.ts).

/** Words of the memory. */
const MOVES = 0;
/** Collective calls that wait on the ONNX Runtime thread. */
const MEETING = 1;
/** Replies of others that the main thread waits for, and has nothing else to do. */
const ASKING = 2;
/** Messages of rank 0 that are being carried out. */
const TASKS = 3;
const WORDS = 4;

/** Memory for all sides. */
export function freshPulse(): SharedArrayBuffer {
  return new SharedArrayBuffer(WORDS * Int32Array.BYTES_PER_ELEMENT);
}

export class RankPulse {
  readonly #words: Int32Array;

  constructor(pulse: SharedArrayBuffer = freshPulse()) {
    this.#words = new Int32Array(pulse);
  }

  /** A part of what it is at is done. */
  move(): void {
    Atomics.add(this.#words, MOVES, 1);
  }

  /** Waits in `work`, a collective call, for other ranks. */
  meeting<T>(work: () => T): T {
    this.#add(MEETING, 1);
    try {
      return work();
    } finally {
      this.#add(MEETING, -1);
    }
  }

  /** Waits for the others, whose replies are awaited. */
  async asking<T>(replies: Promise<T>): Promise<T> {
    return await this.#during(ASKING, replies);
  }

  /** Carries a message of rank 0 out. */
  async task<T>(work: () => T | Promise<T>): Promise<T> {
    return await this.#during(TASKS, (async () => await work())());
  }

  /** How often it has gone on; wraps. */
  get moves(): number {
    return Atomics.load(this.#words, MOVES);
  }

  /** Whether it waits for other ranks. */
  get isWaiting(): boolean {
    return Atomics.load(this.#words, MEETING) + Atomics.load(this.#words, ASKING) > 0;
  }

  /** Whether it was told something that it has not done yet. */
  get hasTasks(): boolean {
    return Atomics.load(this.#words, TASKS) > 0;
  }

  async #during<T>(word: number, work: Promise<T>): Promise<T> {
    this.#add(word, 1);
    try {
      return await work;
    } finally {
      this.#add(word, -1);
    }
  }

  #add(word: number, change: number): void {
    Atomics.add(this.#words, word, change);
    this.move();
  }
}
