// The side of OrtHost that owns everything native: library, graphs, tensors, bindings, each known by a name.
// Lives on one worker thread and is never used from another. Order of disposal: bindings, graphs, tensors,
// library.
import { type ErrorCode, InternalError, MttcError, suggestName } from "../../compiler/diagnostics.ts";
import { joinRanks } from "../ranks/joinRanks.ts";
import type { JoinedPlace, JoinOptions, RankEngine } from "../ranks/rankEngine.ts";
import { RankPulse } from "../ranks/rankPulse.ts";
import { transferableBuffers } from "../threads/callProtocol.ts";
import { checkBinding } from "./bindingRules.ts";
import { OrtDevice } from "./device.ts";
import { type HostTensor, tensorSizeBytes } from "./hostTensor.ts";
import { type NamedTensors, OrtBinding } from "./ioBinding.ts";
import { OrtLibrary } from "./library.ts";
import type {
  BindingSpec,
  BufferSpec,
  GraphTensors,
  OrtOptions,
  OrtService,
  StartedOrt,
  StepIo,
  StepResult,
  Writes,
} from "./ortProtocol.ts";
import type { Placement } from "./placement.ts";
import type { Provider } from "./provider.ts";
import { locateForProvider, openProvider } from "./providerChoice.ts";
import { type RankExchange, RankOperators } from "./rankOperators.ts";
import { RankTensors, refuseOtherTypes } from "./rankTensors.ts";
import { type ModelSource, OrtSession, type SessionOptions } from "./session.ts";
import { OrtTensor } from "./tensor.ts";

/** OrtService on ONNX Runtime itself; ortHost.ts documents each call and its errors. */
export class OrtServer implements OrtService {
  #library: OrtLibrary | null = null;
  #device: OrtDevice | null = null;
  #defaults: SessionOptions = {};
  #ranks: RankEngine | null = null;
  /** What graphs ask the other ranks by, once these have been joined. */
  #operators: RankOperators | null = null;
  /** Shows the others that steps go on. */
  #pulse = new RankPulse();
  readonly #rankTensors = new RankTensors();
  readonly #graphs = new Map<string, OrtSession>();
  readonly #tensors = new Map<string, OrtTensor>();
  readonly #bindings = new Map<string, OrtBinding>();

  start({ libraryPath, provider: request = { kind: "cpu" }, ...defaults }: OrtOptions): StartedOrt {
    const library = OrtLibrary.open(locateForProvider(request, libraryPath));
    this.#library = library;
    const open = (provider: Provider) => OrtDevice.open(library, provider);
    const { opened, provider, note } = openProvider(request, library.path, open);
    this.#device = opened;
    this.#defaults = { ...defaults, provider };
    return { version: library.version, libraryPath: library.path, provider, note };
  }

