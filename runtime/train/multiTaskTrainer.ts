// The public trainer: construct it with labels, tasks, fcn and options, then `await trainer.fit(10)`. It
// compiles the experiment, trains it on ONNX Runtime, evaluates after each epoch and saves a checkpoint of
// it.
import { resolve } from "node:path";
import type { Manifest } from "../../compiler/bundle/manifest.ts";
import { tasksOf } from "../../compiler/bundle/manifestTasks.ts";
import { MttcError } from "../../compiler/diagnostics.ts";
import { type ImportedTrunk, importedValues } from "../../compiler/model/importedTrunk.ts";
import { initialValue } from "../../compiler/model/initialValues.ts";
import type { Spec } from "../../compiler/spec/schema.ts";
import type { Task } from "../../compiler/tasks/task.ts";
import { writeRunSheet } from "../augment/runSheet.ts";
import type { EvaluationRows } from "../infer/evaluationLabels.ts";
import type { EvaluationReport } from "../infer/evaluationReport.ts";
import {
  evaluateRows,
  outputsOfRows,
  predictImages,
  predictPaths,
  type WantedOutput,
} from "../infer/scoring.ts";
import { TrainedRun } from "../infer/trainedRun.ts";
import type { LabelledRows } from "../labels/classes.ts";
import { refuseSinks } from "../logs/runLogs.ts";
import type { RuntimeOptions } from "../ort/runtimeOptions.ts";
import type { ProbeOptions } from "../probes/probeSettings.ts";
import { readForeignState } from "../runs/foreignState.ts";
import type { ImageRows } from "../tables/imageRows.ts";
import { Adoption } from "./adoption.ts";
import { proveCaptureOf } from "./captureProof.ts";
import { type EpochReport, EventHub, type TrainerEvents } from "./events.ts";
import { type Experiment, experimentFromRun } from "./experiment.ts";
import { parameterValues, readProgress } from "./progress.ts";
import type { RankGroup } from "./ranks.ts";
import { SittingLog } from "./sittingLog.ts";
import {
  refuseFit,
  refuseNoOptions,
  refuseNoPaths,
  refuseNoText,
  refuseRate,
  usageError,
} from "./trainerCalls.ts";
import { experimentFromOptions, type TrainerOptions } from "./trainerOptions.ts";
import { TrainingLoop } from "./trainingLoop.ts";
import { openProbes } from "./trainingProbes.ts";
import { type SessionOptions, TrainingSession } from "./trainingSession.ts";
import { untilLost } from "./untilLost.ts";

/** How to train; keys of probes stand in place of the spec's. */
export interface FitOptions extends ProbeOptions {
  /** Go on from logdir's newest checkpoint, with the run's values of keys not given; E_CKPT_NONE if none. */
  readonly resume?: boolean;
  /**
   * Go on although the training labels are not those of the checkpoint; the classes must be. Without it
   * that is E_CKPT_MISMATCH, which says how many rows differ.
   */
  readonly acceptNewLabels?: boolean;
  /**
   * Epochs that a schedule over the whole run (`one_cycle: true`) spans, where this call trains a part of
   * them; default: `epochs`. A run that has begun keeps what it began with.
   */
  readonly plannedEpochs?: number | undefined;
  /**
   * Go on with another learning rate, which the run then keeps; together with `resume`, and by a trainer that
   * has not trained yet.
   */
  readonly lr?: number;
  /** Stops at the next step, saves, and rejects with E_INTERRUPTED. */
  readonly signal?: AbortSignal;
}

/** How to run, and the processes that train together, of which this is rank 0. */
export interface TrainerRuntime extends RuntimeOptions {
  readonly ranks?: RankGroup | undefined;
}

/** How to adopt. */
export interface AdoptOptions {
  /** Epochs that are finished, of a file that does not say. */
  readonly epoch?: number | undefined;
  /** Ends the validation with E_INTERRUPTED. */
  readonly signal?: AbortSignal | undefined;
}

