// A trained run that is read: one of its checkpoints behind the graph that was compiled for it, to evaluate,
// to predict and to export. It takes no lock, writes nothing, compiles nothing, and needs neither the
// training labels nor their images; a run may train meanwhile.
import { availableParallelism } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import type { Manifest, StoredManifest } from "../../compiler/bundle/manifest.ts";
import { tasksOf } from "../../compiler/bundle/manifestTasks.ts";
import { compile } from "../../compiler/compile.ts";
import { MttcError } from "../../compiler/diagnostics.ts";
import { type ImportedTrunk, importedValues } from "../../compiler/model/importedTrunk.ts";
import type { TaskClasses } from "../../compiler/model/network.ts";
import type { ImportedFcn, Spec } from "../../compiler/spec/schema.ts";
import { LoaderThread } from "../batches/loaderThread.ts";
import { imageFormat } from "../images/images.ts";
import { readForeignModels } from "../models/foreignModels.ts";
import { OrtHost } from "../ort/ortHost.ts";
import { deviceNote } from "../ort/provider.ts";
import { ortOptions, type RuntimeOptions } from "../ort/runtimeOptions.ts";
import { readBundleDirectory } from "../runs/bundleDirectory.ts";
import { type CheckpointWanted, type ChosenCheckpoint, readCheckpoint } from "../runs/checkpointChoice.ts";
import type { LoadedCheckpoint } from "../runs/checkpoints.ts";
import { refuseOtherTensors } from "../runs/checkpointTensors.ts";
import { readFingerprint } from "../runs/fingerprint.ts";
import { refuseDivergedCheckpoint } from "../runs/finiteTensors.ts";
import { readFrozen } from "../runs/frozenWeights.ts";
import { storedParameters } from "../runs/parameterTensors.ts";
import { RunFolder } from "../runs/runFolder.ts";
import { stampRows } from "../runs/runSources.ts";
import { cutOfRun, readTrunkAgain } from "../runs/trunkReading.ts";
import type { ImageRows } from "../tables/imageRows.ts";
import { evenlySpread } from "../tables/rowOrder.ts";
import { EvaluationDevice } from "./evaluationDevice.ts";
import {
  type EvaluationChoice,
  type EvaluationRows,
  evaluationLabels,
  tableOfRun,
} from "./evaluationLabels.ts";
import type { EvaluationReport } from "./evaluationReport.ts";
import { fittedEntry } from "./fittedTasks.ts";
import {
  evaluateRows,
  outputsOfRows,
  predictImages,
  predictPaths,
  type Scoring,
  type WantedOutput,
} from "./scoring.ts";

/** How a run is read. */
export interface ReadOptions {
  /** Which checkpoint; E_CKPT_NONE where there is none such. */
  readonly checkpoint?: CheckpointWanted | undefined;
}

export class TrainedRun implements AsyncDisposable {
  readonly folder: RunFolder;
  readonly #manifest: StoredManifest;
  /** The checkpoint that was chosen, its weights alone; its `choice` says which it is. */
  readonly checkpoint: ChosenCheckpoint;
  /** What is to be said of the run and its checkpoints, one sentence each. */
  readonly warnings: readonly string[];
  readonly #host: OrtHost;
  readonly #scoring: Scoring;
  readonly #reader: LoaderThread;

  private constructor(
    folder: RunFolder,
    manifest: StoredManifest,
    checkpoint: ChosenCheckpoint,
    open: { readonly host: OrtHost; readonly device: EvaluationDevice },
  ) {
    const { host, device } = open;
    const onDevice = deviceNote(host.provider);
    this.folder = folder;
    this.#manifest = manifest;
    this.checkpoint = checkpoint;
    this.#host = host;
    this.#reader = new LoaderThread({ format: imageFormat(folder.spec) });
    const parallel = folder.spec.num_parallel_calls;
    const { batchSize } = manifest;
    const tasks = manifest.tasks.map((entry) => fittedEntry(entry, this.history.at(-1)));
    this.#scoring = { manifest: { batchSize, tasks }, device, reader: this.#reader, parallel };
    this.warnings = [
      ...(host.note === undefined ? [] : [host.note]),
      ...(onDevice === undefined ? [] : [onDevice]),
      ...(device.fallback === undefined ? [] : [device.fallback]),
      ...folder.notes,
      ...checkpoint.warnings,
    ];
  }

