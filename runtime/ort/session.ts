// One graph, loaded and optimised by ORT. From bytes, or from a file where the model has external data beside
// it. Runs either on tensors bound once (ioBinding.ts) or, for exported models of any batch size, on tensors
// given each time.
import { InternalError } from "../../compiler/diagnostics.ts";
import type { MemoryPlace } from "./deviceMemory.ts";
import { type OrtFunctions, type Pointer, readText } from "./ffi.ts";
import type { OrtLibrary } from "./library.ts";
import { type Placement, readPlacements } from "./placement.ts";
import { type Provider, providerTraits } from "./provider.ts";
import { appendProvider } from "./providerOptions.ts";
import type { RankOperators } from "./rankOperators.ts";
import { OrtTensor } from "./tensor.ts";
import { listTensors, type TensorInfo, takeText } from "./tensorInfo.ts";

/** ORT_ENABLE_ALL of GraphOptimizationLevel. */
const OPTIMIZE_ALL = 99;

/**
 * Optimizers of ORT 1.29 that look for what no graph of mttc's has: operators of quantization, of attention
 * with a cache, of embeddings, sizes that are given from outside, and constants that are the same, which
 * mttc stores once. Each walks the whole graph up to three times: without them a network of 5,000 nodes opens
 * in two thirds of the time, as the same nodes.
 */
export const IDLE_OPTIMIZERS: readonly string[] = [
  ...["WeightBiasQuantization", "EnsureUniqueDQForNodeUnit", "DoubleQDQPairsRemover", "WhereDummyDq"],
  ...["QDQPropagationTransformer", "QDQSelectorActionTransformer", "QDQFinalCleanupTransformer"],
  ...["QDQS8ToU8Transformer", "DynamicQuantizeMatMulFusion", "MatMulIntegerToFloatFusion"],
  ...["MatMulNBitsFusion", "GroupQueryAttentionFusion", "GroupQueryAttentionPreNormFusion"],
  ...["EmbedLayerNormFusion", "FreeDimensionOverrideTransformer", "ConstantSharing"],
];

/** ORT's name of the host's plain memory. */
const HOST_MEMORY = "Cpu";

/** Where a graph comes from: an ONNX file's bytes, or its path (needed when it has external data). */
export type ModelSource = { readonly bytes: Uint8Array } | { readonly path: string };

/** How a graph is run. */
export interface SessionOptions {
  /** Threads within an operator; ORT takes one per core by default. */
  readonly intraOpThreads?: number | undefined;
  /**
   * Whether idle threads of ORT spin for a while before they sleep (faster steps, busier cores); true by
   * default.
   */
  readonly allowSpinning?: boolean | undefined;
  /**
   * Whether numbers under 1.2e-38 count as zero, which many processors compute far faster; true by default.
   */
  readonly flushDenormals?: boolean | undefined;
  /** Writes ORT's profile to a file whose path begins so; its name is what `endProfiling` returns. */
  readonly profilePrefix?: string | undefined;
  /** Where it runs; the host's provider by default. */
  readonly provider?: Provider | undefined;
  /** Refuses the graph (E_ORT) when a node would fall back to the CPU. */
  readonly refuseFallback?: boolean | undefined;
  /** Has ORT note which provider takes which node, for `placements`. */
  readonly recordPlacement?: boolean | undefined;
  /**
   * Lets bindings have their runs captured as a graph of the device (a CUDA graph). E_ORT when a node would
   * run elsewhere, and for the CPU, which has no such thing.
   */
  readonly capturable?: boolean | undefined;
}

const CPU: Provider = { kind: "cpu" };

/** A loaded graph; `name` is for messages. Bindings made for it must be disposed before it. */
export class OrtSession {
  readonly name: string;
  readonly inputs: readonly TensorInfo[];
  readonly outputs: readonly TensorInfo[];
  /** Where the nodes that read an input want it. */
  readonly inputPlaces: ReadonlyMap<string, MemoryPlace>;
  readonly library: OrtLibrary;
  #session: Pointer | null;
  readonly #options: SessionOptions;
  readonly #operators: RankOperators | null;
  #capturedBindings = 0;
  #plainRuns = 0;

  private constructor(
    library: OrtLibrary,
    name: string,
    session: Pointer,
    options: SessionOptions,
    operators: RankOperators | null,
  ) {
    this.#operators = operators;
    this.library = library;
    this.name = name;
    this.#session = session;
    this.#options = options;
    this.inputs = listTensors(library, session, "input");
    this.outputs = listTensors(library, session, "output");
    this.inputPlaces = readInputPlaces(library, session, this.inputs, options.provider ?? CPU);
  }

  /**
   * Loads a graph, which may ask other processes by `operators`. E_ORT when ORT refuses it, E_MODEL_OP when
   * its inputs or outputs are not tensors that mttc uses, E_RANKS when it is for another number of processes.
   */
  static open(
    library: OrtLibrary,
    name: string,
    model: ModelSource,
    options: SessionOptions = {},
    operators: RankOperators | null = null,
  ): OrtSession {
    const { functions, env } = library;
    const doing = `loading graph "${name}"`;
    const settings = library.make(doing, (out) => functions.CreateSessionOptions(out));
    let session: Pointer;
    try {
      applyOptions(library, settings, doing, options);
      if (operators) library.check(doing, functions.AddCustomOpDomain(settings, operators.domain));
      session = library.make(doing, (out) =>
        "path" in model
          ? functions.CreateSession(env, model.path, settings, out)
          : functions.CreateSessionFromArray(env, model.bytes, model.bytes.length, settings, out),
      );
    } catch (error) {
      throw operators?.takeFault() ?? error;
    } finally {
      functions.ReleaseSessionOptions(settings);
    }
    try {
      return new OrtSession(library, name, session, options, operators);
    } catch (error) {
      functions.ReleaseSession(session);
      throw error;
    }
  }

