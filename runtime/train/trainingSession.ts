// Everything that is open while a run trains: labels, compiled bundle, ONNX Runtime's worker, device tensors,
// loader thread. Opening goes through the stages in order; closing undoes it.
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { StoredManifest } from "../../compiler/bundle/manifest.ts";
import { tasksOf } from "../../compiler/bundle/manifestTasks.ts";
import { MttcError } from "../../compiler/diagnostics.ts";
import type { ImportedTrunk } from "../../compiler/model/importedTrunk.ts";
import type { TaskClasses } from "../../compiler/model/network.ts";
import { specWarnings } from "../../compiler/spec/specWarnings.ts";
import { openTasks } from "../../compiler/tasks/openTask.ts";
import type { Task } from "../../compiler/tasks/task.ts";
import { LoaderThread } from "../batches/loaderThread.ts";
import { temporaryFolder } from "../files/temporaryFolder.ts";
import { imageFormat } from "../images/images.ts";
import type { PreparedLabels } from "../labels/classes.ts";
import { conflictWarnings } from "../labels/labelConflicts.ts";
import { readForeignModels } from "../models/foreignModels.ts";
import type { OrtHost } from "../ort/ortHost.ts";
import { deviceNote, providerTraits } from "../ort/provider.ts";
import type { RuntimeOptions } from "../ort/runtimeOptions.ts";
import type { PackHandle } from "../packs/packedImages.ts";
import { imageKind } from "../packs/packKind.ts";
import { readDownstream } from "../probes/downstreamTable.ts";
import type { ProbeLabels } from "../probes/probeLabels.ts";
import { type Fingerprint, fingerprintOf } from "../runs/fingerprint.ts";
import { readFrozen } from "../runs/frozenWeights.ts";
import { BUNDLE_FOLDER } from "../runs/runFolder.ts";
import type { RunInit } from "../runs/runOrigin.ts";
import { checkSources } from "../runs/runSources.ts";
import { readTrunkAgain } from "../runs/trunkReading.ts";
import { closeAll } from "../threads/closeAll.ts";
import { collectGarbage } from "../threads/garbage.ts";
import type { Adoption } from "./adoption.ts";
import type { Experiment } from "./experiment.ts";
import { FeatureCache } from "./featureCache.ts";
import { InitialWeights } from "./initialWeights.ts";
import type { RankLeader } from "./rankLeader.ts";
import type { RankGroup } from "./ranks.ts";
import { openRunBundle, type RunBundleParts } from "./runBundle.ts";
import { RunClaim } from "./runClaim.ts";
import { checkRunImages, type ImagesOptions } from "./runImages.ts";
import { judgeOfRun } from "./runJudge.ts";
import { openPack } from "./runPack.ts";
import { deviceWarnings, ledBy, openFollowers, startOrt } from "./sessionRanks.ts";
import { type RunLabels, readLabels } from "./trainerOptions.ts";
import { TrainingDevice } from "./trainingDevice.ts";

/** What input is prepared for. */
export interface PrepareOptions {
  readonly epochsLeft: number;
  readonly log: (message: string) => void;
  /** Ends the preparation with E_INTERRUPTED. */
  readonly signal?: AbortSignal | undefined;
}

export interface SessionOptions extends RuntimeOptions {
  /** Whether an existing run in logdir is gone on with; false refuses one (E_RUN_EXISTS). */
  readonly existing: boolean;
  /**
   * Whether the run is about to be trained, into its logdir; else that is left alone, and `checkTraining`
   * must precede training without one.
   */
  readonly trains: boolean;
  /** Go on although the training labels have changed. */
  readonly acceptNewLabels?: boolean | undefined;
  /** Go on with another learning rate. */
  readonly lr?: number | undefined;
  /** What a run that begins is made of, in place of its first epochs. */
  readonly adoption?: Adoption | undefined;
  /** The processes that train together; a session that is not trained is this one's alone. */
  readonly ranks?: RankGroup | undefined;
}

/** What a session is opened of. */
type SessionParts = Pick<
  TrainingSession,
  "experiment" | "labels" | "manifest" | "device" | "host" | "reader" | "directory" | "trains"
> &
  Pick<TrainingSession, "fingerprint" | "warnings" | "downstream" | "frozen" | "changedAt" | "leader"> & {
    readonly ranks: RankGroup | undefined;
  };

