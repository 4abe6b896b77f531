// Parts of a Keras model: what a named layer needs, and what lies before layers that cannot be read. Layers
// outside of a part are not judged: a head may do what it likes. In: a model; out: the same kind of model.
import type { TensorReference } from "./kerasCalls.ts";
import type { KerasLayer, KerasModel } from "./kerasConfig.ts";

/** The model without layers that its outputs do not need, also inside of models. */
export function neededPart(model: KerasModel): KerasModel {
  const needed = new Set(model.inputs.map(({ layer }) => layer));
  const pending = model.outputs.map(({ layer }) => layer);
  for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
    if (needed.has(name)) continue;
    needed.add(name);
    for (const { layer } of referencesOf(model.layers.get(name))) pending.push(layer);
  }
  const layers = [...model.layers]
    .filter(([name]) => needed.has(name))
    .map(
      ([name, layer]) => [name, layer.model ? { ...layer, model: neededPart(layer.model) } : layer] as const,
    );
  return { ...model, layers: new Map(layers) };
}

/**
 * What the layer `asked` needs: a layer's path (`outer/inner`), or the name of a value that begins with one.
 * The whole model where no layer is meant.
 */
export function partUpTo(model: KerasModel, asked: string): KerasModel {
  // Names may hold slashes themselves: the longest that fits is meant.
  const [layer] = [...model.layers.values()]
    .filter(({ name, calls }) => calls.length > 0 && (asked === name || asked.startsWith(`${name}/`)))
    .sort((a, b) => b.name.length - a.name.length);
  if (!layer) return model;
  const outputs = layer.calls.map((_, node): TensorReference => ({ layer: layer.name, node, tensor: 0 }));
  const rest = asked.slice(layer.name.length + 1);
  const inner = layer.model && rest !== "" ? { ...layer, model: partUpTo(layer.model, rest) } : layer;
  return neededPart({ ...model, layers: new Map([...model.layers, [layer.name, inner]]), outputs });
}

/** A model cut off before some of its layers. */
export interface PartBefore {
  readonly model: KerasModel;
  /** What the layers that are left out would have read. */
  readonly ends: readonly TensorReference[];
}

/** The part that does not depend on the layers named; undefined where nothing is left. */
export function partBefore(model: KerasModel, names: ReadonlySet<string>): PartBefore | undefined {
  const behind = new Set(names);
  let before = -1;
  while (behind.size !== before) {
    before = behind.size;
    for (const layer of model.layers.values())
      if (referencesOf(layer).some((reference) => behind.has(reference.layer))) behind.add(layer.name);
  }
  const ends = new Map<string, TensorReference>();
  for (const name of behind)
    for (const reference of referencesOf(model.layers.get(name)))
      if (!behind.has(reference.layer)) ends.set(JSON.stringify(reference), reference);
  const kept = model.outputs.filter(({ layer }) => !behind.has(layer));
  const outputs = [...kept, ...ends.values()];
  return outputs.length === 0
    ? undefined
    : { model: neededPart({ ...model, outputs }), ends: [...ends.values()] };
}

function referencesOf(layer: KerasLayer | undefined): TensorReference[] {
  const operands = layer?.calls.flatMap((call) => call.operands) ?? [];
  return operands.filter((operand) => typeof operand !== "number");
}
