// The state in a run's newest checkpoint, and how far one is from another.
import { loadNewestCheckpoint } from "../../runtime/runs/checkpoints.ts";

/** State tensors by name: float32, or whole numbers. */
export type StateNumbers = ReadonlyMap<string, Float32Array | BigInt64Array>;

/** The state of the newest checkpoint of a run. */
export async function stateIn(logdir: string): Promise<StateNumbers> {
  const { tensors } = await loadNewestCheckpoint(logdir);
  return new Map(
    [...tensors].map(([name, { dtype, data }]) => {
      const bytes = Uint8Array.from(data);
      return [name, dtype === "float32" ? new Float32Array(bytes.buffer) : new BigInt64Array(bytes.buffer)];
    }),
  );
}

/**
 * Largest distance of a tensor from that of the same name, of its norm; infinite where names, sizes or whole
 * numbers differ, or a number is not finite.
 */
export function largestDistance(found: StateNumbers, wanted: StateNumbers): number {
  if ([...found.keys()].join() !== [...wanted.keys()].join()) return Number.POSITIVE_INFINITY;
  return Math.max(...[...wanted].map(([name, values]) => distanceOf(found.get(name)!, values)));
}

function distanceOf(found: Float32Array | BigInt64Array, wanted: Float32Array | BigInt64Array): number {
  if (found instanceof BigInt64Array || wanted instanceof BigInt64Array)
    return found.join() === wanted.join() ? 0 : Number.POSITIVE_INFINITY;
  let [squares, norm] = [0, 0];
  for (const [i, value] of wanted.entries()) {
    squares += (value - (found[i] ?? Number.NaN)) ** 2;
    norm += value ** 2;
  }
  if (squares === 0) return 0;
  const distance = Math.sqrt(squares / norm);
  return Number.isNaN(distance) ? Number.POSITIVE_INFINITY : distance;
}
