// One exported network through mttc as a user's trunk: imported, cut by itself, frozen and trained, compiled;
// its features and the gradient by every parameter beside PyTorch's float64.
import { readFileSync } from "node:fs";
import { basename, dirname } from "node:path";
import { compile } from "../../compiler/compile.ts";
import { MttcError } from "../../compiler/diagnostics.ts";
import type { NDArray } from "../../compiler/ir/op.ts";
import type { Dim } from "../../compiler/ir/types.ts";
import type { ImportedTrunk } from "../../compiler/model/importedTrunk.ts";
import { importTrunk } from "../../compiler/read/onnx/importTrunk.ts";
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import type { Spec } from "../../compiler/spec/schema.ts";
import { readForeignModels } from "../../runtime/models/foreignModels.ts";
import type { OrtLibrary } from "../../runtime/ort/library.ts";
import { runFamilyOnOrt } from "../families/runFamily.ts";
import { buildTrunkGraph, type TrunkGraph } from "../families/trunkGraph.ts";
import { FAMILY_FLOAT32 } from "../tolerances.ts";
import { compareGradients, distanceOf, type GradientTrial, norm } from "./compareGradients.ts";
import { type Float64Trial, tryInFloat64 } from "./float64Trial.ts";
import { type NetworkFacts, type NetworkReference, readReference } from "./networkReference.ts";

/** What came of a network; numbers are missing where it was not got so far. */
export interface Trial {
  readonly facts: NetworkFacts;
  /** Error that ended it, in one line. */
  readonly fault?: string;
  /** Remarks of the import, where it was cut among them. */
  readonly notes?: readonly string[];
  /** Largest distance of the features, frozen and trained, from PyTorch's relative to their norm. */
  readonly featuresError?: number;
  readonly gradients?: GradientTrial;
  /** The same by the float64 interpreter, where float32 gradients are too far off. */
  readonly float64?: Float64Trial;
  readonly seconds: number;
}

const CLASSES = [{ task: "task", classes: ["a", "b", "c"] }] as const;

export interface TryOptions {
  readonly library: OrtLibrary;
  /** The file without its ending. */
  readonly stem: string;
  /** Import for the batch of the file in place of any batch. */
  readonly isBatchFixed: boolean;
  /** In float64 too where float32 is near enough. */
  readonly alwaysInFloat64?: boolean;
}

/** Tries one network; faults of mttc become the trial's fault. */
export async function tryNetwork(options: TryOptions): Promise<Trial> {
  const started = performance.now();
  const reference = readReference(`${options.stem}.safetensors`);
  const { facts } = reference;
  const seconds = () => (performance.now() - started) / 1000;
  const reached: { notes?: readonly string[]; featuresError?: number } = {};
  try {
    const frozen = specOf(options.stem, facts, false);
    const trunk = await trunkOf(options, frozen, facts);
    reached.notes = trunk.notes;
    reached.featuresError = featuresErrorOf(reference, run(options, reference, trunk, frozen).found);
    const trained = specOf(options.stem, facts, true);
    const { found, built } = run(options, reference, trunk, trained);
    reached.featuresError = Math.max(reached.featuresError, featuresErrorOf(reference, found));
    const gradients = compareGradients(reference, found, built);
    if (!options.isBatchFixed)
      for (const spec of [frozen, trained]) compile(spec, CLASSES, { trunk, teacher: undefined });
    const isFar = !(gradients.worst.error <= FAMILY_FLOAT32);
    const float64 =
      isFar || options.alwaysInFloat64 ? tryInFloat64(options.library, reference, built) : undefined;
    return { facts, ...reached, gradients, ...(float64 && { float64 }), seconds: seconds() };
  } catch (error) {
    return { facts, ...reached, fault: lineOf(error), seconds: seconds() };
  }
}

function specOf(stem: string, { side, batch }: NetworkFacts, isTrained: boolean): Spec {
  return resolveSpec({
    tasks: ["task"],
    fcn: { path: `${basename(stem)}.onnx` },
    train_fcn: isTrained,
    imshape: [side, side],
    batch_size: 2 * batch,
    task_layers: [],
  });
}

async function trunkOf(options: TryOptions, spec: Spec, facts: NetworkFacts): Promise<ImportedTrunk> {
  const { stem, isBatchFixed } = options;
  if (!isBatchFixed) {
    const { trunk } = await readForeignModels(spec, dirname(stem), CLASSES);
    if (trunk) return trunk;
  }
  const batch: Dim = facts.batch;
  const settings = { file: `${basename(stem)}.onnx`, imshape: spec.imshape, channels: 3, batch };
  return { ...importTrunk(new Uint8Array(readFileSync(`${stem}.onnx`)), settings), hash: "" };
}

function run(
  { library }: TryOptions,
  { image, cotangent, facts }: NetworkReference,
  trunk: ImportedTrunk,
  spec: Spec,
): { readonly found: ReadonlyMap<string, NDArray>; readonly built: TrunkGraph } {
  const built = buildTrunkGraph({
    ...{ name: facts.network, trunk, spec, image },
    cotangent: (count) => {
      if (count === cotangent.data.length) return cotangent.data;
      throw new Error(`${count} features, PyTorch has ${cotangent.data.length}`);
    },
    fixed: "constants",
  });
  return { found: runFamilyOnOrt(library, built), built };
}

function featuresErrorOf({ features }: NetworkReference, found: ReadonlyMap<string, NDArray>): number {
  const ours = found.get("features");
  if (String(ours?.shape) !== String(features.shape))
    throw new Error(`features are [${ours?.shape}], PyTorch's [${features.shape}]`);
  return distanceOf(ours?.data ?? new Float64Array(), features.data) / norm(features.data);
}

function lineOf(error: unknown): string {
  if (!(error instanceof MttcError)) return `${error}`.split("\n")[0] ?? "";
  const [fault] = error.faults;
  const where = fault?.at?.node ?? fault?.at?.path ?? "";
  return `${fault?.code} at ${where}: ${fault?.message}`;
}
