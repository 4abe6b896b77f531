// How an imported fcn was read for a run: the factor of its pixels, its cut, what of it is trained. The spec
// may leave these to the importer, and another mttc may decide otherwise: a run goes on as it was, or is
// refused with the keys that make it what it was. Bundles in; faults out.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Bundle, Manifest } from "../../compiler/bundle/manifest.ts";
import { decodeModelProto } from "../../compiler/codec/protobuf.ts";
import { type Fault, MttcError } from "../../compiler/diagnostics.ts";
import type { ImportedTrunk } from "../../compiler/model/importedTrunk.ts";
import type { ImportedFcn, Spec } from "../../compiler/spec/schema.ts";
import { readForeignModels } from "../models/foreignModels.ts";
import { readBundleDirectory } from "./bundleDirectory.ts";
import { type Resumption, refuseOtherModels } from "./fingerprint.ts";

const GRAPH = "evaluate";
/** Names of tensors in the graphs begin with this, before their name in the model file. */
const PART = "fcn.";
/** Origins of nodes begin with this, before that of the model file. */
const SCOPE = "fcn/";
/** Nodes that compute nothing: graphs of one network may have them or not. */
const CARRYING: ReadonlySet<string> = new Set(["Transpose", "Identity", "Reshape", "Cast"]);
/** Share by which factors of pixels differ that are one number, written down. */
const SAME_SCALE = 1e-4;
/** Settings that a spec may leave to the importer. */
const OPEN_KEYS = ["scale", "output", "train", "fixed"] as const;

/** What a bundle says of its imported fcn. */
export interface TrunkReading {
  readonly settings: ImportedFcn;
  /** Factor of the pixels; null where the network takes bytes. */
  readonly scale: number | null;
  /** Name of the feature map; undefined where the bundle is older than this is kept. */
  readonly output: string | undefined;
  /** Origins of the nodes that compute something, in their order. */
  readonly nodes: readonly string[];
  /** Names in the model file of the tensors that are trained. */
  readonly trained: ReadonlySet<string>;
}

/**
 * The imported network behind a run's fcn, read again; undefined where it has none. Errors as those of
 * readForeignModels; E_CKPT_MISMATCH at `path` where its file is not the one that `stored` tells of.
 */
export async function readTrunkAgain(
  { spec, baseDirectory }: { readonly spec: Spec; readonly baseDirectory: string },
  { stored, path }: Pick<Resumption, "stored" | "path">,
): Promise<ImportedTrunk | undefined> {
  if (!("path" in spec.fcn)) return undefined;
  const models = await readForeignModels({ ...spec, teacher: null }, baseDirectory, []);
  const known = { ...stored, models: { fcn: stored.models.fcn } };
  // Earlier versions hashed the teacher along, which may be gone: then parity is what finds another trunk.
  const isHashed = typeof stored.spec === "string" && spec.teacher !== null;
  if (!isHashed) refuseOtherModels({ stored: known, path, spec, runSpec: spec }, models);
  return models.trunk;
}

/** The reading of the bundle in a folder; undefined without an imported fcn, or a bundle that can be read. */
export async function storedReading(directory: string): Promise<TrunkReading | undefined> {
  try {
    const manifest = await readBundleDirectory(directory, [GRAPH]);
    return readingOf(manifest, await readFile(join(directory, manifest.graphs[GRAPH]?.file ?? "")));
  } catch (error) {
    // A lost or damaged bundle is written anew.
    if (error instanceof MttcError) return undefined;
    throw error;
  }
}

/** The reading of what was compiled now. */
export function compiledReading({ manifest, files }: Bundle): TrunkReading | undefined {
  return readingOf(manifest, files.get(manifest.graphs[GRAPH]?.file ?? "") ?? new Uint8Array());
}

function readingOf(manifest: Manifest, evaluate: Uint8Array): TrunkReading | undefined {
  const { fcn, norm } = manifest.spec;
  if (!("path" in fcn)) return undefined;
  const { trunk } = manifest;
  const nodes = decodeModelProto(evaluate).graph?.node ?? [];
  const own = nodes.flatMap(({ opType, docString: origin = "" }) =>
    origin.startsWith(SCOPE) && !CARRYING.has(opType ?? "") ? [origin] : [],
  );
  const trained = manifest.parameters.filter((parameter) => parameter.part === "fcn" && parameter.trained);
  return {
    settings: fcn,
    // Before it was kept, it was this for every network.
    scale: trunk ? trunk.scale : (fcn.scale ?? 1 / norm),
    output: trunk?.output,
    nodes: own,
    trained: new Set(trained.map(({ name }) => name.slice(PART.length))),
  };
}

/**
 * The spec with the settings of the fcn that the run left to the importer left to it, too: what they come to
 * is compared by `otherReading`.
 */
export function withOpenSettings(spec: Spec, run: TrunkReading | undefined): Spec {
  const { fcn } = spec;
  if (!run || !("path" in fcn)) return spec;
  const isOpen = (value: unknown): boolean => value == null || (Array.isArray(value) && value.length === 0);
  const open = OPEN_KEYS.filter((key) => isOpen(run.settings[key]));
  const defaults = { scale: null, output: null, train: [], fixed: [] };
  return { ...spec, fcn: { ...fcn, ...Object.fromEntries(open.map((key) => [key, defaults[key]])) } };
}

