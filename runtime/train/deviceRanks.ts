// What a training device does together with those of other processes: sums over all of them, state that rank
// 0 has and all take over, and running statistics that each has kept for itself. All of them call the same
// methods in the same order; what rank 0 begins it tells the others first.
import { type Manifest, type StateEntry, withRole } from "../../compiler/bundle/manifest.ts";
import type { HostTensor, OrtHost } from "../ort/ortHost.ts";
import type { StepScalars } from "./microBatch.ts";

/** What rank 0's device tells the devices that mirror it. */
export type DeviceMessage =
  /** A logical batch: the others take their rows of all of its micro-batches, and then finish the step. */
  | { readonly kind: "step"; readonly scalars: StepScalars }
  /** Rank 0's state is everyone's. */
  | { readonly kind: "state" }
  /** Running statistics become the means over all. */
  | { readonly kind: "means" };

/** The processes that train as one, as a device knows them. */
export interface DeviceGroup {
  readonly size: number;
  /** Tells the others what this one begins; of one that follows: nothing. */
  readonly tell: (message: DeviceMessage) => void;
  /** Hears that the step which the others were told of is done. */
  readonly stepped: () => void;
}

/** What it asks of ONNX Runtime. */
type CollectiveHost = Pick<OrtHost, "allReduce" | "broadcastTensors" | "read" | "write">;

export class DeviceRanks {
  readonly #host: CollectiveHost;
  readonly #group: DeviceGroup;
  readonly #manifest: Manifest;
  /** The tensor that holds a state tensor now. */
  readonly #current: (name: string) => string;
  /** Statistics that every rank keeps of its own rows. */
  readonly #ownStatistics: readonly StateEntry[];
  #hasOwnStatistics = false;

  constructor(
    host: CollectiveHost,
    group: DeviceGroup,
    manifest: Manifest,
    current: (name: string) => string,
  ) {
    this.#host = host;
    this.#group = group;
    this.#manifest = manifest;
    this.#current = current;
    this.#ownStatistics = manifest.spec.sync_batchnorm === false ? statisticsOf(manifest) : [];
  }

  /** Before the first micro-batch of a step. */
  beginStep(scalars: StepScalars): void {
    this.#group.tell({ kind: "step", scalars });
    this.#hasOwnStatistics = this.#ownStatistics.length > 0;
  }

  /** After the update of a step. */
  endStep(): void {
    this.#group.stepped();
  }

  /** Whether statistics are this rank's alone, and not yet those of all. */
  get hasOwnStatistics(): boolean {
    return this.#hasOwnStatistics;
  }

  /**
   * Ids of what is summed over all ranks after a run of the step's graph: its figures, and after the last
   * micro-batch of a step the gradients. `outputs` are the ids of the graph's outputs by name.
   */
  sumsOf(graph: string, index: number, outputs: Readonly<Record<string, string>>): string[] {
    const entries = this.#manifest.graphs[graph]?.outputs ?? [];
    const isLast = index === this.#manifest.accumulate - 1;
    const summed = [...withRole(entries, "figure"), ...(isLast ? withRole(entries, "accumulator") : [])];
    return summed.flatMap(({ name }) => outputs[name] ?? []);
  }

  /** Gives all ranks rank 0's state. */
  async shareState(): Promise<void> {
    this.#group.tell({ kind: "state" });
    this.#hasOwnStatistics = false;
    await this.#host.broadcastTensors(this.#manifest.state.map(({ name }) => this.#current(name)));
  }

  /** Makes the running statistics those of all ranks, where each has its own: before anybody reads them. */
  async settle(): Promise<void> {
    if (!this.#hasOwnStatistics) return;
    this.#group.tell({ kind: "means" });
    this.#hasOwnStatistics = false;
    const ids = this.#ownStatistics.map(({ name }) => this.#current(name));
    await this.#host.allReduce(ids);
    const sums = await this.#host.read(ids);
    const means = [...sums].map(([id, sum]) => [id, this.#meanOf(sum)] as const);
    await this.#host.write(Object.fromEntries(means));
  }

  #meanOf({ data }: HostTensor): Float32Array {
    return (data as Float32Array).map((sum) => sum / this.#group.size);
  }
}

/** Running statistics, and their moving averages. */
function statisticsOf({ state }: Pick<Manifest, "state">): StateEntry[] {
  const own = new Set(state.flatMap(({ name, group }) => (group === "statistic" ? [name] : [])));
  return state.filter(({ name, group, of }) => own.has(name) || (group === "average" && own.has(of ?? "")));
}
