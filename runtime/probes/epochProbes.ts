// What is looked at after an epoch to judge the features themselves: a linear classifier on them, quarter
// turns, nearest images, kernels. Reads the weights as they are, on graphs and threads of its own, and
// changes nothing of what trains: a run with probes ends with the bits of one without. What cannot be
// probed is told and stops nothing.
import { join } from "node:path";
import { MttcError } from "../../compiler/diagnostics.ts";
import { exportTrunk } from "../../compiler/export/exportFeatures.ts";
import type { Spec } from "../../compiler/spec/schema.ts";
import type { Task } from "../../compiler/tasks/task.ts";
import { LoaderThread } from "../batches/loaderThread.ts";
import { writeDirectoryAtomically } from "../files/atomicDirectory.ts";
import { refuseForeignFolder } from "../files/ownOutput.ts";
import { imageFormat } from "../images/images.ts";
import type { LabelledRows } from "../labels/classes.ts";
import type { OrtHost } from "../ort/ortHost.ts";
import type { ImageRows } from "../tables/imageRows.ts";
import { probeDownstream } from "./downstreamProbe.ts";
import { FeatureModel, type FeatureSource } from "./featureModel.ts";
import { drawKernels, firstKernels, type KernelParameter } from "./kernelSheet.ts";
import type { ProbeLabels } from "./probeLabels.ts";
import { ProbeResults, type Projection, type Vectors } from "./probeResults.ts";
import { isDue, nearestCount, type ProbeSettings } from "./probeSettings.ts";
import { projectionOf } from "./projection.ts";
import { probeTurns } from "./turnProbe.ts";

/** Folder in the run's that holds a folder for each epoch that was probed. */
export const PROBES_FOLDER = "probes";
/** The list of what an epoch's folder holds, by which it is known as ours. */
const [LIST_FILE, LIST_FORMAT] = ["probes.json", "mttc-probes"];
/** Bytes of decoded images that are kept from one probe to the next. */
const KEPT_BYTES = 2 ** 28;

/** What a run lets its probes see. */
export interface ProbedRun {
  readonly spec: Spec;
  readonly host: OrtHost;
  /** Weights as they are now, read once a probe. */
  readonly source: FeatureSource;
  readonly parameters: readonly KernelParameter[];
  readonly tasks: readonly Task[];
  readonly downstream: ProbeLabels | undefined;
  readonly val: LabelledRows | undefined;
  /** The run's folder; undefined where nothing is kept. */
  readonly directory: string | undefined;
}

/** What becomes of a probe's results while training goes on. */
export interface ProbeHooks {
  readonly log: (message: string) => void;
  readonly picture: (picture: { name: string; epoch: number; png: Uint8Array }) => void;
  readonly projection: (projection: Projection) => void;
}

/** The probes of a run while it trains; close them in the end. */
export class EpochProbes implements AsyncDisposable {
  readonly #run: ProbedRun;
  readonly #settings: ProbeSettings;
  readonly #hooks: ProbeHooks;
  #reader: LoaderThread | undefined;
  /** Of a frozen fcn: what its features gave, which is the same in every epoch. */
  #downstream: Float32Array | undefined;
  #turns: ProbeResults | undefined;
  #hasSaidFrozen = false;

  constructor(run: ProbedRun, settings: ProbeSettings, hooks: ProbeHooks) {
    this.#run = run;
    this.#settings = settings;
    this.#hooks = hooks;
  }

