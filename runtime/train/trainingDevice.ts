// The device's side of training: the state of a run as tensors in ONNX Runtime, in two sets that alternate (a
// graph reads one and writes the other), and the bindings of train, grad, apply and evaluate to them. Three
// groups flip on their own clocks: weights (with slots and the step counter) once per logical batch,
// batch-norm statistics and gradient accumulators once per micro-batch.
import { join } from "node:path";
import { AUGMENT_INPUT } from "../../compiler/augment/augmentGraph.ts";
import { type Manifest, nextName, type StateEntry } from "../../compiler/bundle.ts";
import { InternalError } from "../../compiler/diagnostics.ts";
import { FEATURES_INPUT } from "../../compiler/model/network.ts";
import {
  classWeightName,
  inverseCountName,
  labelName,
  taskWeightName,
} from "../../compiler/model/objective.ts";
import { AUGMENTED_TRUNK, onFeatures } from "../../compiler/step/featureGraphs.ts";
import type { MemoryPlace } from "../ort/deviceMemory.ts";
import { arrayOver } from "../ort/hostTensor.ts";
import type { BufferSpec, HostTensor, OrtHost } from "../ort/ortHost.ts";
import { PROVIDER_NAMES } from "../ort/provider.ts";

/** What a batch shows the network: uint8 NHWC images, or float32 features computed of them once. */
export type BatchInput = { readonly images: Uint8Array } | { readonly features: Float32Array };

/**
 * One micro-batch: images or features, int64 labels per task (-1 = missing), dropout masks by input name, and
 * rows of augmentation parameters [N,P] where the graph augments.
 */
export type MicroBatch = BatchInput & {
  readonly labels: ReadonlyMap<string, BigInt64Array>;
  readonly masks: ReadonlyMap<string, Float32Array>;
  readonly augment?: Float32Array | undefined;
};

/** Sums over the labelled rows of a task. */
export interface TaskSums {
  readonly lossSum: number;
  readonly count: number;
  readonly correct: number;
}

/** What a step takes besides the batch, by task name. */
export interface StepScalars {
  readonly learningRate: number;
  /** Used where weights are not learned. */
  readonly taskWeights: ReadonlyMap<string, number>;
  /** Labelled rows of the whole logical batch. */
  readonly counts: ReadonlyMap<string, number>;
  /** Weights of the classes, [classes], where the spec has any; `counts` then holds sums of weights. */
  readonly classWeights?: ReadonlyMap<string, Float32Array>;
}

export interface StepResult {
  readonly tasks: ReadonlyMap<string, TaskSums>;
  /** The buffer behind the batch's input, which went through the worker: the loader may fill it again. */
  readonly inputBuffer: ArrayBuffer | undefined;
  /** Milliseconds inside ONNX Runtime. */
  readonly runMs: number;
}

type Side = "a" | "b";
type Group = "weights" | "statistics" | "accumulators";

export class TrainingDevice implements AsyncDisposable {
  readonly manifest: Manifest;
  /** What the provider's device leaves to the CPU, a line for each graph. */
  readonly fallbacks: string[] = [];
  readonly #host: OrtHost;
  readonly #bound = new Set<string>();
  readonly #side: Record<Group, Side> = { weights: "a", statistics: "a", accumulators: "a" };
  readonly #groups = new Map<string, Group>();
  readonly #directory: string;
  readonly #graphs = new Set<string>();
  readonly #tensors = new Set<string>();

  private constructor(host: OrtHost, directory: string, manifest: Manifest) {
    this.#host = host;
    this.#directory = directory;
    this.manifest = manifest;
    for (const entry of manifest.state) this.#groups.set(entry.name, groupOf(entry));
    for (const { name } of manifest.accumulators) this.#groups.set(name, "accumulators");
  }

