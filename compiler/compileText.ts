// The compiler by itself: the text of a spec -> the files of a bundle, in memory. No file is opened and no
// clock read: it runs wherever JavaScript does, and gives the bytes that `mttc compile` writes.
import { bundleFiles, hashOfBytes, stateMetadata } from "./bundle/bundleFiles.ts";
import type { StoredManifest } from "./bundle/manifest.ts";
import { type CompileOptions, compile } from "./compile.ts";
import { type Fault, MttcError, suggestName } from "./diagnostics.ts";
import { foreignTrunk } from "./model/foreignTrunk.ts";
import { type ImportedTrunk, importedFcn } from "./model/importedTrunk.ts";
import type { TaskClasses } from "./model/network.ts";
import { importTrunk } from "./read/onnx/importTrunk.ts";
import { parseSpec } from "./spec/parseSpec.ts";
import { networkChannels } from "./spec/pixelRange.ts";
import type { Spec } from "./spec/schema.ts";
import type { TaskDescription } from "./tasks/task.ts";

export interface TextOptions extends Pick<CompileOptions, "target" | "warn"> {
  /** What messages call the spec. */
  readonly file?: string | undefined;
  /** What is known of tasks, over the spec's `classes`: those of numbers and tags cannot say it there. */
  readonly tasks?: readonly TaskDescription[] | undefined;
  /** Bytes of the ONNX file that the spec's `fcn` names, by the path that the spec gives. */
  readonly models?: ReadonlyMap<string, Uint8Array> | undefined;
}

/** A bundle in memory, as compiler/bundle/CONTRACT.md describes it. */
export interface CompiledText {
  /** With all defaults. */
  readonly spec: Spec;
  readonly manifest: StoredManifest;
  /** By name: manifest.json, graphs, constants.bin where there is one, state.safetensors. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** What was decided about an imported network, for people. */
  readonly notes: readonly string[];
}

/**
 * Compiles a spec in YAML or JSON. E_CONFIG_PARSE, E_CONFIG (also: classes that nobody says, `teacher` and
 * `init_from`, which name files, a model that is not among `models`), E_SHAPE, E_NOT_DIFFERENTIABLE, E_MODEL_*.
 */
export function compileText(text: string, options: TextOptions = {}): CompiledText {
  const { file = "spec", target, warn } = options;
  const spec = parseSpec(text, file);
  refuseFiles(spec, file);
  const classes = classesOf(spec, options.tasks ?? [], file);
  const trunk = trunkOf(spec, options.models ?? new Map());
  const bundle = compile(spec, classes, { target, trunk, ...(warn && { warn }) });
  const checkpoint = stateMetadata({ spec, classes, models: { trunk }, initial: undefined });
  const notes = (trunk?.notes ?? []).map((note) => `fcn: ${note}`);
  return { spec, ...bundleFiles(bundle, checkpoint), notes };
}

/** Keys that only a program with a file system can follow. */
function refuseFiles(spec: Spec, file: string): void {
  const named = (["teacher", "init_from"] as const).filter((key) => spec[key] !== null);
  const faults = named.map((path): Fault => {
    return {
      code: "E_CONFIG",
      message: "names a file, which the compiler alone does not read",
      at: { file, path },
    };
  });
  if (faults.length > 0) throw new MttcError(faults);
}

function classesOf(spec: Spec, tasks: readonly TaskDescription[], file: string): TaskClasses {
  const known = new Map(
    Object.entries(spec.classes ?? {}).map(([task, classes]) => [task, { task, classes }]),
  );
  const given = new Map<string, TaskDescription>([
    ...known,
    ...tasks.map((entry) => [entry.task, entry] as const),
  ]);
  const unknown = tasks.find(({ task }) => !spec.tasks.includes(task));
  if (unknown)
    throw new MttcError({
      code: "E_CONFIG",
      message: `the spec has no task "${unknown.task}"`,
      at: { file, path: "tasks" },
      hint: suggestName(unknown.task, spec.tasks),
    });
  return spec.tasks.map((task) => {
    const found = given.get(task);
    if (found) return found;
    throw new MttcError({
      code: "E_CONFIG",
      message: `the classes of "${task}" are not known`,
      at: { file, path: `classes.${task}` },
      hint: "list them under `classes`, or give `tasks`: no label table is read here",
    });
  });
}

/** The network that the spec's fcn names, which must be ONNX, with all tensors in the one file. */
function trunkOf(spec: Spec, models: ReadonlyMap<string, Uint8Array>): ImportedTrunk | undefined {
  const settings = importedFcn(spec);
  if (!settings) return undefined;
  const { path, output } = settings;
  const bytes = models.get(path);
  if (!bytes)
    throw new MttcError({
      code: "E_CONFIG",
      message: `no bytes of the model ${JSON.stringify(path)} were given`,
      at: { path: "fcn" },
      hint: suggestName(path, [...models.keys()]),
    });
  const { imshape } = spec;
  const asked = {
    file: path,
    imshape,
    channels: networkChannels(spec),
    batch: "N",
    output: output ?? undefined,
  };
  const { graph, layout, notes, sources } = importTrunk(bytes, asked);
  return foreignTrunk({ graph, layout, notes, sources, hash: hashOfBytes(bytes) }, spec, settings, path);
}
