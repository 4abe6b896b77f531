// The names closest to one that was not found, for errors that answer with several.
import { distance } from "fastest-levenshtein";

/** Names that are offered. */
const OFFERED = 5;
/** Names beyond this are cut for the comparison, whose cost is the product of the lengths. */
const COMPARED_LENGTH = 200;

/** Up to five of `candidates`, the nearest by edit distance first. */
export function nearestNames(name: string, candidates: readonly string[]): readonly string[] {
  const wanted = name.slice(0, COMPARED_LENGTH).toLowerCase();
  return [...new Set(candidates)]
    .map((candidate) => ({
      candidate,
      edits: distance(wanted, candidate.slice(0, COMPARED_LENGTH).toLowerCase()),
    }))
    .sort((a, b) => a.edits - b.edits)
    .slice(0, OFFERED)
    .map(({ candidate }) => candidate);
}
