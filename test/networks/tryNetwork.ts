// One exported network through mttc as a user's trunk: imported, cut by itself, frozen and trained, compiled;
// its features and the gradient by every parameter beside PyTorch's float64.
import { readFileSync } from "node:fs";
import { basename, dirname } from "node:path";
import { compile } from "../../compiler/compile.ts";
import { MttcError } from "../../compiler/diagnostics.ts";
import type { NDArray } from "../../compiler/ir/op.ts";
import type { Dim } from "../../compiler/ir/types.ts";
import type { ImportedTrunk } from "../../compiler/model/importedTrunk.ts";
import { importTrunk } from "../../compiler/onnx/import/importTrunk.ts";
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import type { Spec } from "../../compiler/spec/schema.ts";
import { readForeignModels } from "../../runtime/models/foreignModels.ts";
import type { OrtLibrary } from "../../runtime/ort/library.ts";
import { runFamilyOnOrt } from "../families/runFamily.ts";
import { buildTrunkGraph, type TrunkGraph } from "../families/trunkGraph.ts";
import { VANISHING_GRADIENT } from "../tolerances.ts";
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
  readonly seconds: number;
}

export interface GradientTrial {
  /** Parameters of PyTorch whose gradients were compared, and the largest distance relative to the norm. */
  readonly compared: number;
  readonly worst: { readonly name: string; readonly error: number };
  /** Numbers that PyTorch trains and the features depend on, and how many of them mttc trains. */
  readonly theirs: number;
  readonly ours: number;
  /** Parameters of PyTorch that are not trained, or only in part. */
  readonly missed: readonly string[];
  /** Tensors that mttc trains and that are no parameter of PyTorch's, or were made of one. */
  readonly others: readonly string[];
}

const CLASSES = [{ task: "task", classes: ["a", "b", "c"] }] as const;

export interface TryOptions {
  readonly library: OrtLibrary;
  /** The file without its ending. */
  readonly stem: string;
  /** Import for the batch of the file in place of any batch. */
  readonly isBatchFixed: boolean;
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
    return { facts, ...reached, gradients, seconds: seconds() };
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

/**
 * Gradients of the file's tensors as gradients of PyTorch's numbers: what a number became in several places
 * adds up, times the factor that it got there.
 */
function compareGradients(
  reference: NetworkReference,
  found: ReadonlyMap<string, NDArray>,
  built: TrunkGraph,
): GradientTrial {
  const { gradient, facts } = reference;
  const ours = new Float64Array(gradient.length);
  const isTrained = new Uint8Array(gradient.length);
  const others: string[] = [];
  for (const { name: full, trained } of built.parameters) {
    const name = full.replace(/^fcn\./, "");
    const numbers = found.get(name)?.data;
    if (!trained || !numbers) continue;
    const places = reference.placesOf(name);
    const factors = reference.factorsOf(name);
    if (!places) others.push(name);
    places?.forEach((place, i) => {
      ours[place] = (ours[place] ?? 0) + (numbers[i] ?? Number.NaN) * (factors?.[i] ?? 1);
      isTrained[place] = 1;
    });
  }
  return { ...compareParameters(facts, { gradient, ours, isTrained }), others };
}

interface Gradients {
  readonly gradient: Float64Array;
  readonly ours: Float64Array;
  readonly isTrained: Uint8Array;
}

function compareParameters(facts: NetworkFacts, all: Gradients): Omit<GradientTrial, "others"> {
  let position = 0;
  const parameters = facts.parameters.flatMap(([name, shape, isNeeded]) => {
    const begin = position;
    position += shape.reduce((count, size) => count * size, 1);
    const end = position;
    const trained = all.isTrained.subarray(begin, end).reduce((sum, each) => sum + each, 0);
    const exact = all.gradient.subarray(begin, end);
    return isNeeded && !facts.folded?.includes(name)
      ? [{ name, trained, exact, ours: all.ours.subarray(begin, end) }]
      : [];
  });
  const mean = parameters.reduce((sum, { exact }) => sum + norm(exact) / parameters.length, 0);
  const whole = parameters.filter(({ trained, exact }) => trained === exact.length);
  const errors = whole.map(({ name, exact, ours }) => {
    const size = norm(exact);
    const scale = size > VANISHING_GRADIENT * mean ? size : mean;
    return { name, error: distanceOf(ours, exact) / scale };
  });
  const worst = errors.reduce((a, b) => (a.error >= b.error ? a : b), { name: "", error: 0 });
  return {
    compared: whole.length,
    worst,
    theirs: parameters.reduce((sum, { exact }) => sum + exact.length, 0),
    ours: parameters.reduce((sum, { trained }) => sum + trained, 0),
    missed: parameters.filter((each) => !whole.includes(each)).map(({ name }) => name),
  };
}

function norm(numbers: Float64Array): number {
  return Math.sqrt(numbers.reduce((sum, x) => sum + x * x, 0));
}

function distanceOf(a: Float64Array, b: Float64Array): number {
  return Math.sqrt(a.reduce((sum, x, i) => sum + (x - (b[i] ?? Number.NaN)) ** 2, 0));
}

function lineOf(error: unknown): string {
  if (!(error instanceof MttcError)) return `${error}`.split("\n")[0] ?? "";
  const [fault] = error.faults;
  const where = fault?.at?.node ?? fault?.at?.path ?? "";
  return `${fault?.code} at ${where}: ${fault?.message}`;
}