  /**
   * Opens the run in `logdir` at a checkpoint: without a wish its best one, or the newest where the spec says
   * `keep: newest` or none is marked. E_FILE where there is no run; E_CKPT_NONE; E_CKPT_MISMATCH where it
   * does not fit the bundle beside it; E_BUNDLE, E_CKPT_CORRUPT where files were changed; E_ORT_LOAD, E_ORT.
   */
  static async open(
    logdir: string,
    runtime: RuntimeOptions = {},
    { checkpoint: wanted }: ReadOptions = {},
  ): Promise<TrainedRun> {
    const folder = await RunFolder.open(logdir);
    const { spec } = folder;
    const manifest = await readBundle(folder.bundle);
    const checkpoint = await readWeights(folder, manifest, wanted);
    const host = await OrtHost.start({
      ...ortOptions(runtime, spec.precision !== "fp32"),
      intraOpThreads: runtime.threads ?? availableParallelism(),
    });
    try {
      const weights = new Map(
        [...EvaluationDevice.stateOf(manifest)].map((name) => [name, dataOf(checkpoint, name)]),
      );
      const device = await EvaluationDevice.open(host, folder.bundle, manifest, weights);
      return new TrainedRun(folder, manifest, checkpoint, { host, device });
    } catch (error) {
      await host.close();
      throw error;
    }
  }

  get spec(): Spec {
    return this.folder.spec;
  }

  /** Reports of the finished epochs, as the checkpoint has them. */
  get history(): readonly unknown[] {
    const { history } = this.checkpoint.progress;
    return Array.isArray(history) ? history : [];
  }

  get directory(): string {
    return this.folder.directory;
  }

  /** What was compiled for the run. */
  async manifest(): Promise<StoredManifest> {
    return this.#manifest;
  }

