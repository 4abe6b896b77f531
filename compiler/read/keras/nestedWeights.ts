// The arrays of models inside models in a whole-model .h5: one list for each nested model, in Keras's order,
// under names that may be those of other layers (exchanged, or with slashes). Keras deals them out by order
// alone: first what is trainable of all its layers, then the rest. In: the model, what its layers declare,
// and the lists; out: the arrays of each layer by its path, where the lists fit.
import { innerLayers, type KerasLayer, type KerasModel } from "./kerasConfig.ts";
import type { KerasWeights, NamedArray, StoredArray, WeightDeclaration } from "./kerasWeights.ts";

type Lists = ReadonlyMap<string, readonly NamedArray[]>;
type Declared = ReadonlyMap<string, readonly WeightDeclaration[]>;

/** Weights that no gradient changes, by Keras's names. */
const STATISTICS: readonly string[] = ["moving_mean", "moving_variance", "mean", "variance", "count"];

/** Whether a whole-model .h5 has nested models, whose lists must be dealt out. */
export function hasNestedModels(model: KerasModel): boolean {
  return [...model.layers.values()].some(({ model: inner }) => inner !== undefined);
}

/**
 * Deals out the lists of nested models. A list that does not fit by order (another count, or other shapes)
 * is left to be searched by names.
 */
export function dealNested(model: KerasModel, layers: Lists, declared: Declared): KerasWeights {
  const nested = new Map<string, readonly StoredArray[]>();
  for (const layer of model.layers.values()) {
    if (!layer.model) continue;
    const dealt = deal(layer, layers.get(layer.name) ?? [], declared);
    for (const [path, arrays] of dealt ?? []) nested.set(path, arrays);
  }
  return { kind: "dealt", layers, nested };
}

/** A weight's place: of which layer, and the how-manieth there. */
interface Slot {
  readonly path: string;
  readonly index: number;
  readonly declaration: WeightDeclaration;
}

function deal(
  { name, model, config }: KerasLayer,
  list: readonly NamedArray[],
  declared: Declared,
): Map<string, StoredArray[]> | undefined {
  if (!model) return undefined;
  const slots: { readonly slot: Slot; readonly isTrained: boolean }[] = [];
  const isFrozen = config.trainable === false;
  for (const { layer, path } of innerLayers(model, name))
    for (const [index, declaration] of (declared.get(path) ?? []).entries()) {
      const isTrained = !isFrozen && layer.config.trainable !== false;
      const isStatistic = declaration.names.some((each) => STATISTICS.includes(each));
      slots.push({ slot: { path, index, declaration }, isTrained: isTrained && !isStatistic });
    }
  const order = [true, false].flatMap((wanted) => slots.filter(({ isTrained }) => isTrained === wanted));
  const fits = order.every(({ slot }, i) => String(slot.declaration.shape) === String(list[i]?.array.shape));
  if (order.length !== list.length || !fits) return undefined;
  const dealt = new Map<string, StoredArray[]>();
  order.forEach(({ slot: { path, index } }, i) => {
    const own = dealt.get(path) ?? [];
    const array = list[i]?.array;
    if (array) own[index] = array;
    dealt.set(path, own);
  });
  return dealt;
}
