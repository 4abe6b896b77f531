// The fixtures of test/fixtures/families (made by make_families.py there): graphs of whole families without
// their weights, and what PyTorch computes from weights drawn by name.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { decodeModelProto } from "../../compiler/codec/protobuf.ts";
import type { ImportedTrunk } from "../../compiler/model/importedTrunk.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { importKeras } from "../../compiler/read/keras/importKeras.ts";
import type { NamedArray } from "../../compiler/read/keras/kerasWeights.ts";
import { cutTrunk } from "../../compiler/read/onnx/cutTrunk.ts";
import { importTrunk } from "../../compiler/read/onnx/importTrunk.ts";
import type { ExternalData } from "../../compiler/read/onnx/tensorValues.ts";
import { PROJECT_ROOT } from "../projectRoot.ts";
import { drawValue } from "./drawnValues.ts";

const FOLDER = join(PROJECT_ROOT, "test/fixtures/families");

/** Batch norms by running statistics, or by those of the batch. */
export type NormForm = "frozen" | "training";

/**
 * Norm, products with two directions, and how far the float32 of PyTorch or Keras is away (norm of the
 * difference).
 */
export type Measured = readonly [norm: number, first: number, second: number, gap: number];

export interface FamilyFixture {
  readonly family: string;
  /** Height and width of the images. */
  readonly side: number;
  readonly export: "preserving" | "traced" | "captured" | "keras";
  /** What the image and the cotangent are drawn from. */
  readonly image: string;
  /** Shape of the features. */
  readonly features: readonly number[];
  /** In float64: "features", and the gradient by each parameter under its name in the graph. */
  readonly frozen: Readonly<Record<string, Measured>>;
  /** Absent for a family without batch norms, or with folded ones. */
  readonly training?: Readonly<Record<string, Measured>>;
}

/** Names of all families. */
export const FAMILIES: readonly string[] = readdirSync(FOLDER)
  .filter((name) => name.endsWith(".json.gz"))
  .map((name) => name.replace(".json.gz", ""));

export function readFixture(family: string): FamilyFixture {
  const text = gunzipSync(readFileSync(join(FOLDER, `${family}.json.gz`))).toString("utf8");
  return JSON.parse(text) as FamilyFixture;
}

/** A graph's bytes, and its weights as external data that is drawn where it is asked for. */
export function readGraph(family: string): {
  readonly bytes: Uint8Array;
  readonly externalData: ExternalData;
} {
  const bytes = new Uint8Array(gunzipSync(readFileSync(join(FOLDER, `${family}.onnx.gz`))));
  const initializers = decodeModelProto(bytes).graph.initializer;
  // The script wrote the position among the initializers where a file would have the place of the bytes.
  const externalData: ExternalData = (_location, position) => {
    const { name, dims } = initializers[position]!;
    return new Uint8Array(drawValue(name, dims).buffer);
  };
  return { bytes, externalData };
}

/** A Keras application: its JSON, and names and shapes of each layer's weights. */
interface KerasFixture {
  readonly model: unknown;
  readonly weights: Readonly<Record<string, readonly (readonly [name: string, shape: readonly number[]])[]>>;
}

/** The family as mttc imports it: whole, since the fixtures end with the features. */
export function importFamily(fixture: FamilyFixture): ImportedTrunk {
  const { family, side } = fixture;
  if (fixture.export === "keras") return importApplication(fixture);
  const settings = { file: `${family}.onnx`, imshape: [side, side], batch: "N" } as const;
  const { bytes, externalData } = readGraph(family);
  const { graph, layout, notes } = importTrunk(bytes, { ...settings, externalData, output: "features" });
  return { graph, layout, notes, hash: "" };
}

function importApplication({ family, side }: FamilyFixture): ImportedTrunk {
  const file = join(FOLDER, `${family}.keras.gz`);
  const { model, weights } = JSON.parse(gunzipSync(readFileSync(file)).toString("utf8")) as KerasFixture;
  const layers = Object.entries(weights).map(([layer, variables]): [string, readonly NamedArray[]] => [
    layer,
    variables.map(([name, shape]) => ({
      name,
      array: { shape, data: drawValue(`${layer}.${name}`, shape) },
    })),
  ]);
  const source = { file, model, version: 3, weights: { kind: "by-name", layers: new Map(layers) } } as const;
  const { graph, layout, notes } = importKeras(source, { ops: OPS, imshape: [side, side], batch: "N" });
  return { graph: cutTrunk(graph, graph.outputs[0]?.name).graph, layout, notes, hash: "" };
}
