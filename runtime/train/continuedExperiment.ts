// An experiment -> the one that a run is gone on with: a key that its user did not write, and whose default
// is not what the run was trained with, is the run's. Reads model files only for checkpoints that hold a hash
// in place of their spec.
import { type Fault, MttcError } from "../../compiler/diagnostics.ts";
import type { KeyChange } from "../../compiler/spec/decisiveKeys.ts";
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import type { Spec, SpecInput } from "../../compiler/spec/schema.ts";
import { readForeignModels } from "../models/foreignModels.ts";
import {
  type Fingerprint,
  isOlderHash,
  type ModelHashes,
  type Resumption,
  settleSpec,
} from "../runs/fingerprint.ts";
import type { RunFolder } from "../runs/runFolder.ts";
import { type TrunkReading, withOpenSettings } from "../runs/trunkReading.ts";
import type { Experiment } from "./experiment.ts";

/** The run and its checkpoint. */
interface StoredRun {
  readonly stored: Fingerprint;
  /** The checkpoint's folder. */
  readonly path: string;
  /** How its imported fcn was read, where there is one. */
  readonly reading: TrunkReading | undefined;
  /** Undefined where it cannot be read. */
  readonly run: RunFolder | undefined;
}

/** What is gone on with. */
interface Continued {
  readonly experiment: Experiment;
  /** A line on which keys are the run's, with its values and the defaults, where some are. */
  readonly notes: readonly string[];
}

/**
 * E_CKPT_MISMATCH where a key that the user wrote differs, or the run's values do not go with what he wrote;
 * for checkpoints of earlier versions what readForeignModels throws.
 */
export async function continueExperiment(experiment: Experiment, past: StoredRun): Promise<Continued> {
  const { stored, path, reading, run } = past;
  const before: Resumption = {
    ...{ stored, path, runSpec: run?.spec },
    spec: withOpenSettings(experiment.spec, reading),
  };
  const { values, kept, refused } = settleSpec(before, experiment.given);
  if (kept.length === 0 || refused.length > 0) return { experiment, notes: [] };
  const models = typeof stored.spec === "string" ? await modelsOf(experiment, run) : undefined;
  // spec.yml may be of a resume that an earlier version refused: the hash knows.
  if (models && isOlderHash(before, models)) return { experiment, notes: [] };
  const spec = withValues(experiment.spec, values, kept, path);
  const after = { ...before, spec: withOpenSettings(spec, reading) };
  if (models && !isOlderHash(after, models)) return { experiment, notes: [] };
  return { experiment: { ...experiment, spec }, notes: [noteOf(kept)] };
}

/** The models that the spec names, whose hash is one with that of the spec. */
async function modelsOf(
  { spec, baseDirectory }: Experiment,
  run: RunFolder | undefined,
): Promise<ModelHashes> {
  const classes = Object.entries(run?.classes ?? {}).map(([task, names]) => ({ task, classes: names }));
  return await readForeignModels(spec, baseDirectory, classes);
}

/** The spec with values of the run, which must go with those that were written. */
function withValues(spec: Spec, values: Partial<Spec>, kept: readonly KeyChange[], path: string): Spec {
  try {
    return resolveSpec({ ...spec, ...values } as SpecInput);
  } catch (error) {
    if (!(error instanceof MttcError)) throw error;
    const fault: Fault = {
      code: "E_CKPT_MISMATCH",
      message: `the spec does not go with what the checkpoint was trained with: ${listed(kept)}`,
      at: { file: path },
    };
    throw new MttcError([fault, ...error.faults], { cause: error });
  }
}

function noteOf(kept: readonly KeyChange[]): string {
  return `the run keeps its own values of keys that the spec does not write: ${listed(kept)}`;
}

/** "lr 0.01 (default 0.001), seed 3 (default 0)". */
function listed(kept: readonly KeyChange[]): string {
  return kept.map(({ key, before, now }) => `${key} ${before} (default ${now})`).join(", ");
}