  openGraph(graph: string, model: ModelSource, options: SessionOptions): GraphTensors {
    refuseTaken(this.#graphs, "graph", graph);
    const own = { ...this.#defaults, ...options };
    const session = OrtSession.open(this.#opened(), graph, model, own, this.#operators);
    this.#graphs.set(graph, session);
    return { inputs: session.inputs, outputs: session.outputs };
  }

  closeGraph(graph: string): string | undefined {
    const session = lookUp(this.#graphs, "graph", graph);
    for (const [name, binding] of this.#bindings) if (binding.session === session) this.unbind(name);
    const profile = session.endProfiling();
    session[Symbol.dispose]();
    this.#graphs.delete(graph);
    return profile;
  }

  placements(graph: string): readonly Placement[] {
    return lookUp(this.#graphs, "graph", graph).placements();
  }

  allocate(buffers: readonly BufferSpec[]): void {
    const made: string[] = [];
    try {
      for (const { id, dtype, shape, place } of buffers) {
        refuseTaken(this.#tensors, "tensor", id);
        const device = place === "device" ? this.#device : null;
        this.#tensors.set(id, OrtTensor.allocate(this.#opened(), id, dtype, shape, device));
        made.push(id);
      }
    } catch (error) {
      this.free(made);
      throw error;
    }
  }

  free(ids: readonly string[]): void {
    for (const id of ids) {
      const tensor = lookUp(this.#tensors, "tensor", id);
      for (const [name, binding] of this.#bindings)
        if (binding.refersTo(tensor))
          throw misuse(`tensor "${id}" cannot be freed while the binding "${name}" refers to it`);
    }
    for (const id of ids) {
      if (!this.#isMemoryHeld) this.#tensors.get(id)?.[Symbol.dispose]();
      this.#tensors.delete(id);
    }
  }

  write(data: Writes): void {
    this.#beginWrites(data);
    this.#device?.copies.finish();
  }

  #beginWrites(data: Writes): void {
    const named = Object.entries(data);
    OrtTensor.beginWrites(named.map(([id, view]) => [lookUp(this.#tensors, "tensor", id), view] as const));
  }

  read(ids: readonly string[]): Map<string, HostTensor> {
    return OrtTensor.readAll(ids.map((id) => [id, lookUp(this.#tensors, "tensor", id)]));
  }

  bind(binding: string, graph: string, io: BindingSpec): void {
    refuseTaken(this.#bindings, "binding", binding);
    const session = lookUp(this.#graphs, "graph", graph);
    const { inputs, outputs, captures = false } = io;
    const made = OrtBinding.create(session, this.#byName(inputs), this.#byName(outputs), captures);
    this.#bindings.set(binding, made);
  }

  #byName(ids: Readonly<Record<string, string>>): NamedTensors {
    return new Map(Object.entries(ids).map(([name, id]) => [name, lookUp(this.#tensors, "tensor", id)]));
  }

  unbind(binding: string): void {
    lookUp(this.#bindings, "binding", binding)[Symbol.dispose]();
    this.#bindings.delete(binding);
  }

  step(binding: string, { writes = {}, staged = {}, sums = [], reads = [] }: StepIo): StepResult {
    const bound = lookUp(this.#bindings, "binding", binding);
    for (const id of Object.keys(staged))
      if (bound.refersTo(lookUp(this.#tensors, "tensor", id)))
        throw misuse(`tensor "${id}" cannot be written while the binding "${binding}" runs on it`);
    this.write(writes);
    const started = performance.now();
    try {
      bound.run();
      // A CUDA device has only been told what to do: it computes while the next batch goes to it.
      this.#beginWrites(staged);
    } catch (error) {
      this.#settleAfterFault();
      throw error;
    }
    this.#device?.copies.settle();
    const runMs = performance.now() - started;
    this.#pulse.move();
    if (sums.length > 0) this.allReduce(sums);
    return { outputs: this.read(reads), runMs, returned: transferableBuffers([writes, staged]) };
  }

  /** Nothing may be under way when the next call comes; the fault that came first names its node. */
  #settleAfterFault(): void {
    try {
      this.#device?.copies.settle();
    } catch {
      // A device that failed in a run fails again here, and says less.
    }
  }

  run(
    graph: string,
    feeds: Readonly<Record<string, HostTensor>>,
    wanted?: readonly string[],
  ): Map<string, HostTensor> {
    const session = lookUp(this.#graphs, "graph", graph);
    const names = wanted ?? session.outputs.map(({ name }) => name);
    checkFeeds(session, feeds, names);
    const inputs = new Map<string, OrtTensor>();
    let outputs: OrtTensor[] = [];
    try {
      for (const [name, { dtype, shape, data }] of Object.entries(feeds)) {
        const tensor = OrtTensor.allocate(this.#opened(), name, dtype, shape);
        inputs.set(name, tensor);
        tensor.write(data);
      }
      outputs = session.run(inputs, names);
      return new Map(outputs.map((tensor) => [tensor.name, tensor.read()]));
    } finally {
      for (const tensor of [...inputs.values(), ...outputs]) tensor[Symbol.dispose]();
    }
  }

  joinRanks(options: JoinOptions): JoinedPlace {
    if (this.#ranks !== null) throw new InternalError("the ranks are joined already");
    const library = this.#opened();
    const { engine, cores, coresNote } = joinRanks(options, this.#device?.collectives);
    const { size } = engine.place;
    const allGather: RankExchange["allGather"] = (from, to, count) => engine.allGather(from, to, count);
    this.#ranks = engine;
    this.#pulse = new RankPulse(options.pulse);
    this.#operators = new RankOperators(library, { size, allGather });
    const { intraOpThreads = cores } = this.#defaults;
    this.#defaults = { ...this.#defaults, intraOpThreads };
    return { ...engine.place, cores, coresNote };
  }

  allReduce(ids: readonly string[]): void {
    const engine = this.#together();
    const tensors = this.#all(ids);
    refuseOtherTypes(tensors);
    this.#rankTensors.share(tensors, engine.reachesDevices, (parts) => engine.allReduce(parts));
  }

  broadcastTensors(ids: readonly string[]): void {
    const engine = this.#together();
    this.#rankTensors.share(this.#all(ids), engine.reachesDevices, (parts) => engine.broadcast(parts));
  }

  broadcastBytes(bytes: Uint8Array): Uint8Array {
    return this.#joined().broadcastBytes(bytes);
  }

  leaveRanks(): void {
    this.#joined().leave();
  }

  /** The engine, for tensors: none of those that it may still hold are handed out once more. */
  #together(): RankEngine {
    if (!this.#isMemoryHeld) return this.#joined();
    const message = "tensors of all ranks: the ranks have lost each other before";
    throw new MttcError({ code: "E_RANK_LOST", message });
  }

  /** What other ranks may still write to stays allocated until the process ends. */
  get #isMemoryHeld(): boolean {
    return this.#ranks?.holdsMemory ?? false;
  }

  #joined(): RankEngine {
    if (this.#ranks === null) throw new InternalError("ranks are used before they are joined");
    return this.#ranks;
  }

  #all(ids: readonly string[]): OrtTensor[] {
    return ids.map((id) => lookUp(this.#tensors, "tensor", id));
  }

  close(): void {
    const isHeld = this.#isMemoryHeld;
    for (const held of [this.#bindings, this.#graphs, ...(isHeld ? [] : [this.#tensors])]) {
      for (const item of held.values()) item[Symbol.dispose]();
      held.clear();
    }
    this.#operators?.[Symbol.dispose]();
    this.#operators = null;
    this.#ranks?.[Symbol.dispose]();
    this.#ranks = null;
    if (!isHeld) this.#rankTensors[Symbol.dispose]();
    this.#device?.[Symbol.dispose]();
    this.#device = null;
    this.#library?.[Symbol.dispose]();
    this.#library = null;
  }

  #opened(): OrtLibrary {
    if (this.#library === null) throw new InternalError("ONNX Runtime is used before start or after close");
    return this.#library;
  }
}

function checkFeeds(
  session: OrtSession,
  feeds: Readonly<Record<string, HostTensor>>,
  wanted: readonly string[],
) {
  const given = Object.entries(feeds).map(([id, { dtype, shape }]) => [id, { id, dtype, shape }] as const);
  for (const [, { dtype, shape }] of given) tensorSizeBytes(dtype, shape);
  checkBinding(session, new Map(given), new Map());
  const names = session.outputs.map(({ name }) => name);
  for (const name of wanted)
    if (!names.includes(name))
      throw misuse(`graph "${session.name}": there is no output "${name}": ${suggestName(name, names)}`);
}

function misuse(message: string, code: ErrorCode = "E_ORT_BINDING"): MttcError {
  return new MttcError({ code, message });
}

function refuseTaken(known: ReadonlyMap<string, unknown>, kind: string, name: string): void {
  if (known.has(name)) throw misuse(`there is already a ${kind} "${name}"`);
}

function lookUp<T>(known: ReadonlyMap<string, T>, kind: string, name: string): T {
  const found = known.get(name);
  if (found !== undefined) return found;
  throw misuse(`there is no ${kind} "${name}": ${suggestName(name, [...known.keys()])}`);
}
