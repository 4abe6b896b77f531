// The folder that a run trains into, from the first look to the lock. Everything that can be refused is found
// before anything slow is done, and before anything in the folder changes: `look` reads, `take` locks and
// describes the run.
import { join, resolve } from "node:path";
import type { Bundle, StateEntry } from "../../compiler/bundle/manifest.ts";
import type { StoredTensor } from "../../compiler/codec/safetensors.ts";
import { type Fault, MttcError } from "../../compiler/diagnostics.ts";
import type { ImportedTrunk } from "../../compiler/model/importedTrunk.ts";
import { removeLeftovers } from "../files/leftovers.ts";
import { acquireRunLock, type RunLock, refuseLocked } from "../files/runLock.ts";
import type { ClassNames, KnownTasks, PreparedLabels } from "../labels/classes.ts";
import type { SplitRecord } from "../labels/splitRecord.ts";
import { readCheckpoint } from "../runs/checkpointChoice.ts";
import { newestCheckpointName } from "../runs/checkpoints.ts";
import { refuseOtherTensors } from "../runs/checkpointTensors.ts";
import {
  type Fingerprint,
  hashLabels,
  type ModelHashes,
  type Resumption,
  readFingerprint,
  refuseOtherModels,
} from "../runs/fingerprint.ts";
import { changesText, labelChanges, writeLabelRecord } from "../runs/labelRecord.ts";
import { refuseForeignRun } from "../runs/ownRun.ts";
import { writePatchworkConfig } from "../runs/patchworkConfig.ts";
import { BUNDLE_FOLDER, hasRun, type RunDescription, RunFolder, writeRun } from "../runs/runFolder.ts";
import type { RunInit, RunOrigin } from "../runs/runOrigin.ts";
import {
  compiledReading,
  otherReading,
  storedReading,
  type TrunkReading,
  withOpenSettings,
} from "../runs/trunkReading.ts";
import { beginWith } from "../runs/waysOn.ts";
import type { Adoption } from "./adoption.ts";
import { changedAt, settleRate } from "./changedRate.ts";
import { continueExperiment } from "./continuedExperiment.ts";
import type { Experiment } from "./experiment.ts";
import { OPTIONAL_STATE } from "./progress.ts";

/** What a run that is gone on with was. */
interface Past extends Resumption {
  /** Name of its newest checkpoint, usable or not. */
  readonly newest: string | undefined;
  /** What the run keeps of keys that were not written, and what became of its rate; a line each. */
  readonly kept: readonly string[];
  /** What it began from, and changes of its rate, one that is made now included. */
  readonly origin: RunOrigin;
  /** Types and shapes of the tensors of the checkpoint, without data. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** The run's classes; undefined where run.json cannot be read. */
  readonly classes: ClassNames | undefined;
  readonly knownTasks: KnownTasks | undefined;
  readonly foldsMissing: boolean | undefined;
  readonly split: SplitRecord | undefined;
  /** How its imported fcn was read, where its bundle can be. */
  readonly reading: TrunkReading | undefined;
}

export class RunClaim {
  readonly directory: string;
  /** What is trained: of a run that is gone on with, with its own values of keys that were not written. */
  readonly experiment: Experiment;
  readonly #past: Past | undefined;
  /** What a run that begins is made of, in place of its first epochs. */
  readonly #adoption: Adoption | undefined;

  private constructor(directory: string, experiment: Experiment, past?: Past, adoption?: Adoption) {
    this.directory = directory;
    this.experiment = experiment;
    this.#past = past;
    this.#adoption = adoption;
  }

