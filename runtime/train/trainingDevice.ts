// The device's side of training: the state of a run in ONNX Runtime, which stays there from the first step to
// the last, and what steps and evaluations run there. deviceGraphs.ts has the graphs themselves,
// alternation.ts says which tensor a step reads and which it writes, stepRounds.ts in which order a step runs
// what.
import {
  type Bundle,
  type Manifest,
  type StateEntry,
  type TensorEntry,
  withRole,
} from "../../compiler/bundle/manifest.ts";
import { tasksOf } from "../../compiler/bundle/manifestTasks.ts";
import { dataByName } from "../../compiler/codec/safetensors.ts";
import { InternalError, type MttcError, need } from "../../compiler/diagnostics.ts";
import { AUGMENTED_TRUNK, onFeatures } from "../../compiler/step/featureGraphs.ts";
import type { Task } from "../../compiler/tasks/task.ts";
import { type WantedOutput, wantedOutputs } from "../infer/scoring.ts";
import type { GradientMeasures } from "../logs/gradientFigures.ts";
import { arrayOver } from "../ort/hostTensor.ts";
import type { HostTensor, OrtHost } from "../ort/ortHost.ts";
import { providerTraits } from "../ort/provider.ts";
import { transferableBuffers } from "../threads/callProtocol.ts";
import { Alternation, type Group } from "./alternation.ts";
import { DeviceGraphs, type GraphOptions } from "./deviceGraphs.ts";
import { type DeviceGroup, DeviceRanks } from "./deviceRanks.ts";
import {
  type BatchInput,
  batchData,
  type InputData,
  isShown,
  type MicroBatch,
  type StepScalars,
  scalarData,
} from "./microBatch.ts";
import { gradientMeasures, gradientOutputs, type StepResult, taskSums } from "./stepResult.ts";
import { graphOf, type Shown, type StepRounds, stepGraphs, stepRounds } from "./stepRounds.ts";

/** How a device is opened. */
export interface DeviceOptions extends GraphOptions {
  /** The processes that it trains together with. */
  readonly group?: DeviceGroup | undefined;
}

/** What a run of a graph changes, by its purpose. */
const CHANGED: Readonly<Record<StepPurpose, readonly Group[]>> = {
  train: ["weights", "factors", "statistics", "inputs"],
  grad: ["statistics", "accumulators", "inputs"],
  losses: ["losses", "inputs"],
  apply: ["weights"],
  factors: ["factors"],
};
type StepPurpose = NonNullable<StepRounds[keyof StepRounds]>;

/** A micro-batch that a graph takes. */
interface TakenBatch {
  readonly batch: MicroBatch;
  /** Its place in the logical batch. */
  readonly index: number;
  readonly scalars: StepScalars;
  /** What the same graph takes next, where that is known. */
  readonly following: MicroBatch | undefined;
  /** Whether anybody asks for figures. */
  readonly isTold: boolean;
}

/** What of a micro-batch goes into a run. */
interface RunInput extends Pick<TakenBatch, "index" | "isTold"> {
  readonly graph: string;
  /** What of it is not on the device yet. */
  readonly data: InputData;
  /** Of the next run, which the device is given meanwhile. */
  readonly staged: InputData;
}

export class TrainingDevice implements AsyncDisposable {
  readonly manifest: Manifest;
  readonly #host: OrtHost;
  readonly #ranks: DeviceRanks | undefined;
  readonly #alternation: Alternation;
  readonly #graphs: DeviceGraphs;
  readonly #rounds: StepRounds;
  readonly #tasks: readonly Task[];
  /** The micro-batch that lies in the device's other set of inputs already. */
  #staged: MicroBatch | undefined;
  /** The micro-batches of the present step, where further rounds take them. */
  #kept: MicroBatch[] = [];

  private constructor(host: OrtHost, directory: string, manifest: Manifest, options: DeviceOptions) {
    this.#host = host;
    const { group } = options;
    const alternation = new Alternation(manifest, {
      doublesInputs: this.stagesInputs,
      // Of several processes one may be lost in the middle of a step.
      keepsFinished: group !== undefined && manifest.accumulate > 1,
    });
    this.#alternation = alternation;
    this.#graphs = new DeviceGraphs(host, { directory, manifest }, alternation, options);
    this.#ranks = group && new DeviceRanks(host, group, manifest, (name) => alternation.current(name));
    this.manifest = manifest;
    this.#rounds = stepRounds(manifest);
    this.#tasks = tasksOf(manifest);
  }

