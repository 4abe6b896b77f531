// The device's side of training: the graphs of a run in ONNX Runtime, the tensors of its state, which stay
// there from the first step to the last, and the bindings of train, grad, apply and evaluate to them.
// alternation.ts says which tensor a step reads and which it writes.
import { join } from "node:path";
import {
  accumulates,
  type Bundle,
  type GraphEntry,
  type Manifest,
  type StateEntry,
  type TensorEntry,
  withRole,
} from "../../compiler/bundle/manifest.ts";
import { tasksOf } from "../../compiler/bundle/manifestTasks.ts";
import { dataByName } from "../../compiler/codec/safetensors.ts";
import { InternalError, MttcError, need } from "../../compiler/diagnostics.ts";
import { AUGMENTED_TRUNK, onFeatures } from "../../compiler/step/featureGraphs.ts";
import type { Task } from "../../compiler/tasks/task.ts";
import { type WantedOutput, wantedOutputs } from "../infer/scoring.ts";
import type { GradientMeasures } from "../logs/gradientFigures.ts";
import { arrayOver } from "../ort/hostTensor.ts";
import type { HostTensor, OrtHost, SessionOptions } from "../ort/ortHost.ts";
import { fallenNodes } from "../ort/placement.ts";
import { providerTraits } from "../ort/provider.ts";
import { transferableBuffers } from "../threads/callProtocol.ts";
import { Alternation, type BoundTensors, type Group } from "./alternation.ts";
import { type DeviceGroup, DeviceRanks } from "./deviceRanks.ts";
import { deviceTensors } from "./deviceTensors.ts";
import {
  type BatchInput,
  batchData,
  type InputData,
  isShown,
  type MicroBatch,
  type StepScalars,
  scalarData,
  stepGraph,
} from "./microBatch.ts";
import { gradientMeasures, gradientOutputs, type StepResult, taskSums } from "./stepResult.ts";

/** How a device is opened. */
export interface DeviceOptions {
  /** Have the steps' graphs opened such that `captures` may be set. */
  readonly capturable?: boolean | undefined;
  /** Writes ORT's profile of each graph, on closing, to a file whose path begins so and with its name. */
  readonly profilePrefix?: string | undefined;
  /** How its graphs are run, in place of the host's own ways. */
  readonly session?: Pick<SessionOptions, "intraOpThreads" | "allowSpinning" | "provider"> | undefined;
  /** The processes that it trains together with. */
  readonly group?: DeviceGroup | undefined;
}

export class TrainingDevice implements AsyncDisposable {
  readonly manifest: Manifest;
  /** What the provider's device leaves to the CPU, a line for each graph. */
  readonly fallbacks: string[] = [];
  /** Whether steps are captured as graphs of the device, and replayed. */
  captures = false;
  readonly #host: OrtHost;
  readonly #profilePrefix: string | undefined;
  readonly #session: DeviceOptions["session"];
  readonly #ranks: DeviceRanks | undefined;
  #isCapturable: boolean;
  /** Why open graphs cannot be captured. */
  readonly #captureFaults = new Map<string, MttcError>();
  readonly #bound = new Set<string>();
  readonly #alternation: Alternation;
  readonly #directory: string;
  readonly #tasks: readonly Task[];
  readonly #graphs = new Set<string>();
  readonly #tensors = new Set<string>();
  /** The micro-batch that lies in the device's other set of inputs already. */
  #staged: MicroBatch | undefined;

