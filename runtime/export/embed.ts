// Images -> vectors, batch by batch and in their order: what `mttc embed` writes. An image that cannot be
// read is a fault of its own place, and has no vector.
import { MttcError } from "../../compiler/diagnostics.ts";
import { imageBytes } from "../images/images.ts";
import type { FeatureModel } from "../probes/featureModel.ts";
import { type ImageFault, type ImageInput, InputReader } from "./predictInputs.ts";

export interface EmbedOptions {
  /** Takes images that cannot be read, which are then left out; without it the first one is thrown. */
  readonly onFault?: ((fault: ImageFault) => void) | undefined;
  /** Stops after the batch that is under way, and rejects with E_INTERRUPTED. */
  readonly signal?: AbortSignal | undefined;
}

/** Vectors of some images. */
export interface EmbeddedBatch {
  /** Places among all images, ascending. */
  readonly places: readonly number[];
  /** Row-major [places, width of the model]. */
  readonly vectors: Float32Array;
}

/** Throws what reading images throws, E_ORT and E_INTERRUPTED. */
export async function* embedImages(
  model: FeatureModel,
  images: readonly ImageInput[],
  { onFault, signal }: EmbedOptions = {},
): AsyncGenerator<EmbeddedBatch> {
  const reader = new InputReader(model.format);
  const size = model.batchImages;
  const read = (first: number) => reader.read(images.slice(first, first + size), first);
  let coming = read(0);
  for (let first = 0; first < images.length; first += size) {
    if (signal?.aborted) throw new MttcError({ code: "E_INTERRUPTED", message: "interrupted" });
    const batch = await coming;
    coming = read(first + size);
    // What is read ahead may fail while nobody waits for it.
    coming.catch(() => undefined);
    for (const fault of batch.faults) {
      if (onFault === undefined) throw fault.error;
      onFault(fault);
    }
    if (batch.places.length === 0) continue;
    // Always a whole batch, black images behind: a vector does not depend on what is beside it.
    const pixels = new Uint8Array(size * imageBytes(model.format));
    pixels.set(batch.pixels);
    const vectors = await model.run(pixels);
    yield {
      places: batch.places.map((place) => first + place),
      vectors: vectors.subarray(0, batch.places.length * model.width),
    };
  }
}
