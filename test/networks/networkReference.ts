// What export_networks.py wrote beside an exported network: images, features and gradients by PyTorch in
// float64, and which of PyTorch's numbers those of the file's tensors are.
import { readFileSync } from "node:fs";
import { decodeSafetensors, type StoredTensor } from "../../compiler/codec/safetensors.ts";
import type { NDArray } from "../../compiler/ir/op.ts";

export interface NetworkFacts {
  readonly network: string;
  /** How it was exported: a key of FORMS in the script. */
  readonly form: string;
  /** Height and width of the images in pixels. */
  readonly side: number;
  /** Images in the batch that the exporter was given. */
  readonly batch: number;
  /** Largest distance of a gradient by PyTorch's own float32 from float64, relative to its norm. */
  readonly gap: number;
  /** Names, shapes, and whether the features depend on them, in the order of `gradient`. */
  readonly parameters: readonly (readonly [name: string, shape: readonly number[], isNeeded: boolean])[];
  readonly transformer: boolean;
  /** Parameters that the exporter worked into others: scales of batch norms, biases before them. */
  readonly folded: readonly string[];
}

export interface NetworkReference {
  readonly facts: NetworkFacts;
  readonly image: NDArray;
  readonly cotangent: NDArray;
  readonly features: NDArray;
  /** Of sum(features * cotangent), by all numbers of all parameters, one after the other. */
  readonly gradient: Float64Array;
  /** Places in `gradient` of the numbers of a tensor of the file; undefined where it was no parameter. */
  readonly placesOf: (name: string) => Int32Array | undefined;
  /** By what the exporter multiplied those numbers; undefined: by nothing. */
  readonly factorsOf: (name: string) => Float64Array | undefined;
}

export function readReference(path: string): NetworkReference {
  const { tensors, metadata } = decodeSafetensors(new Uint8Array(readFileSync(path)), path);
  const find = (name: string): StoredTensor => {
    const tensor = tensors.get(name);
    if (!tensor) throw new Error(`${path} lacks ${name}`);
    return tensor;
  };
  const floats = (name: string): NDArray => {
    const tensor = find(name);
    const { buffer } = aligned(tensor);
    const data = tensor.dtype === "float64" ? new Float64Array(buffer) : new Float32Array(buffer);
    return { dtype: "float32", shape: tensor.shape, data: Float64Array.from(data) };
  };
  return {
    facts: JSON.parse(metadata.facts ?? "") as NetworkFacts,
    image: floats("image"),
    cotangent: floats("cotangent"),
    features: floats("features"),
    gradient: floats("gradient").data,
    placesOf: (name) => {
      const tensor = tensors.get(`index/${name}`);
      return tensor && new Int32Array(aligned(tensor).buffer);
    },
    factorsOf: (name) => (tensors.has(`factor/${name}`) ? floats(`factor/${name}`).data : undefined),
  };
}

/** A copy that begins at a multiple of 8. */
function aligned({ data }: StoredTensor): { readonly buffer: ArrayBuffer } {
  const copy = new Uint8Array(data.length);
  copy.set(data);
  return copy;
}