export class MultiTaskTrainer implements AsyncDisposable {
  #experiment: Experiment;
  readonly #runtime: TrainerRuntime;
  readonly #events = new EventHub();
  readonly #loop = new TrainingLoop(this.#events);
  /** Reports of the epochs that are finished, those before a resume included. */
  readonly history: readonly EpochReport[] = this.#loop.history;
  #session: TrainingSession | undefined;
  /** The run as it lies on the disk, until it is trained. */
  #run: TrainedRun | undefined;
  #isFitting = false;
  #closed = false;

  /**
   * Checks the options (E_CONFIG with all faults; E_USAGE for what holds none, such as a path); files are
   * read by the first method that needs them.
   */
  constructor(options: TrainerOptions | Experiment, runtime: TrainerRuntime = {}) {
    refuseNoOptions(options);
    this.#experiment = "spec" in options ? options : experimentFromOptions(options, runtime);
    this.#runtime = runtime;
  }

  /** As resolved; once a run is gone on with, its values of keys that the options leave out. */
  get spec(): Spec {
    return this.#experiment.spec;
  }

  /**
   * The trainer of a run that exists, at its newest checkpoint. Until `fit` goes on with it the run is only
   * read: nothing in its folder changes, and another process may train it. Errors as TrainedRun.open's.
   */
  static async fromRun(logdir: string, runtime: TrainerRuntime = {}): Promise<MultiTaskTrainer> {
    refuseNoText("fromRun", "the folder of a run", logdir);
    const run = await TrainedRun.open(logdir, runtime, { checkpoint: "newest" });
    try {
      const trainer = new MultiTaskTrainer(experimentFromRun(run.folder), runtime);
      const tasks = tasksOf(await run.manifest());
      trainer.#loop.takeHistory(readProgress(run.checkpoint, tasks).history);
      trainer.#run = run;
      return trainer;
    } catch (error) {
      await run.close();
      throw error;
    }
  }

  /**
   * Listens to "log", "progress", "step", "epoch", "picture", "embedding" or "checkpoint"; returns a function
   * that stops listening. E_USAGE for another event.
   */
  on<K extends keyof TrainerEvents>(event: K, listener: (value: TrainerEvents[K]) => void): () => void {
    return this.#events.on(event, listener);
  }

  /** Why `executionProvider: "auto"` came to the CPU, where that needs saying; known once a run is open. */
  get providerNote(): string | undefined {
    return this.#session?.host.note;
  }

  /** What a run that was opened by `fromRun` has to say: checkpoints that are damaged, data that moved. */
  get warnings(): readonly string[] {
    return this.#session?.warnings ?? this.#run?.warnings ?? [];
  }

