// Whose features are taken: a run at one of its checkpoints, or a model file of any origin as a spec's fcn
// would read it. Paths in, a FeatureSource out; nothing is written and nothing trained.
import { decodeModelProto } from "../../compiler/codec/protobuf.ts";
import { MttcError } from "../../compiler/diagnostics.ts";
import { METADATA_KEY, type ModelMetadata, readMetadata } from "../../compiler/export/modelMetadata.ts";
import { importedValues } from "../../compiler/model/importedTrunk.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { resolveKeys } from "../../compiler/spec/parseSpec.ts";
import { type ModelSpec, SECTION_KEYS, type SpecInput } from "../../compiler/spec/schema.ts";
import { type ReadOptions, TrainedRun } from "../infer/trainedRun.ts";
import { readForeignModels } from "../models/foreignModels.ts";
import { importKerasFile, isKerasPath } from "../models/kerasFile.ts";
import { readModelFile } from "../models/modelFile.ts";
import type { RuntimeOptions } from "../ort/runtimeOptions.ts";
import { choiceText } from "../runs/checkpointChoice.ts";
import type { FeatureSource } from "./featureModel.ts";

/** Keys of the sections that a model is made of. */
const MODEL_KEYS = [...SECTION_KEYS.images, ...SECTION_KEYS.network] as const;
/** More channels than any image has: what is larger is a side. */
const MOST_CHANNELS = 16;
const SIZE_HINT = "--imshape 224x224 says it";

/** A trunk that is open to be read. */
export interface OpenTrunk {
  readonly source: FeatureSource;
  /** What it is, for people: "epoch 6 of runs/first". */
  readonly what: string;
  readonly notes: readonly string[];
}

/** How a model file is read where it leaves that open. */
export interface ModelReading {
  /** Height and width of the images, where the file leaves them open. */
  readonly imshape?: readonly [number, number] | undefined;
  /** The value whose features are taken; the feature map before its head by default. */
  readonly output?: string | undefined;
}

/** A trained run, at its best checkpoint unless `read` says which. Errors as TrainedRun.open's. */
export async function trunkOfRun(
  folder: string,
  runtime: RuntimeOptions = {},
  read: ReadOptions = {},
): Promise<OpenTrunk> {
  await using run = await TrainedRun.open(folder, { ...runtime, executionProvider: "cpu" }, read);
  const [values, trunk] = [await run.parameters(), await run.trunk()];
  const { spec } = run;
  const source: FeatureSource = { spec, parameters: async () => values, trunk: async () => trunk };
  return { source, what: choiceText(run.checkpoint.choice), notes: run.warnings };
}

/** The fcn of a spec as its file has it. E_USAGE where it is a list of layers, which nobody has trained. */
export async function trunkOfSpec(spec: ModelSpec, baseDirectory: string): Promise<OpenTrunk> {
  const { trunk, notes } = await readForeignModels({ ...spec, teacher: null }, baseDirectory, []);
  if (!trunk)
    throw new MttcError({
      code: "E_USAGE",
      message: "the spec has no run yet, and its fcn is a list of layers: there are no features of it",
      hint: "train it first",
    });
  const values = importedValues(trunk, spec);
  const source: FeatureSource = { spec, parameters: async () => values, trunk: async () => trunk };
  return { source, what: "as its file has it", notes };
}

/**
 * A model file: an export of mttc's, which says itself how images are read, or any ONNX or Keras model, whose
 * images are as `reading` says, or as its input does. E_FILE, E_MODEL_*; E_USAGE where nothing says a size.
 */
export async function trunkOfModel(path: string, reading: ModelReading = {}): Promise<OpenTrunk> {
  const facts = isKerasPath(path) ? await kerasFacts(path, reading) : onnxFacts(path);
  const { height, width } = facts;
  const imshape = height && width ? ([height, width] as const) : reading.imshape;
  if (!imshape)
    throw new MttcError({
      code: "E_USAGE",
      message: "the model leaves the size of its images open",
      at: { file: path },
      hint: SIZE_HINT,
    });
  const input: Pick<SpecInput, (typeof MODEL_KEYS)[number]> = {
    ...facts.keys,
    imshape: [...imshape],
    fcn: { path, ...(reading.output === undefined ? {} : { output: reading.output }) },
  };
  const opened = await trunkOfSpec(resolveKeys(MODEL_KEYS, input), ".");
  return { ...opened, what: facts.what };
}

/** What a file says of its images; sides are undefined where it leaves them open. */
interface ModelFacts {
  readonly height: number | undefined;
  readonly width: number | undefined;
  readonly keys: Partial<Pick<SpecInput, "num_channels" | "single_channel" | "bit_depth" | "norm">>;
  readonly what: string;
}

async function kerasFacts(path: string, { imshape }: ModelReading): Promise<ModelFacts> {
  const { graph } = await importKerasFile(path, { ops: OPS, imshape }).catch((error: unknown) => {
    if (imshape !== undefined || !(error instanceof MttcError)) throw error;
    // The importer says that the size is open; of a command it is given otherwise.
    const faults = error.faults.map((fault) => ({ ...fault, at: { file: path, ...fault.at } }));
    throw new MttcError(
      faults.map((fault) => (fault.hint?.includes("imshape") ? { ...fault, hint: SIZE_HINT } : fault)),
      { cause: error },
    );
  });
  const [, channels, height, width] = graph.inputs[0]?.type.shape ?? [];
  return {
    ...{ height: sizeOf(height), width: sizeOf(width), what: "a Keras model" },
    keys: channelKeys(sizeOf(channels)),
  };
}

function onnxFacts(path: string): ModelFacts {
  const { graph, metadataProps = [] } = decodeModelProto(readModelFile(path).bytes);
  const isOurs = metadataProps.some(({ key }) => key === METADATA_KEY || key.startsWith(`${METADATA_KEY}.`));
  if (isOurs) return exportFacts(readMetadata(metadataProps, path));
  const constants = new Set(graph.initializer.map(({ name }) => name));
  const image = graph.input.find(({ name }) => !constants.has(name));
  const dims = (image?.type?.tensorType?.shape?.dim ?? []).map(({ dimValue }) => dimValue);
  const isChannelsLast = isChannels(dims[3]) && !isChannels(dims[1]);
  const [, ...sides] = dims;
  const [channels, height, width] = isChannelsLast ? [sides[2], sides[0], sides[1]] : sides;
  return {
    ...{ height: sizeOf(height), width: sizeOf(width), what: "an ONNX model" },
    keys: channelKeys(sizeOf(channels)),
  };
}

function exportFacts({ preprocessing, kind, origin }: ModelMetadata): ModelFacts {
  const { height, width, channels, greyscale, norm, dtype } = preprocessing;
  const depth = ({ uint8: 8, uint16: 16, float32: 32 } as const)[dtype];
  const epoch = origin?.epoch === undefined ? "" : `, epoch ${origin.epoch}`;
  return {
    ...{ height, width, what: `an export of mttc (${kind}${epoch})` },
    keys: { num_channels: channels, single_channel: greyscale, bit_depth: depth, norm },
  };
}

function channelKeys(channels: number | undefined): ModelFacts["keys"] {
  return isChannels(channels) ? { num_channels: channels } : {};
}

function isChannels(size: number | undefined): boolean {
  return size !== undefined && size >= 1 && size <= MOST_CHANNELS;
}

function sizeOf(size: unknown): number | undefined {
  return typeof size === "number" && size >= 1 ? size : undefined;
}