  /**
   * Looks whether a run may be trained into the spec's logdir, or gone on with there (`resumes`); undefined
   * without a logdir. `lr` is the rate to go on with; `adoption` what a run that begins is made of.
   * E_RUN_EXISTS, E_RUN_LOCKED, E_CKPT_NONE, E_CKPT_CORRUPT; E_CKPT_MISMATCH with the keys of the spec that
   * differ.
   */
  static async look(
    experiment: Experiment,
    resumes: boolean,
    { lr, adoption }: { readonly lr?: number | undefined; readonly adoption?: Adoption | undefined } = {},
  ): Promise<RunClaim | undefined> {
    const { spec, baseDirectory } = experiment;
    if (spec.logdir === null) return undefined;
    const directory = resolve(baseDirectory, spec.logdir);
    await refuseForeignRun(directory);
    await refuseLocked(directory);
    if (!resumes) {
      await refuseRun(directory);
      return new RunClaim(directory, adoption?.experiment ?? experiment, undefined, adoption);
    }
    const newest = await newestCheckpointName(directory);
    const checkpoint = await readCheckpoint(directory, "newest");
    const run = await RunFolder.open(directory).catch(describesNoRun);
    const reading = "path" in spec.fcn ? await storedReading(join(directory, BUNDLE_FOLDER)) : undefined;
    const { path } = checkpoint;
    const written = readFingerprint(checkpoint.progress, path);
    const rate = settleRate(experiment, { stored: written, checkpoint, run }, lr);
    const { stored } = rate.compared;
    const continued = await continueExperiment(rate.compared.experiment, { stored, path, reading, run });
    const past: Past = {
      // What the run left to the importer is compared once the model is read.
      ...{ newest, reading, path, stored, spec: withOpenSettings(continued.experiment.spec, reading) },
      kept: [...continued.notes, ...rate.notes, ...otherBegin(experiment, run)],
      origin: { ...run?.origin, init: run?.origin.init, changes: rate.changes },
      ...{ runSpec: run?.spec, classes: run?.classes, foldsMissing: run?.foldsMissing, split: run?.split },
      knownTasks: run?.knownTasks,
      tensors: new Map(
        [...checkpoint.tensors].map(([name, tensor]) => [name, { ...tensor, data: new Uint8Array() }]),
      ),
    };
    return new RunClaim(directory, rate.apply(continued.experiment), past);
  }

  /** Whether a run that exists is gone on with, from its checkpoint. */
  get goesOn(): boolean {
    return this.#past !== undefined;
  }

  /** Lines on the keys that are the run's, and on its rate. */
  get kept(): readonly string[] {
    return this.#past?.kept ?? [];
  }

