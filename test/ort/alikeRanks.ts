// Other processes that have what this one has: for graphs that ask them, in tests of one process.
import { viewMemory } from "../../runtime/ort/ffi.ts";
import type { OrtLibrary } from "../../runtime/ort/library.ts";
import { type RankExchange, RankOperators } from "../../runtime/ort/rankOperators.ts";

/** Gives every process the numbers of this one; `peers` may change those of the others, by rank. */
export function alikeExchange(
  size: number,
  peers: (own: Float32Array, rank: number) => Float32Array = (own) => own,
): RankExchange {
  return {
    size,
    allGather: (from, to, count) => {
      const own = new Float32Array(viewMemory(from, 4 * count)).slice();
      const all = new Float32Array(viewMemory(to, 4 * count * size));
      for (let rank = 0; rank < size; rank++) all.set(peers(own, rank), rank * count);
    },
  };
}

/** Operators between `size` such processes. */
export function alikeRanks(library: OrtLibrary, size: number): RankOperators {
  return new RankOperators(library, alikeExchange(size));
}
