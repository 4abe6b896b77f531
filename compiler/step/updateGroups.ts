// Updates of many small tensors as one: a network has dozens of biases, norms' scales and small kernels of one
// size, and on a device each operator costs microseconds however little it computes. Their numbers are joined
// one behind the other, updated together and taken apart; the arithmetic of each number stays the same.
import type { GraphBuilder } from "../ir/builder.ts";
import { elementCount, sameShape, type Value } from "../ir/types.ts";
import { isDecayed, type Parameter } from "../model/parameters.ts";
import { MOST_JOINED } from "../ops/joining.ts";

/**
 * Numbers of a tensor that is joined with others, at most. Joining and parting move some 40 bytes a number;
 * 1 MB (of float32) more for each of an update's ten tensors takes no longer than the launches that are saved.
 */
const MOST_NUMBERS = 2 ** 18;

/** Parameters that are updated together, in the order of their first ones; each alone unless `joins`. */
export function updateGroups(parameters: readonly Parameter[], joins: boolean): readonly Parameter[][] {
  return groupsOf(parameters, (each) => (joins ? kindOfParameter(each) : undefined));
}

/**
 * Tensors of one kind together, at most MOST_JOINED, in the order of their first ones; each of no kind alone.
 * Tensors of a kind have as many numbers.
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

/** What the optimizer does to a parameter and how many numbers it has; undefined for what is updated alone. */
function kindOfParameter(parameter: Parameter): string | undefined {
  const numbers = elementCount(parameter.shape);
  // A log variance depends on whether its task is present.
  if (parameter.role === "log_variance" || numbers > MOST_NUMBERS) return undefined;
  return `${numbers} ${isDecayed(parameter) ? "decayed" : ""}`;
}

/** The numbers of tensors one behind the other; a single tensor as it is. */
export function join(b: GraphBuilder, values: readonly Value[]): Value {
  if (values.length === 1 && values[0]) return values[0];
  const flat = values.map((value) => shaped(b, value, [elementCount(value.type.shape)]));
  return b.emit("Concat", flat, { axis: 0 });
}

/** What `join` joined, apart again, in these shapes of one size. */
export function part(
  b: GraphBuilder,
  joined: Value,
  shapes: readonly (readonly number[])[],
): readonly Value[] {
  if (shapes.length === 1) return [joined];
  const sizes = b.ints(shapes.map(elementCount));
  const flat = b.emitAll("Split", [joined, sizes], { axis: 0 }, shapes.length);
  return flat.map((value, i) => shaped(b, value, shapes[i] ?? []));
}

function shaped(b: GraphBuilder, value: Value, shape: readonly number[]): Value {
  return sameShape(value.type.shape, shape) ? value : b.reshape(value, shape);
}
