// Updates of many small tensors as one: a network has dozens of biases, norms' scales and small kernels of
// one shape, and on a device each operator costs microseconds however little it computes. Their tensors are
// joined one behind the other, updated together and taken apart; the arithmetic of each number is the same.
import type { GraphBuilder } from "../ir/builder.ts";
import { concreteDim, elementCount, type Value } from "../ir/types.ts";
import { isDecayed, type Parameter } from "../model/parameters.ts";
import { MOST_JOINED } from "../ops/joining.ts";

/**
 * Numbers of a tensor that is joined with others, at most: joining and parting move some 40 bytes a number,
 * of so many in no more time than the launches that are saved take.
 */
const MOST_NUMBERS = 2 ** 18;

/** Parameters that are updated together, in the order of their first ones; each alone unless `joins`. */
export function updateGroups(parameters: readonly Parameter[], joins: boolean): readonly Parameter[][] {
  return groupsOf(parameters, (each) => (joins ? kindOfParameter(each) : undefined));
}

/**
 * Tensors of one kind together, at most MOST_JOINED, in the order of their first ones; each of no kind alone.
 * Tensors of a kind have one shape.
 */
export function groupsOf<T>(
  tensors: readonly T[],
  kindOf: (tensor: T) => string | undefined,
): readonly T[][] {
  const groups: T[][] = [];
  const open = new Map<string, T[]>();
  for (const tensor of tensors) {
    const kind = kindOf(tensor);
    const group = kind === undefined ? undefined : open.get(kind);
    if (group && group.length < MOST_JOINED) {
      group.push(tensor);
      continue;
    }
    const begun = [tensor];
    groups.push(begun);
    if (kind !== undefined) open.set(kind, begun);
  }
  return groups;
}

/** A parameter's shape and what the optimizer does to it; undefined for what is updated alone. */
function kindOfParameter(parameter: Parameter): string | undefined {
  // A log variance depends on whether its task is present.
  if (parameter.role === "log_variance" || elementCount(parameter.shape) > MOST_NUMBERS) return undefined;
  return `${parameter.shape} ${isDecayed(parameter) ? "decayed" : ""}`;
}

/** Tensors of one shape one behind the other along their first axis; a single one as it is. */
export function join(b: GraphBuilder, values: readonly Value[]): Value {
  return values.length === 1 && values[0] ? values[0] : b.emit("Concat", values, { axis: 0 });
}

/** What `join` joined of `count` tensors, apart again. */
export function part(b: GraphBuilder, joined: Value, count: number): readonly Value[] {
  if (count === 1) return [joined];
  const length = concreteDim(joined.type.shape[0] ?? 0) / count;
  return b.emitAll("Split", [joined, b.ints(new Array<number>(count).fill(length))], { axis: 0 }, count);
}