export class TrainingSession implements AsyncDisposable {
  /** Of a run that is gone on with, with its own values of keys that were not written. */
  readonly experiment: Experiment;
  readonly manifest: StoredManifest;
  readonly tasks: readonly Task[];
  readonly device: TrainingDevice;
  readonly host: OrtHost;
  readonly reader: LoaderThread;
  /**
   * The run's folder; a temporary one, removed on close, without a logdir, or where the run is not trained.
   */
  readonly directory: string;
  /** Whether steps may be taken: the run has its logdir, or needs none. */
  readonly trains: boolean;
  readonly fingerprint: Fingerprint;
  /** Labels that features are probed with, where the run is trained and the spec names some. */
  readonly downstream: ProbeLabels | undefined;
  readonly warnings: readonly string[];
  /** Frozen weights that the run took from elsewhere, by name. */
  readonly frozen: ReadonlyMap<string, Float32Array>;
  /** Finished epochs when the learning rate was changed last. */
  readonly changedAt: number;
  /** Where several processes train: rank 0's word to the others. */
  readonly leader: RankLeader | undefined;
  readonly #ranks: RankGroup | undefined;
  readonly #closers: (() => Promise<void>)[];
  #labels: RunLabels;
  #isTrainingChecked: boolean;
  #hasCheckedImages = false;
  #leftOut: string | undefined;
  #isPacked = false;
  #features: FeatureCache | undefined;

  private constructor(parts: SessionParts, closers: (() => Promise<void>)[], isTrainingChecked: boolean) {
    this.experiment = parts.experiment;
    this.#labels = parts.labels;
    this.#isTrainingChecked = isTrainingChecked;
    this.manifest = parts.manifest;
    this.tasks = tasksOf(parts.manifest);
    this.device = parts.device;
    this.host = parts.host;
    this.reader = parts.reader;
    this.directory = parts.directory;
    this.trains = parts.trains;
    this.fingerprint = parts.fingerprint;
    this.downstream = parts.downstream;
    this.warnings = parts.warnings;
    this.frozen = parts.frozen;
    this.changedAt = parts.changedAt;
    this.leader = parts.leader;
    this.#ranks = parts.ranks;
    this.#closers = closers;
  }

  /**
   * Opens everything and sets the state to its initial values, unless the run is gone on with: then its
   * checkpoint has the values. What was opened is closed again on an error.
   */
  static async open(experiment: Experiment, options: SessionOptions): Promise<TrainingSession> {
    const session = await TrainingSession.#open(experiment, options);
    // Weights of models, and what was compiled of them, have served.
    if (Object.keys(session.fingerprint.models).length > 0) collectGarbage();
    return session;
  }

