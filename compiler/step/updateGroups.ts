// Updates of many small tensors as one: a network has dozens of biases and of norms' scales of one length,
// and on a device each operator costs microseconds however little it computes. Their tensors are joined one
// behind the other, updated together and taken apart; the arithmetic of each number stays the same.
import type { GraphBuilder } from "../ir/builder.ts";
import { concreteDim, type Value } from "../ir/types.ts";
import { isDecayed, type Parameter } from "../model/parameters.ts";
import { MOST_JOINED } from "../ops/joining.ts";

/** Parameters that are updated together, in the order of their first ones; each alone unless `joins`. */
export function updateGroups(parameters: readonly Parameter[], joins: boolean): readonly Parameter[][] {
  return groupVectors(parameters, (each) => (joins && isJoined(each) ? each.shape[0] : undefined));
}

/**
 * Vectors of one kind together, at most MOST_JOINED, in the order of their first ones; each of no kind alone.
 * Vectors of a kind have one length.
 */
export function groupVectors<T>(
  vectors: readonly T[],
  kindOf: (vector: T) => string | number | undefined,
): readonly T[][] {
  const groups: T[][] = [];
  const open = new Map<string | number, T[]>();
  for (const vector of vectors) {
    const kind = kindOf(vector);
    const group = kind === undefined ? undefined : open.get(kind);
    if (group && group.length < MOST_JOINED) {
      group.push(vector);
      continue;
    }
    const begun = [vector];
    groups.push(begun);
    if (kind !== undefined) open.set(kind, begun);
  }
  return groups;
}

/** Vectors that nothing but the optimizer pulls on: no decay, no presence of a task. */
function isJoined(parameter: Parameter): boolean {
  return parameter.shape.length === 1 && !isDecayed(parameter) && parameter.role !== "log_variance";
}

/** The vectors of a group one behind the other; a single value as it is. */
export function join(b: GraphBuilder, values: readonly Value[]): Value {
  return values.length === 1 && values[0] ? values[0] : b.emit("Concat", values, { axis: 0 });
}

/** What `join` joined of `count` vectors, apart again. */
export function part(b: GraphBuilder, joined: Value, count: number): readonly Value[] {
  if (count === 1) return [joined];
  const length = concreteDim(joined.type.shape[0] ?? 0) / count;
  return b.emitAll("Split", [joined, b.ints(new Array<number>(count).fill(length))], { axis: 0 }, count);
}
