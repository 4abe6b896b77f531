// Updates of many small tensors as one: a network has dozens of biases and of norms' scales of one length,
// and on a device each operator costs microseconds however little it computes. Their tensors are joined one
// behind the other, updated together and taken apart; the arithmetic of each number stays the same.
import type { GraphBuilder } from "../ir/builder.ts";
import { concreteDim, type Value } from "../ir/types.ts";
import { isDecayed, type Parameter } from "../model/parameters.ts";
import { MOST_JOINED } from "../ops/joining.ts";

/** Parameters that are updated together, in the order of their first ones; each alone unless `joins`. */
export function updateGroups(parameters: readonly Parameter[], joins: boolean): readonly Parameter[][] {
  if (!joins) return parameters.map((parameter) => [parameter]);
  const groups: Parameter[][] = [];
  const open = new Map<number, Parameter[]>();
  for (const parameter of parameters) {
    const length = isJoined(parameter) ? parameter.shape[0] : undefined;
    const group = length === undefined ? undefined : open.get(length);
    if (group && group.length < MOST_JOINED) {
      group.push(parameter);
      continue;
    }
    const begun = [parameter];
    groups.push(begun);
    if (length !== undefined) open.set(length, begun);
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

/** What `join` joined, apart again. */
export function part(b: GraphBuilder, joined: Value, group: readonly Parameter[]): readonly Value[] {
  if (group.length === 1) return [joined];
  const length = concreteDim(joined.type.shape[0] ?? 0) / group.length;
  const sizes = b.ints(group.map(() => length));
  return b.emitAll("Split", [joined, sizes], { axis: 0 }, group.length);
}