  static async #open(given: Experiment, options: SessionOptions): Promise<TrainingSession> {
    const closers: (() => Promise<void>)[] = [];
    try {
      const claim = options.trains ? await RunClaim.look(given, options.existing, options) : undefined;
      const experiment = claim?.experiment ?? given;
      const { spec } = experiment;
      const ranks = options.trains ? ledBy(options.ranks, spec) : undefined;
      const labels = await openLabels(experiment, claim, options.trains);
      const classes = labels.tasks;
      if (options.trains) judgeOfRun(spec, labels.val, openTasks(classes));
      const downstream = options.trains ? await readDownstream(experiment) : undefined;
      const changed = await claim?.compareLabels(labels, options.acceptNewLabels ?? false);
      const starting = startOrt(spec, options, ranks, closers);
      const models = await readForeignModels(spec, experiment.baseDirectory, classes);
      claim?.compareModels(models);
      const fingerprint = fingerprintOf(spec, models, labels);
      const begin = await readBegin(experiment, claim, classes);
      claim?.compareInitial(begin.initial?.sha256);
      const host = await starting;
      const openIt = () =>
        openDirectory(claim, labels, { fingerprint, init: begin.initial?.record }, closers);
      const cut = { ranks: ranks?.size };
      const parts = { host, spec, classes, models, claim, openDirectory: openIt, ...begin, ...cut };
      const { manifest, directory, initial, notes, lockNotes } = await openRunBundle(parts, options);
      const reader = new LoaderThread({ format: imageFormat(spec), pulse: ranks?.hub.pulse });
      closers.push(() => reader.close());
      const { canCapture } = providerTraits(host.provider);
      const capturable = options.cudaGraph === true && canCapture && !ranks;
      const bundle = join(directory, BUNDLE_FOLDER);
      const led = ranks && (await openFollowers(ranks, spec, { directory: bundle, manifest }, closers));
      const device = await TrainingDevice.open(host, bundle, manifest, { ...led?.options, capturable });
      // Of an ONNX Runtime that is given up nothing is to be had back.
      if (ranks) closers.push(async () => await (host.isGone ? undefined : device[Symbol.asyncDispose]()));
      if (initial) await device.startFrom(initial);
      const warnings = [...lockNotes, ...models.notes, ...specWarnings(spec), ...labels.warnings, ...notes];
      warnings.push(...(downstream?.notes ?? []));
      if (options.trains) warnings.push(...(await conflictWarnings(labels)));
      if (changed !== undefined) warnings.unshift(changed);
      warnings.unshift(...(claim?.kept ?? []), ...(begin.initial?.lines() ?? []));
      if (host.note !== undefined) warnings.unshift(host.note);
      const onDevice = deviceNote(host.provider);
      if (onDevice !== undefined) warnings.unshift(onDevice);
      warnings.push(...deviceWarnings(host.provider, spec, options, ranks), ...device.fallbacks);
      return new TrainingSession(
        {
          ...{ experiment, labels, manifest, device, host, reader, directory, fingerprint, warnings },
          ...{ downstream, ranks, leader: led?.leader },
          trains: options.trains || spec.logdir === null,
          frozen: begin.initial?.values.frozen ?? begin.frozen ?? new Map(),
          changedAt: claim?.changedAt ?? 0,
        },
        closers,
        options.trains,
      );
    } catch (error) {
      await closeAll(closers);
      throw error;
    }
  }

  /**
   * The imported network behind the spec's fcn, read again: while a session is open its weights are in no
   * memory but the device's. Errors as readTrunkAgain's.
   */
  trunk(): Promise<ImportedTrunk | undefined> {
    return readTrunkAgain(this.experiment, { stored: this.fingerprint, path: this.directory });
  }

  /** The label tables; where their images have been checked, with the files' stamps. */
  get labels(): RunLabels {
    return this.#labels;
  }

  /** Checks the training images of a session that was opened for less. Throws what checkSources throws. */
  async checkTraining(): Promise<void> {
    if (this.#isTrainingChecked) return;
    this.#labels = await checkSources(this.experiment, this.#labels);
    // Pixels that an evaluation kept may be of files that were replaced since: the stamps are those of now.
    await this.reader.forget();
    this.#isTrainingChecked = true;
  }

  /** Images decoded at the same time; -1 chooses by the machine. */
  get parallel(): number {
    const { num_parallel_calls: wanted } = this.experiment.spec;
    return wanted === -1 ? (this.#ranks?.parallel ?? wanted) : wanted;
  }

  /** Which rows of every micro-batch this process takes, where it is one of several. */
  get share(): RankLeader["share"] | undefined {
    return this.leader?.share;
  }

  /** Of several processes, why one of them is lost, where that is what an error comes from. */
  async lostRank(error: unknown): Promise<MttcError | undefined> {
    const cause = await this.#ranks?.explained(error);
    return cause instanceof MttcError && cause.code === "E_RANK_LOST" ? cause : undefined;
  }

  /** Of several processes: aborted once another one is lost or has failed. */
  get failed(): AbortSignal | undefined {
    return this.#ranks?.hub.failed;
  }

  /** Does what takes its time although a rank is lost: until it is done this process is not ended for it. */
  async beforeTheEnd<T>(work: () => Promise<T>): Promise<T> {
    this.#ranks?.hub.hold(true);
    try {
      return await work();
    } finally {
      this.#ranks?.hub.hold(false);
    }
  }

  /** Other processes that evaluate some of the batches. */
  get peers(): RankLeader | undefined {
    return this.leader;
  }

  /**
   * Looks at every image, once for this session, and leaves rows out as the spec says. Throws what
   * checkRunImages throws.
   */
  async checkImages(options: ImagesOptions): Promise<void> {
    if (this.#hasCheckedImages) return;
    const { labels, leftOut } = await checkRunImages(this, options);
    this.#labels = labels;
    this.#leftOut = leftOut;
    this.#hasCheckedImages = true;
  }

  /** What is to be told of rows that are left out; undefined where all are there. */
  get leftOut(): string | undefined {
    return this.#leftOut;
  }

  /** What steps read in place of images, where the run has it. */
  get features(): FeatureCache | undefined {
    return this.#features;
  }

  /**
   * Brings about what the spec's `pack` and `cache_features` say: images or features that steps read, in the
   * next `epochsLeft` epochs; what is done already is not done again. Throws what preparePack and
   * FeatureCache.open throw; `log` is told what takes long.
   */
  async prepareInputs(options: PrepareOptions): Promise<void> {
    if (this.#features || options.epochsLeft < 1) return;
    if (this.leader) return await this.#prepareAll(this.leader, options);
    // With features no epoch reads an image: they are packed then only where the spec asks for it.
    const { pack, pack_format: packFormat } = this.experiment.spec;
    if (pack !== "auto" || packFormat === "jpeg") await this.#packImages(options);
    const { reader } = this;
    const { recipe: pixels } = imageKind(reader.format, packFormat);
    this.#features = await FeatureCache.open(this, { ...options, reader, pixels });
    if (!this.#features) {
      await this.#packImages(options);
      return;
    }
    const features = this.#features;
    await reader.forget();
    this.#closers.push(() => features[Symbol.asyncDispose]());
    await this.device.useFeatures();
  }

  /** The same where several processes train: no features, and the others read what this one reads. */
  async #prepareAll(leader: RankLeader, options: PrepareOptions): Promise<void> {
    const pack = await this.#packImages(options);
    const isTold = leader.useTables(this.labels);
    if (pack) for (const line of await leader.usePack(pack)) options.log(line);
    if (isTold && this.manifest.features)
      options.log(
        "the frozen part of the network runs in every epoch: features are kept by one process alone",
      );
  }

  async #packImages({ log, signal }: PrepareOptions): Promise<PackHandle | undefined> {
    if (this.#isPacked) return undefined;
    const pack = await openPack(this, log, signal);
    this.#isPacked = true;
    const { train, val } = this.labels;
    if (pack)
      await this.reader.usePacked(
        pack,
        [train, ...(val ? [val] : [])].map(({ paths }) => paths),
      );
    return pack;
  }

  async close(): Promise<void> {
    await closeAll(this.#closers);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** What a run begins with beside drawn values; one that is gone on with has it in its folder. */
async function readBegin(
  { spec, baseDirectory }: Experiment,
  claim: RunClaim | undefined,
  classes: TaskClasses,
): Promise<Pick<RunBundleParts, "initial" | "frozen">> {
  if (claim?.goesOn) return { initial: undefined, frozen: await readFrozen(claim.directory) };
  return { initial: await InitialWeights.read(spec, baseDirectory, classes), frozen: undefined };
}

/** Labels with the stamps of the images that are about to be read. */
async function openLabels(
  experiment: Experiment,
  claim: RunClaim | undefined,
  trains: boolean,
): Promise<RunLabels> {
  const classes = claim?.classes ?? experiment.classes;
  const knownTasks = claim?.knownTasks ?? experiment.knownTasks;
  const foldsMissing = claim?.foldsMissing ?? experiment.foldsMissing ?? false;
  const split = claim?.split ?? experiment.split;
  let labels: RunLabels;
  try {
    labels = await readLabels({ ...experiment, classes, knownTasks, foldsMissing, split });
  } catch (error) {
    throw claim ? claim.explained(error) : error;
  }
  return await checkSources(experiment, labels, trains ? "training" : "evaluation");
}

/** The run's folder, locked and described; without a claim a temporary one. */
async function openDirectory(
  claim: RunClaim | undefined,
  labels: PreparedLabels,
  { fingerprint, init }: { readonly fingerprint: Fingerprint; readonly init: RunInit | undefined },
  closers: (() => Promise<void>)[],
): Promise<{ directory: string; lockNotes: readonly string[] }> {
  if (claim) {
    const lock = await claim.take(labels, fingerprint, init);
    closers.push(() => lock.release());
    return { directory: claim.directory, lockNotes: lock.notes };
  }
  const directory = await temporaryFolder("session");
  closers.push(() => rm(directory, { recursive: true, force: true }));
  return { directory, lockNotes: [] };
}
