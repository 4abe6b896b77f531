// The arrays of a Keras file and how they are found: the whole-model .h5 keeps them by the names of layers
// and variables, .keras by classes and positions ("layers/conv2d_1/vars/0"). In: a layer's place and the
// weights that its class declares; out: those arrays, their shapes checked. A fault names the layer.
import { type KerasPlace, refuse } from "./layerConfig.ts";

/** One weight as the layer's class declares it. */
export interface WeightDeclaration {
  /** Its name in Keras 3, which ends the name of the constant; then those of older versions. */
  readonly names: readonly [string, ...string[]];
  /** As Keras stores it. */
  readonly shape: readonly number[];
  /** Axes in the order wanted, then the shape wanted; as stored by default. */
  readonly perm?: readonly number[];
  readonly to?: readonly number[];
}

/** One array of the file, row-major. */
export interface StoredArray {
  readonly shape: readonly number[];
  readonly data: Float32Array | Float64Array;
}

/** An array of an .h5 model under the name that Keras gave the variable ("block1/conv/kernel:0"). */
export interface NamedArray {
  readonly name: string;
  readonly array: StoredArray;
}

export type KerasWeights =
  /**
   * Whole-model .h5: top-level layer -> its variables (for a nested model: those of all its layers), in
   * order.
   */
  | { readonly kind: "by-name"; readonly layers: ReadonlyMap<string, readonly NamedArray[]> }
  /** The same with the arrays of nested models dealt out, by the path of the layer. */
  | {
      readonly kind: "dealt";
      readonly layers: ReadonlyMap<string, readonly NamedArray[]>;
      readonly nested: ReadonlyMap<string, readonly StoredArray[]>;
    }
  /** Of no file: tells what layers declare, and gives them no numbers. */
  | { readonly kind: "declarations"; readonly declared: Map<string, readonly WeightDeclaration[]> }
  /** .keras: path in model.weights.h5 -> array. */
  | { readonly kind: "by-path"; readonly arrays: ReadonlyMap<string, StoredArray> };

/** Where a layer's weights are. */
export interface WeightPlace extends KerasPlace {
  /** Names of the models that the layer is nested in (without the outermost), then its own. */
  readonly names: readonly string[];
  /** Its path in a .keras file: `layers/sequential/layers/conv2d_1`. */
  readonly path: string;
}

/** One array for each declaration; E_MODEL_PARSE when one is missing, of another shape, or left over. */
export function findWeights(
  weights: KerasWeights,
  place: WeightPlace,
  declarations: readonly WeightDeclaration[],
): readonly StoredArray[] {
  if (weights.kind === "declarations") {
    weights.declared.set(place.layer, declarations);
    return declarations.map(({ shape }) => emptyArray(shape));
  }
  const found =
    (weights.kind === "dealt" ? weights.nested.get(place.layer) : undefined) ??
    (weights.kind === "by-path"
      ? findByPath(weights.arrays, place, declarations)
      : findByName(weights.layers, place, declarations));
  return declarations.map(({ names: [name], shape }, i) => {
    const array = found[i] ?? refuse("E_MODEL_PARSE", place, `the file has no weight "${name}" for it`);
    if (String(array.shape) !== String(shape))
      refuse("E_MODEL_PARSE", place, `its weight "${name}" is [${array.shape}], expected [${shape}]`);
    return array;
  });
}

/** Zeros where a rule may compute with them; a large array has its shape alone. */
function emptyArray(shape: readonly number[]): StoredArray {
  const count = shape.reduce((product, size) => product * size, 1);
  return { shape, data: new Float32Array(count <= MAX_COMPUTED ? count : 0) };
}

/** Elements of arrays that rules compute with: means and variances by channel. */
const MAX_COMPUTED = 1 << 14;

function findByPath(
  arrays: ReadonlyMap<string, StoredArray>,
  place: WeightPlace,
  declarations: readonly WeightDeclaration[],
): (StoredArray | undefined)[] {
  const at = (i: number): StoredArray | undefined => arrays.get(`${place.path}/vars/${i}`);
  if (at(declarations.length)) refuseExtra(place, declarations.length);
  return declarations.map((_, i) => at(i));
}

function findByName(
  layers: ReadonlyMap<string, readonly NamedArray[]>,
  place: WeightPlace,
  declarations: readonly WeightDeclaration[],
): (StoredArray | undefined)[] {
  const [top = "", ...inner] = place.names;
  const all = (layers.get(top) ?? []).map(({ name, array }) => ({
    parts: name.replace(/:\d+$/, "").split("/"),
    array,
  }));
  const own = inner.at(-1);
  // Inside a nested model a variable is its layer's by the name before its own; models around it settle
  // what is left.
  let mine = own === undefined ? all : all.filter(({ parts }) => parts.at(-2) === own);
  if (own !== undefined && mine.length > declarations.length)
    mine = mine.filter(({ parts }) => inner.every((name) => parts.includes(name)));
  // A model further in may have a layer of the same name: its paths are longer.
  const shortest = Math.min(...mine.map(({ parts }) => parts.length));
  if (mine.length > declarations.length) mine = mine.filter(({ parts }) => parts.length === shortest);
  if (mine.length > declarations.length) refuseExtra(place, declarations.length);
  const named = declarations.map(
    ({ names }) => mine.find(({ parts }) => names.includes(parts.at(-1) ?? ""))?.array,
  );
  if (named.every((array) => array !== undefined)) return named;
  // Variables without a name of their own are numbered over the whole model ("variable_17"): order counts.
  const isUnnamed =
    mine.length === declarations.length && mine.every(({ parts }) => UNNAMED.test(parts.at(-1) ?? ""));
  return isUnnamed ? mine.map(({ array }) => array) : named;
}

const UNNAMED = /^variable(_\d+)?$/i;

function refuseExtra(place: WeightPlace, expected: number): never {
  return refuse(
    "E_MODEL_PARSE",
    place,
    `the file has more weights for it than the ${expected} that it declares`,
  );
}

/** `array` with its axes in the order `perm`. */
export function permuteArray({ shape, data }: StoredArray, perm: readonly number[]): StoredArray {
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, size) => product * size, 1));
  const to = perm.map((axis) => shape[axis] ?? 1);
  const steps = perm.map((axis) => strides[axis] ?? 1);
  const result = data instanceof Float32Array ? new Float32Array(data.length) : new Float64Array(data.length);
  const [run, step] = [to.at(-1) ?? 1, steps.at(-1) ?? 0];
  const index = to.map(() => 0);
  let from = 0;
  for (let at = 0; at < result.length; at += run) {
    for (let i = 0; i < run; i++) result[at + i] = data[from + i * step] ?? 0;
    // To the next run: an odometer over the other axes, the last wheel first.
    for (let axis = to.length - 2; axis >= 0; axis--) {
      const [size, stride] = [to[axis] ?? 1, steps[axis] ?? 0];
      const next = (index[axis] ?? 0) + 1;
      from += stride;
      if (next < size) {
        index[axis] = next;
        break;
      }
      index[axis] = 0;
      from -= size * stride;
    }
  }
  return { shape: to, data: result };
}
