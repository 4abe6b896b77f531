// Options that every command with ONNX Runtime shares, and the parsing of numbers on the command line.
import { type Command, InvalidArgumentError, Option } from "commander";
import type { FeaturePooling } from "../compiler/export/exportFeatures.ts";
import { SINK_NAMES, type SinkName } from "../compiler/spec/sinkNames.ts";
import { isProviderName, type ProviderName } from "../runtime/ort/providerName.ts";
import type { RuntimeOptions } from "../runtime/ort/runtimeOptions.ts";

/** What withRuntimeOptions adds to a command's options. */
export interface RuntimeFlags {
  readonly threads?: number;
  readonly ort?: string;
  readonly ep?: ProviderName;
}

/** Adds --threads and --ort. */
export function withRuntimeOptions(command: Command): Command {
  return command
    .option("--threads <n>", "threads of ONNX Runtime (default: one per core)", parsePositive)
    .option("--ort <path>", "another libonnxruntime, or its folder (default: that of onnxruntime-node)");
}

/** Adds --ep to a command that may run on a CUDA device. */
export function withProviderOption(command: Command): Command {
  return command.option(
    "--ep <provider>",
    "where to run: cpu, cuda, cuda:1 (the second device), or auto: a CUDA device if one is usable",
    parseProviderName,
    "auto",
  );
}

/** What withCheckpointOption adds to a command's options. */
export interface CheckpointFlags {
  readonly checkpoint?: string;
}

/** Adds --checkpoint to a command that reads the weights of a run. */
export function withCheckpointOption(command: Command): Command {
  return command.option(
    "--checkpoint <which>",
    "best, newest, the number of an epoch, or a name such as epoch-0006 (default: the best, by the spec's monitor)",
  );
}

/** Adds --overwrite to a command that writes files of a name that the user gives. */
export function withOverwriteOption(command: Command): Command {
  return command.option("--overwrite", "replace files that mttc did not write, too");
}

export function runtimeOptions({ threads, ort, ep }: RuntimeFlags): RuntimeOptions {
  return { threads, ortLibrary: ort, executionProvider: ep };
}

function parseProviderName(text: string): ProviderName {
  if (!isProviderName(text)) throw new InvalidArgumentError("expected cpu, cuda, cuda:1 or auto");
  return text;
}

/** The name of a picture to write; a usage fault unless it ends in .png, which is what is written. */
export function parsePngName(text: string): string {
  if (!/\.png$/i.test(text)) throw new InvalidArgumentError("expected a file name that ends in .png");
  return text;
}

/** A number between 0 and 1, neither of them; a usage fault otherwise. */
export function parseShare(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !(value > 0 && value < 1))
    throw new InvalidArgumentError("expected a number between 0 and 1");
  return value;
}

/** A number above 0; a usage fault otherwise. */
export function parseRate(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !(value > 0) || !Number.isFinite(value))
    throw new InvalidArgumentError("expected a number above 0");
  return value;
}

/** An integer of at least 1; a usage fault otherwise. */
export function parsePositive(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < 1)
    throw new InvalidArgumentError("expected an integer of at least 1");
  return value;
}

/** The sinks of a list of names, "tensorboard,mlflow"; a usage fault for others. */
export function parseSinkNames(text: string): readonly SinkName[] {
  const names = text.split(",").map((name) => name.trim());
  const known = names.filter((name): name is SinkName => SINK_NAMES.some((sink) => sink === name));
  if (known.length < names.length)
    throw new InvalidArgumentError(`expected ${SINK_NAMES.join(", ")} or both`);
  return [...new Set(known)];
}

const POOLINGS = ["average", "max", "none"] as const satisfies readonly FeaturePooling[];

/** Adds --pool, --layer and --imshape to a command that takes features of a model. */
export function withTrunkOptions(command: Command): Command {
  const pool = new Option("--pool <how>", "what becomes of a feature map [C,H,W]");
  return command
    .addOption(pool.choices([...POOLINGS]).default(POOLINGS[0]))
    .option("--layer <name>", "of a run: fcn (default) or shared; of a model file: the value to take")
    .option(
      "--imshape <size>",
      "image size, where a model file leaves it open: 224 or 224x192",
      parseImshape,
    );
}

/** "224" or "224x192". */
function parseImshape(text: string): readonly [number, number] {
  const [height = "", width = height, ...more] = text.split(/[x,]/);
  const sides = [height, width].map(Number);
  if (more.length > 0 || !sides.every((side) => Number.isInteger(side) && side >= 1))
    throw new InvalidArgumentError("expected a size such as 224, or 224x192 (height, width)");
  return [sides[0] ?? 0, sides[1] ?? 0];
}
