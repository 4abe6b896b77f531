// Minimising a smooth function without its second derivatives: L-BFGS, two loops over the last steps
// (Nocedal and Wright, Numerical Optimization, algorithm 7.4), its step lengths found by bisection until they
// meet the weak Wolfe conditions (Lewis and Overton 2013, algorithm 2.6).

/** The value at `point`; writes the gradient there into `gradient`. */
export type Objective = (point: Float64Array, gradient: Float64Array) => number;

export interface Minimum {
  readonly point: Float64Array;
  readonly value: number;
  readonly iterations: number;
  /** Whether the gradient came below the tolerance; else the steps ran out, or became too small to count. */
  readonly isConverged: boolean;
}

/** Steps that are remembered. */
const MEMORY = 10;
const MOST_STEPS = 1_000;
/** Largest number of the gradient at the end; scikit-learn stops at 1e-4. */
const GRADIENT_TOLERANCE = 1e-6;
/** Conditions of Wolfe: share of the slope by which the value must fall, and that may be left of it. */
const [FALL, SLOPE_LEFT] = [1e-4, 0.9];
const MOST_LENGTHS = 40;

interface Remembered {
  /** Difference of two points, of their gradients, and 1 over the product of both. */
  readonly s: Float64Array;
  readonly y: Float64Array;
  readonly inverse: number;
}

/** Goes down from `start`, which is not changed; `afterStep` is awaited after each step. */
export async function minimise(
  objective: Objective,
  start: Float64Array,
  afterStep: () => Promise<void> = async () => undefined,
): Promise<Minimum> {
  let point: Float64Array = start.slice();
  let gradient: Float64Array = new Float64Array(start.length);
  let value = objective(point, gradient);
  const memory: Remembered[] = [];
  for (let iterations = 0; ; iterations++) {
    const isConverged = largestOf(gradient) <= GRADIENT_TOLERANCE;
    if (isConverged || iterations === MOST_STEPS) return { point, value, iterations, isConverged };
    const direction = directionOf(gradient, memory);
    // Of the first step nothing is known about the curve.
    const first = memory.length === 0 ? Math.min(1, 1 / Math.sqrt(product(gradient, gradient))) : 1;
    const step = takeStep(objective, { point, value, gradient, direction }, first);
    if (!step) return { point, value, iterations, isConverged };
    const s = difference(step.point, point);
    const y = difference(step.gradient, gradient);
    const curve = product(s, y);
    if (curve > 0) memory.push({ s, y, inverse: 1 / curve });
    if (memory.length > MEMORY) memory.shift();
    ({ point, value, gradient } = step);
    await afterStep();
  }
}

/** Minus the gradient, turned by the curvature that the remembered steps have seen. */
function directionOf(gradient: Float64Array, memory: readonly Remembered[]): Float64Array {
  const q = gradient.map((number) => -number);
  const shares = memory.map(() => 0);
  for (let i = memory.length - 1; i >= 0; i--) {
    const { s, y, inverse } = memory[i] as Remembered;
    const share = inverse * product(s, q);
    shares[i] = share;
    addTimes(q, y, -share);
  }
  const newest = memory.at(-1);
  if (newest) {
    const scale = 1 / (newest.inverse * product(newest.y, newest.y));
    for (let i = 0; i < q.length; i++) q[i] = (q[i] as number) * scale;
  }
  for (const [i, { s, y, inverse }] of memory.entries())
    addTimes(q, s, (shares[i] as number) - inverse * product(y, q));
  return q;
}

interface Place {
  readonly point: Float64Array;
  readonly value: number;
  readonly gradient: Float64Array;
}

/** The place that a step leads to; undefined where no length lets the value fall any more. */
function takeStep(
  objective: Objective,
  { point, value, gradient, direction }: Place & { readonly direction: Float64Array },
  first: number,
): Place | undefined {
  const slope = product(gradient, direction);
  if (!(slope < 0)) return undefined;
  let [least, most, length] = [0, Infinity, first];
  let lower: Place | undefined;
  for (let tries = 0; tries < MOST_LENGTHS; tries++) {
    const next = point.slice();
    addTimes(next, direction, length);
    const nextGradient = new Float64Array(point.length);
    const found = { point: next, value: objective(next, nextGradient), gradient: nextGradient };
    if (!(found.value <= value + FALL * length * slope)) most = length;
    else {
      lower = found;
      if (product(nextGradient, direction) >= SLOPE_LEFT * slope) return found;
      least = length;
    }
    length = most === Infinity ? 2 * least : (least + most) / 2;
  }
  return lower;
}

function product(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] as number) * (b[i] as number);
  return sum;
}

function addTimes(to: Float64Array, from: Float64Array, factor: number): void {
  for (let i = 0; i < to.length; i++) to[i] = (to[i] as number) + factor * (from[i] as number);
}

function difference(a: Float64Array, b: Float64Array): Float64Array {
  return a.map((number, i) => number - (b[i] as number));
}

function largestOf(numbers: Float64Array): number {
  let largest = 0;
  for (const number of numbers) largest = Math.max(largest, Math.abs(number));
  return largest;
}