  /** The OrtSession, for bindings. */
  get pointer(): Pointer {
    if (this.#session === null) throw new InternalError(`graph "${this.name}" is used after it was disposed`);
    return this.#session;
  }

  /** Whether runs are captured where their binding asks for it. */
  get isCapturable(): boolean {
    return this.#options.capturable === true;
  }

  /** Where its nodes run. */
  get provider(): Provider {
    return this.#options.provider ?? CPU;
  }

  /**
   * A number for a captured binding. None is given twice: what was captured under it refers to that
   * binding's tensors for ever.
   */
  nextGraphId(): number {
    return ++this.#capturedBindings;
  }

  /** How many plain runs of bindings there have been; this is one more. */
  countPlainRun(): number {
    return this.#plainRuns++;
  }

  /** Throws for a run that failed: what an exchange with other processes threw, or E_ORT with the node. */
  checkRun(status: Pointer | null): void {
    try {
      this.library.check(`running graph "${this.name}"`, status);
    } catch (error) {
      throw this.#operators?.takeFault() ?? error;
    }
  }

  /**
   * Runs on `feeds` and returns the `wanted` outputs, which the caller disposes. E_ORT names the failing
   * node.
   */
  run(feeds: ReadonlyMap<string, OrtTensor>, wanted: readonly string[]): OrtTensor[] {
    const { functions } = this.library;
    const doing = `running graph "${this.name}"`;
    const values: (Pointer | null)[] = wanted.map(() => null);
    const given = [...feeds.values()].map((tensor) => tensor.value);
    this.checkRun(
      functions.Run(
        this.pointer,
        null,
        [...feeds.keys()],
        given,
        given.length,
        wanted,
        wanted.length,
        values,
      ),
    );
    const results: OrtTensor[] = [];
    try {
      for (const [index, name] of wanted.entries()) {
        const value = values[index];
        if (value == null) throw new InternalError(`${doing}: no output "${name}"`);
        results.push(OrtTensor.adopt(this.library, value, name));
      }
    } catch (error) {
      for (const result of results) result[Symbol.dispose]();
      for (const value of values.slice(results.length)) functions.ReleaseValue(value);
      throw error;
    }
    return results;
  }

  /**
   * Ends profiling and returns the path of the profile; undefined when the graph was not opened with a
   * prefix.
   */
  endProfiling(): string | undefined {
    if (this.#options.profilePrefix === undefined) return undefined;
    const { library } = this;
    return takeText(
      library,
      library.make("writing the profile", (out) =>
        library.functions.SessionEndProfiling(this.pointer, library.allocator, out),
      ),
    );
  }

  /** Which provider runs which node; an InternalError unless it was opened with `recordPlacement`. */
  placements(): Placement[] {
    if (this.#options.recordPlacement !== true)
      throw new InternalError(`graph "${this.name}" was opened without recordPlacement`);
    return readPlacements(this.library, this.pointer, this.name);
  }

  [Symbol.dispose](): void {
    if (this.#session !== null) this.library.functions.ReleaseSession(this.#session);
    this.#session = null;
  }
}

function applyOptions(library: OrtLibrary, settings: Pointer, doing: string, options: SessionOptions): void {
  const functions: OrtFunctions = library.functions;
  const configure = (key: string, value: boolean) =>
    library.check(doing, functions.AddSessionConfigEntry(settings, key, value ? "1" : "0"));
  library.check(doing, functions.SetSessionGraphOptimizationLevel(settings, OPTIMIZE_ALL));
  const idle = IDLE_OPTIMIZERS.join(";");
  library.check(
    doing,
    functions.AddSessionConfigEntry(settings, "optimization.disable_specified_optimizers", idle),
  );
  if (options.intraOpThreads !== undefined)
    library.check(doing, functions.SetIntraOpNumThreads(settings, options.intraOpThreads));
  configure("session.intra_op.allow_spinning", options.allowSpinning ?? true);
  configure("session.set_denormal_as_zero", options.flushDenormals ?? true);
  if (options.profilePrefix !== undefined)
    library.check(doing, functions.EnableProfiling(settings, options.profilePrefix));
  if (options.refuseFallback === true) configure("session.disable_cpu_ep_fallback", true);
  if (options.recordPlacement === true) configure("session.record_ep_graph_assignment_info", true);
  appendProvider(library, settings, options.provider ?? CPU, doing, options.capturable ?? false);
}

/** ORT binds a tensor that lies elsewhere by a copy of the moment: ioBinding.ts needs to know. */
function readInputPlaces(
  library: OrtLibrary,
  session: Pointer,
  inputs: readonly TensorInfo[],
  provider: Provider,
): Map<string, MemoryPlace> {
  const names = inputs.map(({ name }) => name);
  if (providerTraits(provider).memory === null || names.length === 0)
    return new Map(names.map((name) => [name, "host"]));
  const { functions } = library;
  const doing = "asking where inputs are read";
  const memories: (Pointer | null)[] = names.map(() => null);
  library.check(doing, functions.SessionGetMemoryInfoForInputs(session, memories, names.length));
  return new Map(
    names.map((name, index) => {
      const memory = memories[index];
      if (memory == null) return [name, "host"];
      const kind = readText(library.make(doing, (out) => functions.MemoryInfoGetName(memory, out)));
      return [name, kind === HOST_MEMORY ? "host" : "device"];
    }),
  );
}
