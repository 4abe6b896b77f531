// What a foreign file says of its constants beside their numbers: whether they were parameters of the network
// or numbers of its arithmetic. Importers fill it in; model/trunkTensors.ts judges by it.

/**
 * - weight: of a Keras layer; shared only where the layer is
 * - parameter: the exporter says so (PyTorch's dynamo exporter marks them), but it may have merged equal ones
 * - buffer: the file says that it is none (dynamo marks buffers and lifted constants)
 * - initializer: a stored tensor of which nothing more is known
 * - constant: written among the nodes, or computed from such numbers
 * - made: by the importer, from a layer's configuration or for a formula
 */
export type TensorKind = "made" | "weight" | "parameter" | "buffer" | "initializer" | "constant";

export interface TensorSource {
  readonly kind: TensorKind;
  /** The tensor whose numbers it repeats under a name of its own (Identity of an initializer). */
  readonly aliasOf?: string;
}

/** By the name that the constant has in the graph; a constant without an entry is "made". */
export type TensorSources = ReadonlyMap<string, TensorSource>;

/** Puts the axes of a constant back where a pass has turned it: how its name ends. */
export const TURNED_SUFFIX = ".transposed";

/** The source of the constant of this name; one that a pass has turned is that which it was made from. */
export function sourceOf(sources: TensorSources, name: string): TensorSource {
  const known = sources.get(name);
  if (known) return known;
  const end = name.lastIndexOf(TURNED_SUFFIX);
  const original = end > 0 ? sources.get(name.slice(0, end)) : undefined;
  return original ?? { kind: "made" };
}

/** Names that modules give to what they own: `layer1.0.alpha`. */
export function isPathOfModule(name: string): boolean {
  return /^[A-Za-z_]\w*(\.\w+)+$/.test(name);
}