  /** Finished epochs of the run when its rate was changed last. */
  get changedAt(): number {
    return changedAt(this.#past?.origin.changes ?? []);
  }

  /** The classes that labels are read under: those of the run, which cannot change. */
  get classes(): ClassNames | undefined {
    return this.#past?.classes;
  }

  /** Whether the run takes missing-value words in any case, which cannot change either. */
  get foldsMissing(): boolean | undefined {
    return this.#past?.foldsMissing;
  }

  /** Which rows the run has put where, if it has split its table. */
  get split(): SplitRecord | undefined {
    return this.#past?.split;
  }

  /** What the run knows of tasks that are not of classes, which cannot change either. */
  get knownTasks(): KnownTasks | undefined {
    return this.#past?.knownTasks;
  }

  /** What labels threw that are read under the classes of the run, with what can be done. */
  explained(error: unknown): unknown {
    const isClass = error instanceof MttcError && error.faults.every(({ code }) => code === "E_LABEL");
    if (!isClass || !this.#past?.classes) return error;
    const fault: Fault = {
      code: "E_CKPT_MISMATCH",
      message: "the labels have classes that the run was not trained with, and a run's classes cannot change",
      at: { file: this.#past.path },
      hint: `leave those labels empty; ${beginWith(this.experiment.spec.logdir)}, with more classes`,
    };
    return new MttcError([fault, ...error.faults], { cause: error });
  }

  /**
   * E_CKPT_MISMATCH where the training labels are not those of the checkpoint, unless `accepts`; otherwise a
   * line that says what changed, or nothing.
   */
  async compareLabels(labels: PreparedLabels, accepts: boolean): Promise<string | undefined> {
    this.#adoption?.compareLabels(labels);
    const past = this.#past;
    if (!past || past.stored.data === hashLabels(labels)) return undefined;
    const changes = await labelChanges(this.directory, past.stored.data, labels.train);
    const what = changes ? `: ${changesText(changes)}` : "";
    if (accepts && past.classes) return `the training labels have changed${what}; the run goes on with them`;
    throw new MttcError({
      code: "E_CKPT_MISMATCH",
      message: `the training labels are not those that the checkpoint was trained with${what}`,
      at: { file: past.path },
      hint: past.classes
        ? "--accept-new-labels (API: acceptNewLabels) goes on with the labels as they are now"
        : "run.json, which lists the run's classes, cannot be read: put the labels back",
    });
  }

  /** E_CKPT_MISMATCH where a model file is not the one that the run was trained with. */
  compareModels(models: ModelHashes): void {
    if (this.#past) refuseOtherModels(this.#past, models);
    this.#adoption?.compareModels(models);
  }

  /** E_CKPT_MISMATCH where the weights that a run begins with, by their hash, are not what it is made of. */
  compareInitial(sha256: string | undefined): void {
    this.#adoption?.compareInitial(sha256);
  }

  /**
   * E_CKPT_MISMATCH where what was compiled reads the imported fcn otherwise than the run did, or does not
   * take the checkpoint's tensors.
   */
  compareBundle(bundle: Bundle, trunk: ImportedTrunk | undefined): void {
    const past = this.#past;
    const now = past && compiledReading(bundle);
    if (past?.reading && now && trunk) {
      const faults = otherReading(past.reading, now, trunk);
      if (faults.length > 0) throw new MttcError(faults);
    }
    this.compareState(bundle.manifest.state);
  }

  /** E_CKPT_MISMATCH where a bundle's state is not what the checkpoint holds. */
  compareState(state: readonly StateEntry[]): void {
    if (this.#past) refuseOtherTensors(state, this.#past, OPTIONAL_STATE);
    this.#adoption?.compareState(state);
  }

  /**
   * Locks the folder and describes the run in it; `init` is what one that begins took from elsewhere.
   * E_RUN_LOCKED, E_RUN_EXISTS, E_FILE, E_DISK.
   */
  async take(labels: PreparedLabels, { data }: Fingerprint, init?: RunInit): Promise<RunLock> {
    const { directory } = this;
    const lock = await acquireRunLock(directory);
    try {
      // Somebody may have trained since `look`.
      if (!this.#past) await refuseRun(directory);
      else if ((await newestCheckpointName(directory)) !== this.#past.newest)
        throw new MttcError({
          code: "E_RUN_LOCKED",
          message: "another trainer has gone on with the run meanwhile",
          at: { file: directory },
          hint: "run the command again",
        });
      await removeLeftovers(directory);
      await writeLabelRecord(directory, labels.train, data);
      const foldsMissing = this.foldsMissing ?? this.experiment.foldsMissing ?? false;
      const { split } = labels;
      const adopted = this.#adoption?.record;
      const origin = this.#past?.origin ?? { init, adopted, changes: [] };
      const described = { ...this.experiment, ...factsOfLabels(labels), foldsMissing, split, origin };
      await writeRun(directory, described);
      await writePatchworkConfig(directory, this.experiment.spec);
    } catch (error) {
      await lock.release();
      throw error;
    }
    return lock;
  }
}

async function refuseRun(directory: string): Promise<void> {
  if (!(await hasRun(directory))) return;
  throw new MttcError({
    code: "E_RUN_EXISTS",
    message: "this folder holds a run already",
    at: { file: directory },
    hint: "go on with it by --resume (API: resume), or choose another logdir",
  });
}

/** A run whose description is lost or changed can be gone on with all the same: it is written anew. */
function describesNoRun(error: unknown): undefined {
  const codes: readonly string[] = ["E_FILE", "E_BUNDLE", "E_CONFIG", "E_CONFIG_PARSE"];
  if (error instanceof MttcError && codes.includes(error.code)) return undefined;
  throw error;
}

/** A line where the spec begins elsewhere than the run did: that is past. */
function otherBegin({ spec, given, baseDirectory }: Experiment, run: RunFolder | undefined): string[] {
  const now = spec.init_from;
  if (!run || !(given?.has("init_from") ?? now !== null)) return [];
  const before = run.origin.init?.from ?? null;
  const isSame =
    now !== null && before !== null && resolve(baseDirectory, now) === resolve(run.baseDirectory, before);
  if (isSame || now === before) return [];
  return [`init_from is for the first epoch: the run began with ${before ?? "drawn values"}, and goes on`];
}

/** What a run keeps of its tasks. */
function factsOfLabels({ tasks, classes }: PreparedLabels): Pick<RunDescription, "classes" | "knownTasks"> {
  const others = tasks.filter(({ task }) => !Object.hasOwn(classes, task));
  return { classes, knownTasks: Object.fromEntries(others.map((entry) => [entry.task, entry])) };
}