  /**
   * Probes the model as it is after `epoch`, as far as that is asked for, and returns figures by name. Stops
   * early when the signal aborts. InternalError alone is thrown.
   */
  async after(epoch: number, signal?: AbortSignal): Promise<Record<string, number>> {
    const { linear_probe, rotation_test, save_projections, visualize_kernels, log_fcn } = this.#settings;
    const due = {
      linear: this.#run.downstream !== undefined && isDue(linear_probe, epoch),
      turns: isDue(rotation_test, epoch),
      projections: isDue(save_projections, epoch),
      kernels: isDue(visualize_kernels, epoch),
      fcn: isDue(log_fcn, epoch),
    };
    if (signal?.aborted || !Object.values(due).includes(true)) return {};
    const began = performance.now();
    const results = new ProbeResults(epoch);
    const source = readOnce(this.#run.source);
    const guarded = async (what: string, body: () => Promise<void>): Promise<void> => {
      if (signal?.aborted) return;
      try {
        await body();
      } catch (error) {
        if (!(error instanceof MttcError)) throw error;
        if (error.code !== "E_INTERRUPTED")
          this.#hooks.log(`warning: epoch ${epoch}: ${what} is left out: ${error.message}`);
      }
    };
    await using lazy = new LazyVectors(() => this.#open(source), signal);
    if (due.linear) await guarded("the linear probe", () => this.#probeLinear(results, lazy, signal));
    if (due.turns) await guarded("the rotation test", () => this.#probeTurns(results, lazy, signal));
    if (due.projections) await guarded("the projection", () => this.#project(results, lazy));
    if (due.kernels) await guarded("the picture of kernels", () => this.#drawKernels(results, source));
    if (due.fcn) await guarded("the fcn", () => this.#keepFcn(results, source));
    if (signal?.aborted) return {};
    await guarded("what the probes wrote", () => this.#write(results));
    results.scalars["probe/seconds"] = (performance.now() - began) / 1000;
    this.#tell(results);
    return results.scalars;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#reader?.close();
    this.#reader = undefined;
  }

  async #open(source: FeatureSource) {
    const { spec, host } = this.#run;
    const pooling = this.#settings.avpool ? "average" : "none";
    const model = await FeatureModel.open(host, source, { pooling });
    this.#reader ??= new LoaderThread({ format: imageFormat(spec), cacheBytes: KEPT_BYTES });
    return { model, streams: this.#reader, parallel: spec.num_parallel_calls };
  }

  get #isFrozen(): boolean {
    return this.#run.spec.train_fcn === false;
  }

  /** Vectors of all downstream rows; of a frozen fcn they are computed once. */
  async #downstreamVectors(lazy: LazyVectors, labels: ProbeLabels): Promise<Float32Array> {
    const vectors = this.#downstream ?? (await lazy.of(labels.rows));
    if (this.#isFrozen) this.#downstream = vectors;
    return vectors;
  }

  async #probeLinear(results: ProbeResults, lazy: LazyVectors, signal?: AbortSignal): Promise<void> {
    const { downstream, spec } = this.#run;
    if (!downstream) return;
    const vectors = await this.#downstreamVectors(lazy, downstream);
    const nearest = nearestCount(this.#settings.query_fig);
    await probeDownstream(results, { labels: downstream, vectors, spec, nearest, signal });
  }

  async #probeTurns(results: ProbeResults, lazy: LazyVectors, signal?: AbortSignal): Promise<void> {
    const { downstream, val, spec } = this.#run;
    const rows = downstream?.rows ?? val;
    if (!rows) return;
    if (!this.#turns) {
      const found = new ProbeResults(results.epoch);
      await probeTurns(found, { rows, vectors: lazy, spec, signal });
      if (this.#isFrozen) this.#turns = found;
      return addResults(results, found);
    }
    addResults(results, this.#turns);
  }

  async #project(results: ProbeResults, lazy: LazyVectors): Promise<void> {
    const { downstream, val, tasks, spec } = this.#run;
    const known = downstream && this.#downstream;
    results.projection = await projectionOf({
      ...{ epoch: results.epoch, downstream, val, tasks, spec, vectors: lazy },
      ...(known && { known }),
      files: results.files,
      note: (text) => results.told.push(text),
    });
  }

  async #drawKernels(results: ProbeResults, source: FeatureSource): Promise<void> {
    const kernels = firstKernels(this.#run.parameters, await source.parameters());
    if (!kernels) {
      results.told.push("no picture of kernels: the fcn has no convolution with kernels of its own");
      return;
    }
    const title = `Kernels of ${kernels.name} after epoch ${results.epoch}`;
    results.draw("kernels", "kernels.png", await drawKernels(kernels, title));
    results.told.push("kernels drawn");
  }

  async #keepFcn(results: ProbeResults, source: FeatureSource): Promise<void> {
    const { spec } = this.#run;
    const network = { spec, values: await source.parameters(), trunk: await source.trunk() };
    results.files.set("fcn.onnx", exportTrunk(network));
    results.told.push("fcn kept");
  }

  async #write(results: ProbeResults): Promise<void> {
    const { files, epoch } = results;
    const { directory } = this.#run;
    if (directory === undefined || files.size === 0) return;
    const folder = join(directory, PROBES_FOLDER, `epoch-${String(epoch).padStart(4, "0")}`);
    await refuseForeignFolder(folder, { listFile: LIST_FILE, format: LIST_FORMAT });
    const names = [...new Set([...files.keys()].map((name) => name.split("/")[0] ?? name))];
    results.json(LIST_FILE, { format: LIST_FORMAT, epoch, files: names, scalars: results.scalars });
    // An epoch that was probed and then killed before it was saved is trained again, to the same bits.
    await writeDirectoryAtomically(folder, files, { replace: true });
  }

  #tell({ epoch, told, pictures, projection, scalars }: ProbeResults): void {
    const { log, picture } = this.#hooks;
    for (const { name, png } of pictures) picture({ name, epoch, png });
    if (projection) this.#hooks.projection(projection);
    const seconds = (scalars["probe/seconds"] ?? 0).toFixed(1);
    if (told.length > 0) log(`probes of epoch ${epoch}: ${told.join("; ")} (${seconds} s)`);
    if (!this.#isFrozen || this.#hasSaidFrozen || !this.#downstream) return;
    this.#hasSaidFrozen = true;
    log("the fcn is frozen: its features, and what probes find in them, are the same after every epoch");
  }
}

/** Parameters and trunk read when they are first asked for, and then held. */
function readOnce({ spec, ...source }: FeatureSource): FeatureSource {
  let parameters: ReturnType<FeatureSource["parameters"]> | undefined;
  let trunk: ReturnType<FeatureSource["trunk"]> | undefined;
  return {
    spec,
    parameters: () => {
      parameters ??= source.parameters();
      return parameters;
    },
    trunk: () => {
      trunk ??= source.trunk();
      return trunk;
    },
  };
}

/** A model that is opened when the first vectors are asked for. */
class LazyVectors implements Vectors, AsyncDisposable {
  readonly #open: () => Promise<OpenedModel>;
  readonly #signal: AbortSignal | undefined;
  #opened: Promise<OpenedModel> | undefined;
  width = 0;

  constructor(open: () => Promise<OpenedModel>, signal: AbortSignal | undefined) {
    this.#open = open;
    this.#signal = signal;
  }

  async of(rows: ImageRows, change?: (image: Uint8Array, row: number) => void): Promise<Float32Array> {
    this.#opened ??= this.#open();
    const { model, streams, parallel } = await this.#opened;
    this.width = model.width;
    return await model.vectors(rows, { streams, parallel, change, signal: this.#signal });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const opened = await this.#opened?.catch(() => undefined);
    await opened?.model[Symbol.asyncDispose]();
  }
}

interface OpenedModel {
  readonly model: FeatureModel;
  readonly streams: LoaderThread;
  readonly parallel: number;
}

function addResults(to: ProbeResults, from: ProbeResults): void {
  Object.assign(to.scalars, from.scalars);
  for (const [name, content] of from.files) to.files.set(name, content);
  to.pictures.push(...from.pictures);
  to.told.push(...from.told);
}
