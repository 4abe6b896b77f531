// The weights of zooms, stated once for any arithmetic: the graph computes with tensors, the loader with
// float32 numbers, and both come to the same weights to the bit.

/** TensorFlow looks its cubic weights up in a table of this many steps a pixel. */
export const TABLE_STEPS = 1024;

/** What the formulas need: float32 arithmetic on tensors or on numbers. */
export interface Arithmetic<T> {
  readonly constant: (value: number) => T;
  readonly add: (a: T, b: T) => T;
  readonly sub: (a: T, b: T) => T;
  readonly mul: (a: T, b: T) => T;
  readonly floor: (a: T) => T;
  /** To the nearest integer, halves to the even one. */
  readonly round: (a: T) => T;
  /** `yes` where a < b, else `no`. */
  readonly whereLess: (a: T, b: T, yes: T, no: T) => T;
}

/** Arithmetic of float32 numbers. */
export const FLOAT32: Arithmetic<number> = {
  constant: Math.fround,
  add: (a, b) => Math.fround(a + b),
  sub: (a, b) => Math.fround(a - b),
  mul: (a, b) => Math.fround(a * b),
  floor: Math.floor,
  round: (a) => {
    const below = Math.floor(a);
    const isUp = a - below === 0.5 ? below % 2 !== 0 : a - below > 0.5;
    return isUp ? below + 1 : below;
  },
  whereLess: (a, b, yes, no) => (a < b ? yes : no),
};

/**
 * Where pixel `target` of a resize of `length` pixels to `size` is read (half-pixel centres): the pixel
 * before, and the way from it in steps of TABLE_STEPS.
 */
export function cubicPlace<T>(m: Arithmetic<T>, target: T, length: T, size: number): { whole: T; steps: T } {
  const centre = m.add(target, m.constant(0.5));
  const exact = m.sub(m.mul(centre, m.mul(length, m.constant(1 / size))), m.constant(0.5));
  const whole = m.floor(exact);
  return { whole, steps: m.round(m.mul(m.sub(exact, whole), m.constant(TABLE_STEPS))) };
}

/** Keys's cubic with A = -0.5 of a distance d >= 0. */
export function cubicWeight<T>(m: Arithmetic<T>, distance: T): T {
  const square = m.mul(distance, distance);
  const times = (a: T, factor: number): T => m.mul(a, m.constant(factor));
  // d < 1: 1.5 d^3 - 2.5 d^2 + 1; d < 2: -0.5 d^3 + 2.5 d^2 - 4 d + 2
  const near = m.add(m.mul(square, m.sub(times(distance, 1.5), m.constant(2.5))), m.constant(1));
  const middle = m.mul(square, m.sub(m.constant(2.5), times(distance, 0.5)));
  const far = m.add(m.sub(middle, times(distance, 4)), m.constant(2));
  const beyondOne = m.whereLess(distance, m.constant(2), far, m.constant(0));
  return m.whereLess(distance, m.constant(1), near, beyondOne);
}

/** Where pixel `target` is read when an axis of `size` shows [margin, 1 - margin] of itself, ends on ends. */
export function centrePlace<T>(m: Arithmetic<T>, target: T, margin: T, size: number): T {
  const kept = m.sub(m.constant(1), m.mul(margin, m.constant(2)));
  const step = m.mul(kept, m.constant((size - 1) / Math.max(size - 1, 1)));
  return m.add(m.mul(margin, m.constant(size - 1)), m.mul(target, step));
}