  /**
   * The rows to be evaluated on, as their table is now, under the run's classes: those that `choice` names,
   * else the validation rows, else the training rows. Throws what evaluationLabels throws.
   */
  async labels(choice: EvaluationChoice = {}): Promise<EvaluationRows> {
    return await evaluationLabels(this.folder, tasksOf(this.#manifest), choice);
  }

  /**
   * Up to so many images of the evaluation's table, evenly spread, whatever their labels; those that are not
   * there, or may not be read, are left out. E_FILE, E_CSV_* where there is no table.
   */
  async evaluationRows(most: number): Promise<ImageRows> {
    const { split, table } = await tableOfRun(this.folder, undefined);
    const found: number[] = [];
    for (const row of evenlySpread(most, table.paths.length)) {
      const paths = [table.paths.at(row) ?? ""];
      try {
        await stampRows(this.folder, split, { paths, locate: () => table.locate(row) });
        found.push(row);
      } catch (error) {
        if (!(error instanceof MttcError)) throw error;
      }
    }
    return {
      paths: found.map((row) => table.paths.at(row) ?? ""),
      locate: (row) => table.locate(found[row] ?? 0),
    };
  }

  /** The validation rows alone; undefined where there are none. Errors as of `labels`. */
  async validation(): Promise<EvaluationRows | undefined> {
    const rows = await this.labels();
    return rows.split === "val" ? rows : undefined;
  }

  /** Evaluates on `rows`, those of `labels`; tags by the thresholds that the run's validation has fitted. */
  async evaluate({ rows }: Pick<EvaluationRows, "rows">): Promise<EvaluationReport> {
    return await evaluateRows(this.#scoring, rows);
  }

  /** What is wanted of each task, float32 [rows, width] row-major, of `rows` (those of `labels`, say). */
  async outputsOf(rows: ImageRows, wanted: WantedOutput): Promise<Map<string, Float32Array>> {
    return await outputsOfRows(this.#scoring, rows, wanted);
  }

  /** Class probabilities per task, float32 [paths, classes] row-major, of image files. */
  async predict(paths: readonly string[]): Promise<Map<string, Float32Array>> {
    return await predictPaths(this.#scoring, paths);
  }

  /** The same of images in memory: bytes of [count,H,W,C] numbers as the reader gives them. */
  async predictImages(images: Uint8Array, wanted?: WantedOutput): Promise<Map<string, Float32Array>> {
    return await predictImages(this.#scoring, images, wanted);
  }

  /** The imported network behind the spec's fcn. E_CKPT_MISMATCH where its file is another now. */
  async trunk(): Promise<ImportedTrunk | undefined> {
    const { fcn } = this.folder.spec;
    const { progress, path } = this.checkpoint;
    const trunk = await readTrunkAgain(this.folder, { stored: readFingerprint(progress, path), path });
    return trunk && "path" in fcn ? await this.#asTrained(trunk, fcn) : undefined;
  }

  /** The imported network as it was read for the run, whatever this mttc would take by default. */
  async #asTrained(trunk: ImportedTrunk, fcn: ImportedFcn): Promise<ImportedTrunk | undefined> {
    const { spec, baseDirectory, bundle } = this.folder;
    const options = { ...spec, teacher: null };
    const isSame = this.#manifest.trunk?.output === trunk.graph.outputs[0]?.name;
    const cut = isSame ? undefined : await cutOfRun(bundle, compile(options, this.classes, { trunk }), trunk);
    const read = cut
      ? await readForeignModels({ ...options, fcn: { ...fcn, output: cut } }, baseDirectory, this.classes)
      : { trunk };
    const scale = this.#manifest.trunk?.scale;
    const pixelScale = scale == null || scale === 1 / spec.norm ? undefined : scale;
    return read.trunk && { ...read.trunk, pixelScale };
  }

  /**
   * All parameters by name, row-major float32: trained ones of the checkpoint as evaluations read them (their
   * averages, where the run keeps them), frozen ones as they always were.
   */
  async parameters(): Promise<Map<string, Float32Array>> {
    const trunk = await this.trunk();
    const imported = trunk && importedValues(trunk, this.spec);
    const frozen = await readFrozen(this.directory);
    const { checkpoint, spec } = this;
    // Of a frozen trunk another mttc may have taken other tensors for parameters.
    const values = new Map<string, Float32Array>();
    for (const [name, data] of imported ?? []) values.set(name, data.slice());
    const stored = storedParameters({ manifest: this.#manifest, checkpoint, frozen, seed: spec.seed });
    for (const [name, data] of stored) values.set(name, data);
    return values;
  }

  get classes(): TaskClasses {
    return tasksOf(this.#manifest).map(({ description }) => description);
  }

  async close(): Promise<void> {
    await this.#reader.close();
    await this.#host.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/**
 * Times that a bundle is looked for, and milliseconds between: one that is being replaced is back at once.
 */
const BUNDLE_ATTEMPTS = 5;
const BUNDLE_PAUSE_MS = 40;

/** The manifest of a run's bundle, which a run that is gone on with may be replacing. E_BUNDLE, E_FILE. */
async function readBundle(directory: string): Promise<StoredManifest> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await readBundleDirectory(directory, ["evaluate"]);
    } catch (error) {
      if (!(error instanceof MttcError) || attempt === BUNDLE_ATTEMPTS) throw error;
      await sleep(BUNDLE_PAUSE_MS);
    }
  }
}

/** The checkpoint, checked against the bundle, without what only training needs. */
async function readWeights(
  { directory, spec }: RunFolder,
  manifest: Manifest,
  asked: CheckpointWanted | undefined,
): Promise<ChosenCheckpoint> {
  const checkpoint = await readCheckpoint(
    directory,
    asked ?? (spec.keep === "newest" ? "newest" : undefined),
  );
  const names = new Set([
    ...EvaluationDevice.stateOf(manifest),
    ...manifest.parameters.map(({ name }) => name),
  ]);
  const wanted = manifest.state.filter(({ name }) => names.has(name));
  // Copies: the whole file would stay in memory behind views of it.
  const tensors = new Map(
    [...checkpoint.tensors].flatMap(([name, tensor]) =>
      names.has(name) ? [[name, { ...tensor, data: new Uint8Array(tensor.data) }] as const] : [],
    ),
  );
  refuseOtherTensors(wanted, { ...checkpoint, tensors }, new Set());
  refuseDivergedCheckpoint({ ...checkpoint, tensors });
  return { ...checkpoint, tensors };
}

function dataOf({ tensors, path }: LoadedCheckpoint, name: string): Uint8Array {
  const data = tensors.get(name)?.data;
  if (data) return data;
  throw new MttcError({ code: "E_CKPT_MISMATCH", message: `${name} is missing`, at: { file: path } });
}
