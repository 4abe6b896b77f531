// The graphs of a run in ONNX Runtime: opened, bound to the tensors that they read and write, captured where
// that is asked for and possible, and closed; and the tensors themselves.
import { join } from "node:path";
import type { GraphEntry, Manifest } from "../../compiler/bundle/manifest.ts";
import { MttcError, need } from "../../compiler/diagnostics.ts";
import type { GraphPurpose } from "../../compiler/ir/roles.ts";
import type { OrtHost, SessionOptions } from "../ort/ortHost.ts";
import { fallenNodes } from "../ort/placement.ts";
import { providerTraits } from "../ort/provider.ts";
import type { Alternation, BoundTensors } from "./alternation.ts";
import { deviceTensors } from "./deviceTensors.ts";

/** How graphs are opened. */
export interface GraphOptions {
  /** Have the steps' graphs opened such that `captures` may be set. */
  readonly capturable?: boolean | undefined;
  /** Writes ORT's profile of each graph, on closing, to a file whose path begins so and with its name. */
  readonly profilePrefix?: string | undefined;
  /** How its graphs are run, in place of the host's own ways. */
  readonly session?: Pick<SessionOptions, "intraOpThreads" | "allowSpinning" | "provider"> | undefined;
}

/** What steps run again and again: what is worth capturing. */
const STEP_PURPOSES: ReadonlySet<GraphPurpose> = new Set(["train", "grad", "apply", "losses", "factors"]);

export class DeviceGraphs implements AsyncDisposable {
  /** What the provider's device leaves to the CPU, a line for each graph. */
  readonly fallbacks: string[] = [];
  /** Whether steps are captured as graphs of the device, and replayed. */
  captures = false;
  readonly #host: OrtHost;
  readonly #directory: string;
  readonly #manifest: Manifest;
  readonly #alternation: Alternation;
  readonly #profilePrefix: string | undefined;
  readonly #session: GraphOptions["session"];
  #isCapturable: boolean;
  /** Why open graphs cannot be captured. */
  readonly #captureFaults = new Map<string, MttcError>();
  readonly #bound = new Set<string>();
  readonly #open = new Set<string>();
  readonly #tensors = new Set<string>();

  /** Of the bundle in a folder. */
  constructor(
    host: OrtHost,
    bundle: { readonly directory: string; readonly manifest: Manifest },
    alternation: Alternation,
    options: GraphOptions,
  ) {
    this.#host = host;
    this.#directory = bundle.directory;
    this.#manifest = bundle.manifest;
    this.#alternation = alternation;
    this.#isCapturable = options.capturable ?? false;
    this.#profilePrefix = options.profilePrefix;
    this.#session = options.session;
  }

  isOpen(graph: string): boolean {
    return this.#open.has(graph);
  }

  entry(graph: string): GraphEntry {
    return need(this.#manifest.graphs[graph], `graph ${graph}`);
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
    for (const graph of [...this.#open].filter((name) => this.#isStep(name))) {
      await this.close(graph);
      await this.open(graph);
    }
    // They were said when the graphs were opened first.
    this.fallbacks.splice(0, this.fallbacks.length, ...lines);
  }

  /** Binds a graph to the tensors of its next run, once for each combination of them. */
  async bind(graph: string, fromZero: boolean): Promise<Pick<BoundTensors, "outputs"> & { binding: string }> {
    const captures = this.captures && this.#isStep(graph);
    const { name, inputs, outputs } = this.#alternation.bindingOf(graph, fromZero);
    const binding = captures ? `${name}, captured` : name;
    if (!this.#bound.has(binding)) {
      await this.#host.bind(binding, graph, { inputs, outputs, captures });
      this.#bound.add(binding);
    }
    return { binding, outputs };
  }

  async open(graph: string): Promise<void> {
    const onDevice = providerTraits(this.#host.provider).memory !== null;
    const path = join(this.#directory, this.entry(graph).file);
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
    this.#open.add(graph);
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

  async close(graph: string): Promise<void> {
    for (const binding of this.#bound)
      if (binding.startsWith(`${graph}:`)) {
        await this.#host.unbind(binding);
        this.#bound.delete(binding);
      }
    await this.#host.closeGraph(graph);
    this.#open.delete(graph);
    this.#captureFaults.delete(graph);
  }

  /**
   * Allocates the tensors of the state and of the open graphs that are not there yet, on the provider's
   * device: there the state stays for the whole run, and only figures that somebody asks for come back. Frees
   * those that only closed graphs have used.
   */
  async allocate(): Promise<void> {
    const buffers = deviceTensors(this.#manifest, this.#open, this.#alternation);
    const unused = [...this.#tensors].filter((id) => !buffers.has(id));
    await this.#host.free(unused);
    for (const id of unused) this.#tensors.delete(id);
    const added = [...buffers.values()].filter(({ id }) => !this.#tensors.has(id));
    await this.#host.allocate(added);
    for (const { id } of added) this.#tensors.add(id);
  }

  /** Gives bindings, tensors and graphs back; the host stays open. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const binding of this.#bound) await this.#host.unbind(binding);
    await this.#host.free([...this.#tensors]);
    for (const graph of this.#open) await this.#host.closeGraph(graph);
  }

  #isStep(graph: string): boolean {
    return STEP_PURPOSES.has(this.entry(graph).purpose);
  }
}