  /**
   * Trains until `epochs` epochs are finished in all (default: the spec's), those of earlier calls and, on
   * resume, of earlier processes included, and returns the reports of all of them; says so where as many are
   * finished already. After each: evaluation on the validation labels, a checkpoint, a line in log.jsonl.
   * E_INTERRUPTED after saving when the signal aborts; E_DIVERGED for numbers that are not finite; E_USAGE
   * for other than a whole number of epochs, and while another call trains; all errors of data and files.
   */
  async fit(epochs: number = this.spec.epochs, options: FitOptions = {}): Promise<readonly EpochReport[]> {
    refuseFit(epochs, options);
    refuseInterrupt(options.signal);
    if (this.#isFitting) throw usageError("fit is called while another call of it trains", "await the first");
    this.#isFitting = true;
    const sitting = new SittingLog(this.#events);
    try {
      return await this.#train(epochs, options, sitting);
    } catch (error) {
      const cause = (await this.#runtime.ranks?.explained(error)) ?? error;
      throw this.#session?.leader?.located(cause) ?? cause;
    } finally {
      this.#isFitting = false;
      await sitting.end();
    }
  }

  async #train(epochs: number, options: FitOptions, sitting: SittingLog): Promise<readonly EpochReport[]> {
    const resumes = options.resume ?? this.#run !== undefined;
    const fresh = !this.#session?.trains;
    const { acceptNewLabels = false, lr } = options;
    refuseRate(lr, fresh && resumes);
    await refuseSinks(this.spec, process.env);
    const session = await this.#openToTrain({ existing: resumes, acceptNewLabels, lr });
    await session.checkTraining();
    await using probes = openProbes(session, options, this.#events, this);
    if (fresh && resumes) await this.#loop.resume(session);
    const log = (message: string): void => void this.#events.emit("log", { message });
    const { signal, plannedEpochs = epochs } = options;
    const orLost = <T>(work: (stop: AbortSignal | undefined) => Promise<T>): Promise<T> =>
      untilLost(session.failed, signal, work);
    const onProgress = this.#events.progressOf("images read");
    await orLost((stop) => session.checkImages({ log, signal: stop, onProgress }));
    await this.#loop.mendLog(session);
    await this.#loop.compare(session);
    const ends = this.#loop.hasEnded(session, epochs);
    await orLost(() => this.#drawSheet(session, log));
    const until = ends ? this.history.length : epochs;
    const epochsLeft = until - this.history.length;
    await orLost((stop) => session.prepareInputs({ log, signal: stop, epochsLeft }));
    if (!ends && session.device.awaitsProof) log(await proveCaptureOf(session, log, signal));
    if (!ends && this.spec.logdir !== null) await sitting.begin(session, this.history.length + 1);
    await this.#loop.run(session, { epochs: until, plannedEpochs, signal, probes });
    return this.history;
  }

  /**
   * Makes the run of a state that another program trained from the experiment's bundle (CONTRACT.md, State
   * and checkpoints), validates it and saves it as the run's first checkpoint, whose folder is returned: `fit`
   * goes on from there. Nothing is written where it is refused: E_CKPT_MISMATCH with every key of the spec,
   * task, model file and tensor that is another; E_ST_HEADER, E_ST_LAYOUT, E_CKPT_CORRUPT; E_DIVERGED for
   * numbers that are not finite; E_USAGE without a logdir, of a trainer that has trained, or where `epoch` is
   * wanted and not given, or the other way round; E_RUN_EXISTS, E_INTERRUPTED; all errors of data and files.
   */
  async adopt(file: string, { epoch, signal }: AdoptOptions = {}): Promise<string> {
    refuseNoText("adopt", "the file of a trained state", file);
    refuseInterrupt(signal);
    if (this.spec.logdir === null) throw usageError("adopt writes a run: the spec needs a logdir");
    if (this.#runtime.ranks)
      throw usageError("adopt is for one process", "the run that it makes is for any number");
    if (this.#run || this.#session)
      throw usageError("adopt begins a run: this trainer has one", "open another");
    const adoption = Adoption.of(await readForeignState(file), this.#experiment, epoch);
    const sitting = new SittingLog(this.#events);
    try {
      const session = await this.#openToTrain({ existing: false, adoption });
      for (const message of adoption.notes) this.#events.emit("log", { message });
      await sitting.begin(session, adoption.progress.epochs + 1);
      return await this.#loop.adopt(session, adoption, signal);
    } finally {
      await sitting.end();
    }
  }

  /** Evaluates on the validation labels, or, where there are none, on the training labels. */
  async evaluate(): Promise<EvaluationReport> {
    if (this.#run) return await this.#run.evaluate(await this.#run.labels());
    const session = await this.#open();
    return await evaluateRows(session, session.labels.val ?? session.labels.train);
  }

  /**
   * What each task serves, float32 [paths, width] row-major, of image files: probabilities of classes, say.
   * E_USAGE for other than a list of paths.
   */
  async predict(paths: readonly string[]): Promise<Map<string, Float32Array>> {
    refuseNoPaths("predict", paths);
    return await (this.#run?.predict(paths) ?? predictPaths(await this.#open(), paths));
  }

  /** The same of images in memory: bytes of [count,H,W,C] numbers as images are read. */
  async predictImages(images: Uint8Array, wanted?: WantedOutput): Promise<Map<string, Float32Array>> {
    return await (this.#run?.predictImages(images, wanted) ??
      predictImages(await this.#open(), images, wanted));
  }

  /** What is wanted of each task, float32 [rows, width] row-major, of the images of rows. */
  async outputsOf(rows: ImageRows, wanted: WantedOutput): Promise<Map<string, Float32Array>> {
    return await (this.#run?.outputsOf(rows, wanted) ?? outputsOfRows(await this.#open(), rows, wanted));
  }

  /** The validation rows and their labels; undefined where there are none. */
  async validation(): Promise<EvaluationRows | undefined> {
    if (this.#run) return await this.#run.validation();
    const { val } = (await this.#open()).labels;
    return val && { split: "val", table: undefined, rows: val, absent: [], warnings: [] };
  }

  /**
   * All parameters by name, row-major float32: trained ones as they are now, frozen ones as they always were.
   */
  async parameters(): Promise<Map<string, Float32Array>> {
    if (this.#run) return await this.#run.parameters();
    const session = await this.#open();
    const trunk = await session.trunk();
    const imported = trunk && importedValues(trunk, this.spec);
    return await parameterValues(
      session,
      (parameter) =>
        (session.frozen.get(parameter.name) ?? imported?.get(parameter.name))?.slice() ??
        initialValue(parameter, this.spec.seed),
    );
  }

  /** The imported network behind the spec's fcn, where there is one. */
  async trunk(): Promise<ImportedTrunk | undefined> {
    return await (this.#run ?? (await this.#open())).trunk();
  }

  /** What was compiled: tensors, tasks with their classes, preprocessing. */
  async manifest(): Promise<Manifest> {
    return this.#run ? await this.#run.manifest() : (await this.#open()).manifest;
  }

  /** The tasks of what was compiled; none before a run is open. */
  get tasks(): readonly Task[] {
    const manifest = this.#session?.manifest;
    return manifest ? tasksOf(manifest) : [];
  }

  /** Rows of the validation labels, or of the training labels where there are none. */
  async evaluationRows(): Promise<LabelledRows> {
    if (this.#run) return (await this.#run.labels()).rows;
    const { labels } = await this.#open();
    return labels.val ?? labels.train;
  }

  /** Folder of the run; undefined before it is opened. */
  get directory(): string | undefined {
    if (this.#run) return this.#run.directory;
    const { logdir } = this.spec;
    return this.#session && logdir !== null
      ? resolve(this.#experiment.baseDirectory, logdir)
      : this.#session?.directory;
  }

  async close(): Promise<void> {
    this.#closed = true;
    const [session, run] = [this.#session, this.#run];
    this.#session = undefined;
    this.#run = undefined;
    await session?.close();
    await run?.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** The session as it is, or one that leaves the logdir alone. */
  async #open(): Promise<TrainingSession> {
    return this.#session ?? (await this.#openSession({ existing: false, trains: false }));
  }

  /** A session that holds the logdir; what was open to be looked at is closed. */
  async #openToTrain(options: Omit<SessionOptions, "trains">): Promise<TrainingSession> {
    if (this.#session?.trains) return this.#session;
    const looking = [this.#session, this.#run];
    const session = await this.#openSession({ ...options, trains: true });
    this.#run = undefined;
    for (const open of looking) await open?.close();
    return session;
  }

  async #openSession(options: Omit<SessionOptions, keyof RuntimeOptions>): Promise<TrainingSession> {
    if (this.#closed)
      throw usageError("the trainer is closed", "open another: MultiTaskTrainer.fromRun(logdir)");
    this.#session = await TrainingSession.open(this.#experiment, { ...this.#runtime, ...options });
    this.#experiment = this.#session.experiment;
    for (const message of this.#session.warnings) this.#events.emit("log", { message });
    return this.#session;
  }

  /** Leaves a picture of the augmentation in the run's folder, and says so. */
  async #drawSheet(session: TrainingSession, log: (message: string) => void): Promise<void> {
    if (this.spec.logdir === null) return;
    const { paths } = session.labels.train;
    const message = await writeRunSheet(session.directory, this.spec, paths, this.#runtime.ortLibrary);
    if (message !== undefined) log(message);
  }
}

function refuseInterrupt(signal: AbortSignal | undefined): void {
  if (signal?.aborted)
    throw new MttcError({ code: "E_INTERRUPTED", message: "interrupted before the first step" });
}
