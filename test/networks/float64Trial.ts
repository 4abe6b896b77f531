// Whether gradients that are too far off in float32 are a fault of the derivative or float32's rounding: the
// imported network on the float64 interpreter beside PyTorch's float64, and float32 judged apart.
import { interpret } from "../../compiler/ir/interpret.ts";
import type { NDArray } from "../../compiler/ir/op.ts";
import type { OrtLibrary } from "../../runtime/ort/library.ts";
import { runFamilyOnOrt } from "../families/runFamily.ts";
import type { TrunkGraph } from "../families/trunkGraph.ts";
import { FAMILY_FLOAT32, FLOAT32_CONDITION, FLOAT32_GAP_FACTOR, FOLDED_FLOAT32 } from "../tolerances.ts";
import { compareGradients, spread } from "./compareGradients.ts";
import type { NetworkReference } from "./networkReference.ts";

export interface Float64Trial {
  /** Largest distance of a gradient by the interpreter from PyTorch's float64, relative to its norm. */
  readonly error: number;
  /**
   * The least of the largest distances of ONNX Runtime's gradients from the interpreter's on other images.
   * A relu whose input is zero but for rounding takes the other side in float32; on the next image it does
   * not, but a fault is there on all.
   */
  readonly elsewhere: number;
}

/** Other images that are tried. */
const IMAGES = 3;
/** Numbers by which the images are turned for the next; no multiple of a row, a plane or a channel. */
const TURN = 10_007;

/** Runs the trained network of `built` in float64, and again in both on other images. */
export function tryInFloat64(
  library: OrtLibrary,
  reference: NetworkReference,
  built: TrunkGraph,
): Float64Trial {
  const exact = interpret(built.graph, built.feeds);
  const error = compareGradients(reference, exact, built).worst.error;
  let elsewhere = Number.POSITIVE_INFINITY;
  for (let number = 1; number <= IMAGES && !(elsewhere <= FAMILY_FLOAT32); number++) {
    const feeds = new Map(built.feeds).set("image", turned(reference.image, number * TURN));
    const other = { ...built, feeds };
    const gradient = spread(reference, interpret(built.graph, feeds), built).ours;
    const found = runFamilyOnOrt(library, other);
    elsewhere = Math.min(elsewhere, compareGradients({ ...reference, gradient }, found, other).worst.error);
  }
  return { error, elsewhere };
}

/** Images of the same numbers, each `by` places further. */
function turned({ data, ...type }: NDArray, by: number): NDArray {
  return { ...type, data: data.map((_, i) => data[(i + by) % data.length] ?? Number.NaN) };
}

/**
 * What is right although float32 gradients are off by `error`, in words; undefined where something is wrong.
 * The interpreter must agree with PyTorch; float32 must be no further off than PyTorch's own where that
 * (`gap`) is far too, and right on another image where it is not.
 */
export function excuseOf(trial: Float64Trial, error: number, gap: number): string | undefined {
  if (!(trial.error <= FOLDED_FLOAT32)) return undefined;
  if (gap > FLOAT32_CONDITION)
    return error <= FLOAT32_GAP_FACTOR * gap ? "right in float64; float32 as far as PyTorch's" : undefined;
  return trial.elsewhere <= FAMILY_FLOAT32 ? "right in float64; a kink in float32" : undefined;
}
