// Compares arrays of numbers within a tolerance relative to the largest expected value of the whole array.
// Strict where lax checks hide faults: lengths, non-finite numbers, all-zero expectations, and tolerances
// that would pass anything.

export interface Closeness {
  /**
   * Largest |actual - expected| allowed, as a part of the largest |expected|; a constant of
   * test/tolerances.ts.
   */
  readonly tolerance: number;
  /** What is compared, for the message. */
  readonly what: string;
  /** Zeros may be expected all through; zeros must then be found. */
  readonly allowZero?: boolean;
}

/** The largest tolerance that can still tell two results apart. */
const LARGEST_TOLERANCE = 0.05;

/** Throws an Error that says where and how far `actual` is from `expected`. */
export function assertClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  { tolerance, what, allowZero = false }: Closeness,
): void {
  if (!(tolerance >= 0 && tolerance <= LARGEST_TOLERANCE)) throw new Error(`${what}: tolerance ${tolerance}`);
  if (actual.length !== expected.length)
    throw new Error(`${what}: ${actual.length} numbers where ${expected.length} are expected`);
  let scale = 0;
  let worst = { at: 0, difference: 0 };
  for (let at = 0; at < expected.length; at++) {
    const [found, wanted] = [Number(actual[at]), Number(expected[at])];
    if (!Number.isFinite(wanted)) throw new Error(`${what}: ${wanted} is expected at ${at}`);
    if (!Number.isFinite(found)) throw new Error(`${what}: ${found} at ${at}, expected ${wanted}`);
    scale = Math.max(scale, Math.abs(wanted));
    const difference = Math.abs(found - wanted);
    if (difference > worst.difference) worst = { at, difference };
  }
  if (scale === 0 && expected.length > 0 && !allowZero) throw new Error(`${what}: only zeros are expected`);
  if (worst.difference > tolerance * scale)
    throw new Error(
      `${what}: ${actual[worst.at]} at ${worst.at}, expected ${expected[worst.at]}: ` +
        `off by ${(worst.difference / scale).toExponential(2)} of the largest, allowed ${tolerance}`,
    );
}