  private constructor(host: OrtHost, directory: string, manifest: Manifest, options: DeviceOptions) {
    this.#host = host;
    this.#directory = directory;
    this.#isCapturable = options.capturable ?? false;
    this.#profilePrefix = options.profilePrefix;
    this.#session = options.session;
    const alternation = new Alternation(manifest, this.stagesInputs);
    this.#alternation = alternation;
    const { group } = options;
    this.#ranks = group && new DeviceRanks(host, group, manifest, (name) => alternation.current(name));
    this.manifest = manifest;
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
    const step = device.#accumulates ? ["grad", "apply"] : ["train"];
    for (const graph of [...step, "evaluate"]) await device.#open(graph);
    await device.#allocate();
    return device;
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
    if (!this.#graphs.has(graph)) await this.#open(graph);
    const { height, width, channels, dtype } = this.manifest.preprocessing;
    const own = images.byteLength === images.buffer.byteLength ? images : images.slice();
    const pixels = arrayOver(dtype, own.buffer);
    const rows = pixels.length / (height * width * channels);
    const image: HostTensor = { dtype, shape: [rows, height, width, channels], data: pixels };
    const { inputs, outputs } = this.#graph(graph);
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
    const step = this.#accumulates ? "grad" : "train";
    if (this.#graphs.has(onFeatures(step))) return;
    for (const graph of ["trunk", AUGMENTED_TRUNK, step])
      if (this.#graphs.has(graph)) await this.#close(graph);
    // What was found of the graph of images says nothing of that of features.
    this.captures = false;
    for (const graph of [onFeatures(step), onFeatures("evaluate")]) await this.#open(graph);
    await this.#allocate();
  }

  /** Why the steps' graphs cannot be captured; undefined where they can, or nobody asked. */
  get captureFault(): MttcError | undefined {
    return this.#captureFaults.values().next().value;
  }

  /** Whether steps might be captured, and nobody has settled yet whether they are. */
  get awaitsProof(): boolean {
    return this.#isCapturable && !this.captures;
  }

  /** Opens the steps' graphs anew, such that nothing can be captured; does nothing where nothing can be. */
  async giveUpCapture(): Promise<void> {
    if (!this.#isCapturable) return;
    this.captures = false;
    this.#isCapturable = false;
    const lines = [...this.fallbacks];
    for (const graph of [...this.#graphs].filter((name) => this.#isStep(name))) {
      await this.#close(graph);
      await this.#open(graph);
    }
    // They were said when the graphs were opened first.
    this.fallbacks.splice(0, this.fallbacks.length, ...lines);
  }

  /** Gives bindings, tensors and graphs back; the host stays open. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const binding of this.#bound) await this.#host.unbind(binding);
    await this.#host.free([...this.#tensors]);
    for (const graph of this.#graphs) await this.#host.closeGraph(graph);
  }

  get #accumulates(): boolean {
    return accumulates(this.manifest);
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
    const current = (name: string): string => this.#alternation.current(name);
    const read = await this.#host.read(entries.map(({ name }) => current(name)));
    return new Map(entries.map(({ name }) => [name, need(read.get(current(name)), name)]));
  }

  /** The state of the last finished step, if this process alone has it whole; asks no other rank. */
  async readLastStep(): Promise<Map<string, HostTensor> | undefined> {
    return this.#alternation.isWhole ? await this.readState() : undefined;
  }

  /**
   * Takes one micro-batch in. With `accumulate: 1` and one process that is a whole step; otherwise its
   * gradients are added to those of the logical batch (`index` 0 starts one), which `finishStep` then
   * applies. `following`, the micro-batch of the next call, goes to the device meanwhile, where it can (`stagesInputs`).
   */
  async microBatch(
    batch: MicroBatch,
    index: number,
    scalars: StepScalars,
    following?: MicroBatch,
  ): Promise<StepResult> {
    const graph = stepGraph(this.manifest, "features" in batch ? "features" : "image");
    const isThere = this.#staged === batch;
    this.#staged = undefined;
    if (index === 0) this.#ranks?.beginStep(scalars);
    const entry = this.#graph(graph);
    const writes = [...(isThere ? [] : batchData(entry, batch)), ...scalarData(entry, scalars)];
    const ahead = this.stagesInputs ? following : undefined;
    const result = await this.#run(graph, writes, { index, staged: ahead ? batchData(entry, ahead) : [] });
    this.#staged = ahead;
    const changed: readonly Group[] = this.#accumulates
      ? ["statistics", "accumulators"]
      : ["weights", "statistics"];
    this.#alternation.flip(...changed, "inputs");
    return result;
  }

  /**
   * Ends a logical batch: applies accumulated gradients, and tells what of them it combined. A step that
   * looks at its batch again finds it where `microBatch` has put it.
   */
  async finishStep(scalars: StepScalars): Promise<GradientMeasures> {
    if (!this.#accumulates) return {};
    const { gradients = {} } = await this.#run("apply", scalarData(this.#graph("apply"), scalars));
    this.#alternation.flip("weights");
    this.#ranks?.endStep();
    return gradients;
  }

  /** What is scored or served of each task, float32 [batch, width], of one batch. */
  async evaluate(
    input: BatchInput,
    wanted: WantedOutput = "scored",
  ): Promise<{ outputs: Map<string, Float32Array>; inputBuffer: ArrayBuffer | undefined }> {
    const graph = "features" in input ? onFeatures("evaluate") : "evaluate";
    const { binding } = await this.#bind(graph, false);
    const entry = this.#graph(graph);
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
  async #run(
    graph: string,
    data: InputData,
    micro?: { readonly index: number; readonly staged: InputData },
  ): Promise<StepResult> {
    const { index = -1, staged: following = [] } = micro ?? {};
    const { binding, outputs: ids } = await this.#bind(graph, this.#accumulates && index === 0);
    const writes = this.#named(graph, data);
    const staged = this.#named(graph, following, "after");
    const sums = micro ? this.#ranks?.sumsOf(graph, index, ids) : undefined;
    const figures = withRole(this.#graph(graph).outputs, "figure");
    const figureId = (figure: TensorEntry): string => this.#alternation.output(graph, figure);
    const reads = [...figures, ...gradientOutputs(this.#graph(graph))].map(figureId);
    // Buffers come back in the order of the writes, and images or features stand first in a batch's data.
    const firstStaged = transferableBuffers(writes).length;
    const inputs = [hasShown(data) ? [0] : [], hasShown(following) ? [firstStaged] : []].flat();
    const { outputs, returned, runMs } = await this.#host.step(binding, { writes, staged, sums, reads });
    return {
      inputBuffers: inputs.flatMap((index) => returned[index] ?? []),
      runMs,
      tasks: taskSums(figures.map((entry) => ({ entry, tensor: outputs.get(figureId(entry)) }))),
      gradients: gradientMeasures(this.#graph(graph), (entry) => outputs.get(figureId(entry))),
    };
  }

  /** Data by tensor, of what the graph reads in its next run or in the one after. */
  #named(graph: string, data: InputData, run: "next" | "after" = "next"): Record<string, ArrayBufferView> {
    const id = (entry: TensorEntry): string => this.#alternation.input(graph, entry, run);
    return Object.fromEntries(data.map(({ entry, data: view }) => [id(entry), view]));
  }

  /** Binds a graph to the tensors of its next run, once for each combination of them. */
  async #bind(
    graph: string,
    fromZero: boolean,
  ): Promise<Pick<BoundTensors, "outputs"> & { binding: string }> {
    const captures = this.captures && this.#isStep(graph);
    const { name, inputs, outputs } = this.#alternation.bindingOf(graph, fromZero);
    const binding = captures ? `${name}, captured` : name;
    if (!this.#bound.has(binding)) {
      await this.#host.bind(binding, graph, { inputs, outputs, captures });
      this.#bound.add(binding);
    }
    return { binding, outputs };
  }

  async #open(graph: string): Promise<void> {
    const onDevice = providerTraits(this.#host.provider).memory !== null;
    const path = join(this.#directory, this.#graph(graph).file);
    const profile = this.#profilePrefix && { profilePrefix: `${this.#profilePrefix}${graph}` };
    const options = { recordPlacement: onDevice, ...profile, ...this.#session };
    const capturable = this.#isCapturable && this.#isStep(graph);
    try {
      await this.#host.openGraph(graph, { path }, { ...options, capturable });
    } catch (error) {
      if (!capturable || !(error instanceof MttcError) || error.code !== "E_ORT") throw error;
      this.#captureFaults.set(graph, error);
      await this.#host.openGraph(graph, { path }, options);
    }
    this.#graphs.add(graph);
    if (!onDevice) return;
    const placements = await this.#host.placements(graph);
    const fallen = fallenNodes(this.#host.provider, placements);
    if (fallen.length === 0) return;
    const some = `${fallen.length} of ${placements.length} nodes of ${graph} run on the CPU`;
    const message = `${some}, with copies to it and back, such as ${fallen[0]?.node}`;
    this.fallbacks.push(`${message}: mttc inspect --placement lists them`);
    // ONNX Runtime 1.29 takes some such graphs, and a replay would leave the CPU's nodes out.
    if (capturable && !this.#captureFaults.has(graph))
      this.#captureFaults.set(graph, new MttcError({ code: "E_CUDA_KERNEL", message }));
  }

  async #close(graph: string): Promise<void> {
    for (const binding of this.#bound)
      if (binding.startsWith(`${graph}:`)) {
        await this.#host.unbind(binding);
        this.#bound.delete(binding);
      }
    await this.#host.closeGraph(graph);
    this.#graphs.delete(graph);
    this.#captureFaults.delete(graph);
  }

  /**
   * Allocates the tensors of the state and of the open graphs that are not there yet, on the provider's
   * device: there the state stays for the whole run, and only figures that somebody asks for come back. Frees
   * those that only closed graphs have used.
   */
  async #allocate(): Promise<void> {
    const buffers = deviceTensors(this.manifest, this.#graphs, this.#alternation);
    const unused = [...this.#tensors].filter((id) => !buffers.has(id));
    await this.#host.free(unused);
    for (const id of unused) this.#tensors.delete(id);
    const added = [...buffers.values()].filter(({ id }) => !this.#tensors.has(id));
    await this.#host.allocate(added);
    for (const { id } of added) this.#tensors.add(id);
  }

  #graph(name: string): GraphEntry {
    return need(this.manifest.graphs[name], `graph ${name}`);
  }

  /** Whether steps run a graph again and again: what is worth capturing. */
  #isStep(graph: string): boolean {
    return ["train", "grad", "apply"].includes(this.#graph(graph).purpose);
  }
}

function hasShown(data: InputData): boolean {
  return data.some(({ entry }) => isShown(entry));
}
