// Dropout masks, drawn by the host because training graphs hold no random operators. A mask is a pure
// function of (seed, layer, step): a resumed run draws the same ones.
import { InternalError } from "../../compiler/diagnostics.ts";
import type { MaskRole } from "../../compiler/ir/roles.ts";
import { RandomStream } from "./randomStream.ts";

/**
 * Mask of a spatial dropout: `shape` is [N, C, 1, 1], values 0 (with probability `rate`) or 1 / (1 - rate),
 * float32. Drawn in row-major order, so the mask of a micro-batch is a slice of the whole batch's. `stream`
 * names the layer's random numbers.
 */
export function drawDropoutMask(
  seed: number,
  step: number,
  shape: readonly number[],
  { rate, stream }: Pick<MaskRole, "rate" | "stream">,
): Float32Array {
  if (!(rate >= 0 && rate < 1)) throw new InternalError(`rate ${rate} of ${stream}`);
  const random = new RandomStream(seed, stream, step);
  const mask = new Float32Array(shape.reduce((product, dim) => product * dim, 1));
  const kept = 1 / (1 - rate);
  const threshold = rate * 2 ** 32;
  for (let place = 0; place < mask.length; place++) mask[place] = random.nextUint32() < threshold ? 0 : kept;
  return mask;
}
