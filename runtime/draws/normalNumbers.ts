// Normal numbers of the named random streams: for what the host draws of a step.
import { RandomStream } from "./randomStream.ts";

/**
 * A number of mean 0 and deviation 1 of the stream (seed, purpose, time, index), by Box and Muller of its
 * first two uniform numbers: sqrt(-2 ln(1 - u)) cos(2 pi v), whose logarithm is of a number above 0.
 */
export function normalNumber(seed: number, purpose: string, time: number, index: number): number {
  const stream = new RandomStream(seed, purpose, time, index);
  const [u, v] = [stream.nextUniform(), stream.nextUniform()];
  return Math.sqrt(-2 * Math.log(1 - u)) * Math.cos(2 * Math.PI * v);
}