/** What of the fcn is read otherwise than for the run, with what to write in the spec to go on as before. */
export function otherReading(run: TrunkReading, now: TrunkReading, trunk: ImportedTrunk): Fault[] {
  const cut = findOtherCut(run, now, trunk);
  // Another cut has other tensors.
  return [...otherScale(run, now), ...(cut ? [cutFault(run, now, cut)] : otherTensors(run, now, trunk))];
}

function otherScale(run: TrunkReading, now: TrunkReading): Fault[] {
  if (now.scale === null || run.scale === null) return [];
  if (Math.abs(now.scale / run.scale - 1) <= SAME_SCALE) return [];
  const given = (value: number, { settings }: TrunkReading): string =>
    `${Number(value.toPrecision(6))}${settings.scale === null ? " (by default)" : ""}`;
  const message = `was ${given(run.scale, run)}, is ${given(now.scale, now)}`;
  return [fault("scale", message, `\`scale: ${run.scale}\` in the spec's fcn goes on as before`)];
}

/**
 * Name of the feature map of the bundle in a folder where it is not that of `compiled`. E_CKPT_MISMATCH where
 * it has none.
 */
export async function cutOfRun(
  directory: string,
  compiled: Bundle,
  trunk: ImportedTrunk,
): Promise<string | undefined> {
  const [run, now] = [await storedReading(directory), compiledReading(compiled)];
  const cut = run && now && findOtherCut(run, now, trunk);
  if (cut && cut.name === undefined) throw new MttcError(cutFault(run, now, cut));
  return cut?.name;
}

/** Where a run took its features, where that is not where they are taken now. */
interface OtherCut {
  /** Unknown where the network of now does not reach that far. */
  readonly name: string | undefined;
  readonly node: string;
}

function findOtherCut(run: TrunkReading, now: TrunkReading, trunk: ImportedTrunk): OtherCut | undefined {
  const [before, after] = [run.nodes.at(-1) ?? "", now.nodes.at(-1) ?? ""];
  const isKnown = run.output !== undefined && now.output !== undefined;
  // Names of nodes may be spelled otherwise: only one network that goes on where the other ends is another.
  const isLonger = now.nodes.includes(before) || run.nodes.includes(after);
  if (isKnown ? run.output === now.output : before === after || !isLonger) return undefined;
  const values = trunk.graph.nodes.flatMap((node) => node.outputs);
  const name = run.output ?? values.findLast(({ origin }) => origin === before)?.name;
  return { name, node: before.slice(SCOPE.length) };
}

function cutFault(run: TrunkReading, now: TrunkReading, { name, node }: OtherCut): Fault {
  const how = ({ settings }: TrunkReading): string => (settings.output === null ? " (by default)" : "");
  const was = name ?? `the output of the node ${node}`;
  const message = `was ${was}${how(run)}, is ${now.output}${how(now)}`;
  const value =
    name === undefined ? "`output` with the name of that value" : `\`output: ${JSON.stringify(name)}\``;
  return fault("output", message, `${value} in the spec's fcn goes on as before`);
}

function otherTensors(run: TrunkReading, now: TrunkReading, trunk: ImportedTrunk): Fault[] {
  const constants = new Set([...trunk.graph.constants.keys()].map(({ name }) => name));
  const lost = [...run.trained].filter((name) => !now.trained.has(name));
  const gone = lost.filter((name) => !constants.has(name));
  const fixed = lost.filter((name) => constants.has(name));
  const gained = [...now.trained].filter((name) => !run.trained.has(name));
  const list = (key: "train" | "fixed", names: readonly string[]): string => {
    const all = [...now.settings[key], ...names];
    return `\`${key}: [${all.map((name) => JSON.stringify(name)).join(", ")}]\` in the spec's fcn goes on as before`;
  };
  if (gone.length > 0) {
    const message = `${tensors(gone)} trained by the run as one what are tensors of their own now, or none`;
    const hint =
      "this mttc cannot go on with it: `mttc evaluate` takes it as it is; the mttc that trained it goes on " +
      "and exports, another `logdir` begins anew";
    return [fault("train", message, hint)];
  }
  return [
    ...(fixed.length > 0
      ? [fault("train", `${tensors(fixed)} trained by the run, and fixed now`, list("train", fixed))]
      : []),
    ...(gained.length > 0
      ? [fault("fixed", `${tensors(gained)} fixed in the run, and trained now`, list("fixed", gained))]
      : []),
  ];
}

/** "2 tensors (a, b) were". */
function tensors(names: readonly string[]): string {
  const [first] = names;
  return names.length === 1 ? `${first} was` : `${names.length} tensors, such as ${first}, were`;
}

function fault(key: string, message: string, hint: string): Fault {
  return { code: "E_CKPT_MISMATCH", message, at: { path: `fcn.${key}` }, hint };
}