  /** Opens the graphs that this spec needs from a bundle's folder and allocates all tensors. */
  static async open(
    host: OrtHost,
    directory: string,
    manifest: Manifest,
    options: DeviceOptions = {},
  ): Promise<TrainingDevice> {
    const device = new TrainingDevice(host, directory, manifest, options);
    const graphs = device.#graphs;
    for (const graph of [...stepGraphs(manifest, "image"), "evaluate"]) await graphs.open(graph);
    await graphs.allocate();
    return device;
  }

  /** What the provider's device leaves to the CPU, a line for each graph. */
  get fallbacks(): readonly string[] {
    return this.#graphs.fallbacks;
  }

  /** Whether steps are captured as graphs of the device, and replayed. */
  get captures(): boolean {
    return this.#graphs.captures;
  }

  set captures(captures: boolean) {
    this.#graphs.captures = captures;
  }

  /** Whether a micro-batch may go to the device while the one before it is computed. */
  get stagesInputs(): boolean {
    return providerTraits(this.#host.provider).memory !== null;
  }

  /**
   * Features, float32 [rows, ...], of a batch of images (bytes of [rows,H,W,C]), augmented by `rows` of
   * parameters where they are given.
   */
  async features(
    images: Uint8Array<ArrayBuffer>,
    augment?: Float32Array<ArrayBuffer>,
  ): Promise<Float32Array> {
    const graph = augment ? AUGMENTED_TRUNK : "trunk";
    if (!this.#graphs.isOpen(graph)) await this.#graphs.open(graph);
    const { height, width, channels, dtype } = this.manifest.preprocessing;
    const own = images.byteLength === images.buffer.byteLength ? images : images.slice();
    const pixels = arrayOver(dtype, own.buffer);
    const rows = pixels.length / (height * width * channels);
    const image: HostTensor = { dtype, shape: [rows, height, width, channels], data: pixels };
    const { inputs, outputs } = this.#graphs.entry(graph);
    const feeds: Record<string, HostTensor> = {};
    for (const { name } of withRole(inputs, "image")) feeds[name] = image;
    if (augment)
      for (const { name } of withRole(inputs, "augment"))
        feeds[name] = { dtype: "float32", shape: [rows, augment.length / rows], data: augment };
    const [found] = withRole(outputs, "features");
    const output = need(found, "output of features");
    const { data } = need((await this.#host.run(graph, feeds)).get(output.name), output.name);
    return data as Float32Array;
  }

  /** From now on steps take features, and evaluations images or features; does nothing the second time. */
  async useFeatures(): Promise<void> {
    const graphs = this.#graphs;
    const [ofImages, ofFeatures] = (["image", "features"] as const).map((shown) =>
      stepGraphs(this.manifest, shown),
    ) as [readonly string[], readonly string[]];
    const wanted = [...ofFeatures, onFeatures("evaluate")];
    if (wanted.every((graph) => graphs.isOpen(graph))) return;
    for (const graph of ["trunk", AUGMENTED_TRUNK, ...ofImages])
      if (graphs.isOpen(graph) && !wanted.includes(graph)) await graphs.close(graph);
    // What was found of the graph of images says nothing of that of features.
    graphs.captures = false;
    for (const graph of wanted) if (!graphs.isOpen(graph)) await graphs.open(graph);
    await graphs.allocate();
  }

  /** Why the steps' graphs cannot be captured; undefined where they can, or nobody asked. */
  get captureFault(): MttcError | undefined {
    return this.#graphs.captureFault;
  }

  /** Whether steps might be captured, and nobody has settled yet whether they are. */
  get awaitsProof(): boolean {
    return this.#graphs.awaitsProof;
  }

  /** Opens the steps' graphs anew, such that nothing can be captured; does nothing where nothing can be. */
  async giveUpCapture(): Promise<void> {
    await this.#graphs.giveUpCapture();
  }

  /** Gives bindings, tensors and graphs back; the host stays open. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#graphs[Symbol.asyncDispose]();
  }

  /** Sets the state that a bundle starts from, on a device just opened. */
  async startFrom(initial: Bundle["state"]): Promise<void> {
    // What the optimizer remembers is nothing yet, and tensors are zeros when they are allocated.
    await this.#write(dataByName(initial), ({ group }) => group !== "slot");
  }

  /** Sets the whole state; every tensor of the manifest must be there. */
  async writeState(tensors: ReadonlyMap<string, ArrayBufferView>): Promise<void> {
    await this.#write(tensors, () => true);
  }

  async #write(
    tensors: ReadonlyMap<string, ArrayBufferView>,
    isWanted: (entry: StateEntry) => boolean,
  ): Promise<void> {
    const writes: Record<string, ArrayBufferView> = {};
    for (const { name } of this.manifest.state.filter(isWanted)) {
      const data = tensors.get(name);
      if (!data) throw new InternalError(`no value for the state tensor ${name}`);
      writes[this.#alternation.current(name)] = data;
    }
    await this.#host.write(writes);
    await this.shareState();
  }

  /** Takes over rank 0's state; rank 0 itself gives it. Nothing to do for a process alone. */
  async shareState(): Promise<void> {
    await this.#ranks?.shareState();
  }

  /** Copies of the state tensors as they are now, by name; `wanted` limits them. */
  async readState(wanted?: (entry: StateEntry) => boolean): Promise<Map<string, HostTensor>> {
    const entries = this.manifest.state.filter((entry) => wanted?.(entry) ?? true);
    return await this.#read(entries, (name) => this.#alternation.current(name));
  }

  /** What the last finished step has left, in the middle of the next one, too; asks no other rank. */
  async readLastStep(): Promise<Map<string, HostTensor>> {
    return await this.#read(this.manifest.state, (name) => this.#alternation.finished(name));
  }

  async #read(
    entries: readonly StateEntry[],
    idOf: (name: string) => string,
  ): Promise<Map<string, HostTensor>> {
    const read = await this.#host.read(entries.map(({ name }) => idOf(name)));
    return new Map(entries.map(({ name }) => [name, need(read.get(idOf(name)), name)]));
  }

  /**
   * Takes one micro-batch in. With `accumulate: 1` and one process that is a whole step; otherwise its
   * gradients are added to those of the logical batch (`index` 0 starts one), which `finishStep` then
   * applies. Where a step makes weights of the losses of all of it, they are looked at here, and a copy is
   * kept for `finishStep`. `following`, the micro-batch of the next call, goes to the device meanwhile, where
   * it can (`stagesInputs`).
   */
  async microBatch(
    batch: MicroBatch,
    index: number,
    scalars: StepScalars,
    following?: MicroBatch,
  ): Promise<StepResult> {
    const { first, look } = this.#rounds;
    if (index === 0) {
      this.#kept = [];
      this.#ranks?.beginStep(scalars);
    }
    // Other rounds come before the next step.
    const isNext = index + 1 < this.manifest.accumulate || !look;
    const ahead = isNext && this.stagesInputs ? following : undefined;
    // The device takes the data away.
    if (look && this.#staged !== batch) this.#kept.push(structuredClone(batch));
    if (look && ahead) this.#kept.push(structuredClone(ahead));
    return await this.#take(first, { batch, index, scalars, following: ahead, isTold: true });
  }

  /**
   * Ends a logical batch: applies accumulated gradients, and tells what of them it combined. What the step
   * has still to see of its micro-batches it finds in the copies that `microBatch` has kept.
   */
  async finishStep(scalars: StepScalars): Promise<GradientMeasures> {
    const { gradients, update, look, end } = this.#rounds;
    if (!update) return {};
    const kept = this.#kept.splice(0);
    const weighed = gradients && (await this.#round(gradients, scalars, kept, structuredClone));
    const { gradients: combined } = await this.#run(update, scalars);
    if (look) await this.#round(look, scalars, kept, (batch) => batch);
    if (end) await this.#run(end, scalars);
    this.#ranks?.endStep();
    return { ...combined, ...weighed };
  }

  /**
   * Has a graph take all micro-batches of the step once more, as `given` each gives when the one before it is
   * taken; what the last of them told of gradients.
   */
  async #round(
    purpose: StepPurpose,
    scalars: StepScalars,
    batches: readonly MicroBatch[],
    given: (batch: MicroBatch) => MicroBatch,
  ): Promise<GradientMeasures> {
    let told: GradientMeasures = {};
    const at = (index: number): MicroBatch | undefined => batches[index] && given(batches[index]);
    let upcoming = at(0);
    for (let index = 0; upcoming; index++) {
      const batch = upcoming;
      upcoming = at(index + 1);
      const taken = { batch, index, scalars, following: upcoming, isTold: false };
      told = (await this.#take(purpose, taken)).gradients ?? {};
    }
    return told;
  }

  async #take(purpose: StepPurpose, { following, ...taken }: TakenBatch): Promise<StepResult> {
    const { batch, index, isTold, scalars } = taken;
    const shown: Shown = "features" in batch ? "features" : "image";
    const graph = graphOf(this.manifest, purpose, shown);
    const entry = this.#graphs.entry(graph);
    const isThere = this.#staged === batch;
    this.#staged = undefined;
    const data = isThere ? [] : batchData(entry, batch);
    const ahead = this.stagesInputs ? following : undefined;
    const staged = ahead ? batchData(entry, ahead) : [];
    const result = await this.#run(purpose, scalars, { graph, index, data, staged, isTold });
    this.#staged = ahead;
    return result;
  }

  /** What is scored or served of each task, float32 [batch, width], of one batch. */
  async evaluate(
    input: BatchInput,
    wanted: WantedOutput = "scored",
  ): Promise<{ outputs: Map<string, Float32Array>; inputBuffer: ArrayBuffer | undefined }> {
    const graph = "features" in input ? onFeatures("evaluate") : "evaluate";
    const { binding } = await this.#graphs.bind(graph, false);
    const entry = this.#graphs.entry(graph);
    const writes = this.#named(graph, batchData(entry, input));
    const idOf = (output: TensorEntry): string => this.#alternation.output(graph, output);
    const read = wantedOutputs(entry, this.#tasks, wanted);
    const { outputs, returned } = await this.#host.step(binding, { writes, reads: read.map(idOf) });
    const found = read.map(
      (output) => [output.task, need(outputs.get(idOf(output)), output.name).data as Float32Array] as const,
    );
    return { outputs: new Map(found), inputBuffer: returned[0] };
  }

  /** Runs a step's graph; `micro` is given where it takes a micro-batch, and the one that goes ahead with it. */
  async #run(purpose: StepPurpose, scalars: StepScalars, micro?: RunInput): Promise<StepResult> {
    const graph = micro?.graph ?? graphOf(this.manifest, purpose, "image");
    const entry = this.#graphs.entry(graph);
    const { binding, outputs: ids } = await this.#graphs.bind(graph, micro?.index === 0);
    const data = [...(micro?.data ?? []), ...scalarData(entry, scalars)];
    const writes = this.#named(graph, data);
    const following = micro?.staged ?? [];
    const staged = this.#named(graph, following, "after");
    const isTold = micro?.isTold ?? false;
    const sums = micro && this.#ranks?.sumsOf(graph, { index: micro.index, isTold, outputs: ids });
    const figures = isTold ? withRole(entry.outputs, "figure") : [];
    const figureId = (figure: TensorEntry): string => this.#alternation.output(graph, figure);
    const reads = [...figures, ...gradientOutputs(entry)].map(figureId);
    // Buffers come back in the order of the writes, and images or features stand first in a batch's data.
    const firstStaged = transferableBuffers(writes).length;
    const inputs = [hasShown(data) ? [0] : [], hasShown(following) ? [firstStaged] : []].flat();
    const { outputs, returned, runMs } = await this.#host.step(binding, { writes, staged, sums, reads });
    this.#alternation.flip(...CHANGED[purpose]);
    return {
      inputBuffers: inputs.flatMap((index) => returned[index] ?? []),
      runMs,
      tasks: taskSums(figures.map((each) => ({ entry: each, tensor: outputs.get(figureId(each)) }))),
      gradients: gradientMeasures(entry, (each) => outputs.get(figureId(each))),
    };
  }

  /** Data by tensor, of what the graph reads in its next run or in the one after. */
  #named(graph: string, data: InputData, run: "next" | "after" = "next"): Record<string, ArrayBufferView> {
    const id = (entry: TensorEntry): string => this.#alternation.input(graph, entry, run);
    return Object.fromEntries(data.map(({ entry, data: view }) => [id(entry), view]));
  }
}

function hasShown(data: InputData): boolean {
  return data.some(({ entry }) => isShown(entry));
}
