// IEEE 754 half precision (binary16): 1 sign bit, 5 exponent bits (bias 15), 10 fraction bits. Numbers <->
// their 16 bits, for constants of graphs in mixed precision and for models that are stored in half.

const LEAST_EXPONENT = -14;
/** From here on the nearest half is infinite: 65504 is the largest, 65536 would be the next. */
const OVERFLOW = 65_520;

/** The number that 16 bits stand for. */
export function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** The bits of the half nearest to `x`, ties to even; beyond 65504 infinity. */
export function numberToHalf(x: number): number {
  if (Number.isNaN(x)) return 0x7e00;
  const sign = x < 0 || Object.is(x, -0) ? 0x8000 : 0;
  const size = Math.abs(x);
  if (size >= OVERFLOW) return sign | 0x7c00;
  const exponent = Math.max(exponentOf(size), LEAST_EXPONENT);
  // A carry out of the fraction moves into the exponent, as it should.
  const fraction = roundToEven(size / 2 ** (exponent - 10));
  return sign | (((exponent - LEAST_EXPONENT) << 10) + fraction);
}

/** The largest e with 2^e <= x; below every exponent of a half where x is 0. */
function exponentOf(x: number): number {
  if (x === 0) return LEAST_EXPONENT;
  const exponent = Math.floor(Math.log2(x));
  // The logarithm may be rounded up to the next whole number.
  return 2 ** exponent > x ? exponent - 1 : exponent;
}

function roundToEven(x: number): number {
  const below = Math.floor(x);
  const rest = x - below;
  if (rest !== 0.5) return Math.round(x);
  return below % 2 === 0 ? below : below + 1;
}
