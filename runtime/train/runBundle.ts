// The bundle that a session trains with: compiled now and written to its folder, or the one that lies there
// where it is up to date. Comes between ONNX Runtime's start and the device's tensors.
import { join } from "node:path";
import {
  accumulates,
  type Bundle,
  type StepCut,
  type StoredManifest,
} from "../../compiler/bundle/manifest.ts";
import { compile } from "../../compiler/compile.ts";
import type { TaskClasses } from "../../compiler/model/network.ts";
import type { Spec } from "../../compiler/spec/schema.ts";
import { onFeatures } from "../../compiler/step/featureGraphs.ts";
import type { ForeignModels } from "../models/foreignModels.ts";
import type { OrtHost } from "../ort/ortHost.ts";
import { readUpToDate, writeBundleDirectory } from "../runs/bundleDirectory.ts";
import { compilationKey } from "../runs/compilationKey.ts";
import { writeFrozen } from "../runs/frozenWeights.ts";
import { BUNDLE_FOLDER } from "../runs/runFolder.ts";
import {
  compileForHost,
  type HostBundle,
  type HostCompilationOptions,
  hostFacts,
} from "./hostCompilation.ts";
import type { InitialWeights } from "./initialWeights.ts";
import type { RunClaim } from "./runClaim.ts";

export interface RunBundleParts {
  readonly host: OrtHost;
  readonly spec: Spec;
  readonly classes: TaskClasses;
  readonly models: ForeignModels;
  /** Processes that train together; default 1. */
  readonly ranks?: number | undefined;
  /** The run that is trained; undefined without a logdir. */
  readonly claim: RunClaim | undefined;
  /** Weights that a run begins with. */
  readonly initial: InitialWeights | undefined;
  /** Frozen weights that a run that is gone on with began with. */
  readonly frozen: ReadonlyMap<string, Float32Array> | undefined;
  /** Makes or locks the folder; called once nothing is left to be refused. */
  readonly openDirectory: () => Promise<{
    readonly directory: string;
    readonly lockNotes: readonly string[];
  }>;
}

export interface RunBundle {
  readonly manifest: StoredManifest;
  readonly directory: string;
  /** What training starts from; undefined where a run is gone on with, whose checkpoint has it. */
  readonly initial: Bundle["state"] | undefined;
  readonly notes: readonly string[];
  readonly lockNotes: readonly string[];
}

/**
 * The session's bundle in its folder. What compileForHost, RunClaim and writeBundleDirectory throw; nothing
 * changes in a run's folder before all that can be refused has been looked at.
 */
export async function openRunBundle(
  parts: RunBundleParts,
  options: HostCompilationOptions,
): Promise<RunBundle> {
  const { host, spec, classes, models, claim, initial, frozen, ranks = 1 } = parts;
  const facts = await hostFacts(host, options);
  const key = facts && compilationKey({ spec, classes, models, ranks, ...facts });
  const folder = claim?.goesOn ? join(claim.directory, BUNDLE_FOLDER) : undefined;
  const upToDate = async () => (folder && key ? await readUpToDate(folder, key) : undefined);
  const initialValues = initial?.values ?? frozen;
  const cut = { accumulate: spec.accumulate, ranks };
  const wanted = { ...models, ranks, initialValues, graphs: (name: string) => isUsed(name, cut) };
  const compileNow = async (): Promise<HostBundle> => {
    const made = await compileForHost(
      host,
      (more) => compile(spec, classes, { ...wanted, ...more }),
      options,
    );
    claim?.compareBundle(made.bundle, models.trunk);
    initial?.refuseNone();
    return made;
  };
  const known = await upToDate();
  const compiled = known ? undefined : await compileNow();
  if (known) claim?.compareState(known.state);
  const { directory, lockNotes } = await parts.openDirectory();
  // Another trainer may have written there before the folder was locked.
  const kept = known && (await upToDate());
  if (kept) return { manifest: kept, directory, initial: undefined, notes: [], lockNotes };
  const { bundle, notes } = compiled ?? (await compileNow());
  const written = { withoutState: true, key };
  if (!claim?.goesOn) await writeFrozen(directory, initial?.frozen(bundle.manifest.parameters) ?? []);
  const manifest = await writeBundleDirectory(join(directory, BUNDLE_FOLDER), bundle, written);
  return { manifest, directory, initial: claim?.goesOn ? undefined : bundle.state, notes, lockNotes };
}

/** Whether a run of the spec has a use for a graph: its steps are whole ones, or made of micro-batches. */
function isUsed(graph: string, cut: StepCut): boolean {
  const unused = accumulates(cut) ? ["train", onFeatures("train")] : ["grad", "apply", onFeatures("grad")];
  return !unused.includes(graph);
}