  /** Opens the graphs that this spec needs from a bundle's folder and allocates all tensors. */
  static async open(host: OrtHost, directory: string, manifest: Manifest): Promise<TrainingDevice> {
    const device = new TrainingDevice(host, directory, manifest);
    const step = device.#accumulates ? ["grad", "apply"] : ["train"];
    for (const graph of [...step, "evaluate"]) await device.#open(graph);
    await device.#allocate();
    return device;
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
    const feeds: Record<string, HostTensor> = { image };
    if (augment)
      feeds[AUGMENT_INPUT] = { dtype: "float32", shape: [rows, augment.length / rows], data: augment };
    const { data } = (await this.#host.run(graph, feeds)).get(FEATURES_INPUT) ?? missing(FEATURES_INPUT);
    return data as Float32Array;
  }

  /** From now on steps take features, and evaluations images or features; does nothing the second time. */
  async useFeatures(): Promise<void> {
    const step = this.#accumulates ? "grad" : "train";
    if (this.#graphs.has(onFeatures(step))) return;
    for (const graph of ["trunk", AUGMENTED_TRUNK, step])
      if (this.#graphs.has(graph)) await this.#close(graph);
    for (const graph of [onFeatures(step), onFeatures("evaluate")]) await this.#open(graph);
    await this.#allocate();
  }

  /** Gives bindings, tensors and graphs back; the host stays open. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const binding of this.#bound) await this.#host.unbind(binding);
    await this.#host.free([...this.#tensors]);
    for (const graph of this.#graphs) await this.#host.closeGraph(graph);
  }

  get #accumulates(): boolean {
    return this.manifest.spec.accumulate > 1;
  }

  /** Sets the whole state; every tensor of the manifest must be there. */
  async writeState(tensors: ReadonlyMap<string, ArrayBufferView>): Promise<void> {
    const writes: Record<string, ArrayBufferView> = {};
    for (const { name } of this.manifest.state) {
      const data = tensors.get(name);
      if (!data) throw new InternalError(`no value for the state tensor ${name}`);
      writes[this.#current(name)] = data;
    }
    await this.#host.write(writes);
  }

  /** Copies of the state tensors as they are now, by name; `wanted` limits them. */
  async readState(wanted?: (entry: StateEntry) => boolean): Promise<Map<string, HostTensor>> {
    const entries = this.manifest.state.filter((entry) => wanted?.(entry) ?? true);
    const read = await this.#host.read(entries.map(({ name }) => this.#current(name)));
    return new Map(entries.map(({ name }) => [name, read.get(this.#current(name)) ?? missing(name)]));
  }

  /**
   * Takes one micro-batch in. With `accumulate: 1` that is a whole step; otherwise its gradients are added to
   * those of the logical batch (`index` 0 starts one), which `finishStep` then applies.
   */
  async microBatch(batch: MicroBatch, index: number, scalars: StepScalars): Promise<StepResult> {
    const writes = { ...batchWrites(batch), ...scalarWrites(scalars) };
    const ofStep = (graph: "train" | "grad"): string => ("features" in batch ? onFeatures(graph) : graph);
    if (!this.#accumulates) {
      const result = await this.#run(ofStep("train"), writes, []);
      this.#flip("weights", "statistics");
      return result;
    }
    const result = await this.#run(ofStep("grad"), writes, index === 0 ? ["accumulators"] : []);
    this.#flip("statistics", "accumulators");
    return result;
  }

  /** Ends a logical batch: applies accumulated gradients; nothing is left to do with `accumulate: 1`. */
  async finishStep(scalars: StepScalars): Promise<number> {
    if (!this.#accumulates) return 0;
    const { runMs } = await this.#run("apply", scalarWrites(scalars), []);
    this.#flip("weights");
    return runMs;
  }

  /** Logits per task, float32 [batch, classes], of one batch. */
  async evaluate(
    input: BatchInput,
  ): Promise<{ logits: Map<string, Float32Array>; inputBuffer: ArrayBuffer | undefined }> {
    const graph = "features" in input ? onFeatures("evaluate") : "evaluate";
    const binding = await this.#bind(graph, []);
    const local = (name: string): string => localName(graph, name);
    const writes = Object.fromEntries(
      Object.entries(inputWrites(input)).map(([name, data]) => [local(name), data]),
    );
    const reads = this.manifest.tasks.map(({ name }) => local(`logits/${name}`));
    const { outputs, returned } = await this.#host.step(binding, { writes, reads });
    const logits = new Map(
      this.manifest.tasks.map(({ name }) => [
        name,
        (outputs.get(local(`logits/${name}`)) ?? missing(name)).data as Float32Array,
      ]),
    );
    return { logits, inputBuffer: returned[0] };
  }

  async #run(
    graph: string,
    writes: Record<string, ArrayBufferView>,
    zeroed: readonly Group[],
  ): Promise<StepResult> {
    const binding = await this.#bind(graph, zeroed);
    const inputs = new Set(this.#graph(graph).inputs.map(({ name }) => name));
    const used = Object.fromEntries(Object.entries(writes).filter(([name]) => inputs.has(name)));
    const reads = this.#graph(graph).outputs.flatMap(({ name }) => (isMetric(name) ? [name] : []));
    const { outputs, returned, runMs } = await this.#host.step(binding, { writes: used, reads });
    const scalar = (name: string): number => Number(outputs.get(name)?.data[0] ?? Number.NaN);
    const tasks = reads.length === 0 ? [] : this.manifest.tasks;
    return {
      // Buffers come back in the order of the writes, and images or features are written first.
      inputBuffer: "image" in used || FEATURES_INPUT in used ? returned[0] : undefined,
      runMs,
      tasks: new Map(
        tasks.map(({ name }) => [
          name,
          {
            lossSum: scalar(`loss_sum/${name}`),
            count: scalar(`count/${name}`),
            correct: scalar(`correct/${name}`),
          },
        ]),
      ),
    };
  }

  /** Binds a graph to the present sides, once for each combination of them. */
  async #bind(graph: string, zeroed: readonly Group[]): Promise<string> {
    const { weights, statistics, accumulators } = this.#side;
    const binding = `${graph}:${weights}${statistics}${zeroed.includes("accumulators") ? "0" : ""}${accumulators}`;
    if (this.#bound.has(binding)) return binding;
    const { inputs, outputs } = this.#graph(graph);
    const source = (name: string): string => {
      const group = this.#groups.get(name);
      if (group === undefined) return localName(graph, name);
      return zeroed.includes(group) ? `zero:${name}` : this.#current(name);
    };
    const target = (name: string): string => {
      const state = /^next\/(.*)$/s.exec(name)?.[1];
      if (state === undefined) return localName(graph, name);
      return `${other(this.#side[this.#groups.get(state) ?? missing(state)])}:${state}`;
    };
    await this.#host.bind(binding, graph, {
      inputs: Object.fromEntries(inputs.map(({ name }) => [name, source(name)])),
      outputs: Object.fromEntries(outputs.map(({ name }) => [name, target(name)])),
    });
    this.#bound.add(binding);
    return binding;
  }

  async #open(graph: string): Promise<void> {
    const onDevice = this.#host.provider.kind !== "cpu";
    const path = join(this.#directory, this.#graph(graph).file);
    await this.#host.openGraph(graph, { path }, { recordPlacement: onDevice });
    this.#graphs.add(graph);
    if (!onDevice) return;
    const placements = await this.#host.placements(graph);
    const fallen = placements.filter(({ provider }) => provider === PROVIDER_NAMES.cpu);
    if (fallen.length === 0) return;
    this.fallbacks.push(
      `${fallen.length} of ${placements.length} nodes of ${graph} run on the CPU, with copies to it and back, ` +
        `such as ${fallen[0]?.node}: mttc inspect --placement lists them`,
    );
  }

  async #close(graph: string): Promise<void> {
    for (const binding of this.#bound)
      if (binding.startsWith(`${graph}:`)) {
        await this.#host.unbind(binding);
        this.#bound.delete(binding);
      }
    await this.#host.closeGraph(graph);
    this.#graphs.delete(graph);
  }

  /**
   * Allocates the tensors of the state and of the open graphs that are not there yet: what a graph reads on
   * the provider's device, where the state stays for the whole run; figures and logits in the host's memory.
   */
  async #allocate(): Promise<void> {
    const buffers = new Map<string, BufferSpec>();
    const add = (
      id: string,
      dtype: HostTensor["dtype"],
      shape: readonly (number | string)[],
      place: MemoryPlace = "device",
    ) => buffers.set(id, { id, dtype, shape: shape.map(Number), place });
    for (const { name, dtype, shape } of this.manifest.state)
      for (const side of ["a", "b"]) add(`${side}:${name}`, dtype, shape);
    // The zero set is read by the first micro-batch of each logical batch and never written.
    const sides = this.#accumulates ? ["a", "b", "zero"] : [];
    for (const { name, shape } of this.manifest.accumulators)
      for (const side of sides) add(`${side}:${name}`, "float32", shape);
    for (const graph of this.#graphs) {
      const { inputs, outputs } = this.#graph(graph);
      for (const { name, dtype, shape } of inputs)
        if (!this.#groups.has(name)) add(localName(graph, name), dtype, shape);
      for (const { name, dtype, shape } of outputs)
        if (!name.startsWith(nextName(""))) add(localName(graph, name), dtype, shape, "host");
    }
    const added = [...buffers.values()].filter(({ id }) => !this.#tensors.has(id));
    await this.#host.allocate(added);
    for (const { id } of added) this.#tensors.add(id);
  }

  #graph(name: string): Manifest["graphs"][string] {
    return this.manifest.graphs[name] ?? missing(`graph ${name}`);
  }

  #current(name: string): string {
    return `${this.#side[this.#groups.get(name) ?? missing(name)]}:${name}`;
  }

  #flip(...groups: readonly Group[]): void {
    for (const group of groups) this.#side[group] = other(this.#side[group]);
  }
}

function groupOf(entry: StateEntry): Group {
  return entry.group === "statistic" ? "statistics" : "weights";
}

function other(side: Side): Side {
  return side === "a" ? "b" : "a";
}

/**
 * Tensors that are not state belong to the step's graphs together, and to those that evaluate each alone:
 * their batch differs.
 */
function localName(graph: string, name: string): string {
  return graph.startsWith("evaluate") ? `${graph}:${name}` : name;
}

function isMetric(output: string): boolean {
  return /^(loss_sum|count|correct)\//.test(output);
}

function inputWrites(input: BatchInput): Record<string, ArrayBufferView> {
  return "features" in input ? { [FEATURES_INPUT]: input.features } : { image: input.images };
}

function batchWrites({ labels, masks, augment, ...input }: MicroBatch): Record<string, ArrayBufferView> {
  return {
    ...inputWrites(input),
    ...Object.fromEntries([...labels].map(([task, values]) => [labelName(task), values])),
    ...Object.fromEntries(masks),
    ...(augment ? { [AUGMENT_INPUT]: augment } : {}),
  };
}

function scalarWrites(scalars: StepScalars): Record<string, ArrayBufferView> {
  const { learningRate, taskWeights, counts, classWeights = new Map<string, Float32Array>() } = scalars;
  const writes: Record<string, ArrayBufferView> = { learning_rate: Float32Array.of(learningRate) };
  for (const [task, weight] of taskWeights) writes[taskWeightName(task)] = Float32Array.of(weight);
  // A copy: what is written goes to the worker for good.
  for (const [task, weights] of classWeights) writes[classWeightName(task)] = weights.slice();
  for (const [task, count] of counts)
    writes[inverseCountName(task)] = Float32Array.of(count > 0 ? 1 / count : 0);
  return writes;
}

function missing(what: string): never {
  throw new InternalError(`the training device has no ${what}`);
}
