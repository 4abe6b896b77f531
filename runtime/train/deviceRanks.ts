// What a training device does together with those of other processes: sums over all of them, and state that
// rank 0 has and all take over. All of them call the same methods in the same order; what rank 0 begins it
// tells the others first. Running statistics are everyone's already: graphs gather what they are made of.
import { type Manifest, withRole } from "../../compiler/bundle/manifest.ts";
import type { OrtHost } from "../ort/ortHost.ts";
import type { StepScalars } from "./microBatch.ts";

/** What rank 0's device tells the devices that mirror it. */
export type DeviceMessage =
  /** A logical batch: the others take their rows of all of its micro-batches, and then finish the step. */
  | { readonly kind: "step"; readonly scalars: StepScalars }
  /** Rank 0's state is everyone's. */
  | { readonly kind: "state" };

/** The processes that train as one, as a device knows them. */
export interface DeviceGroup {
  readonly size: number;
  /** Tells the others what this one begins; of one that follows: nothing. */
  readonly tell: (message: DeviceMessage) => void;
  /** Hears that the step which the others were told of is done. */
  readonly stepped: () => void;
}

/** A run: its figures, if they are asked for, and its sums after the last micro-batch are everyone's. */
export interface SummedRun {
  /** Place of the micro-batch in its logical batch. */
  readonly index: number;
  readonly isTold: boolean;
  /** Ids of the graph's outputs by name. */
  readonly outputs: Readonly<Record<string, string>>;
}

/** What it asks of ONNX Runtime. */
type CollectiveHost = Pick<OrtHost, "broadcastTensors">;

export class DeviceRanks {
  readonly #host: CollectiveHost;
  readonly #group: DeviceGroup;
  readonly #manifest: Manifest;
  /** The tensor that holds a state tensor now. */
  readonly #current: (name: string) => string;

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
  }

  /** Before the first micro-batch of a step. */
  beginStep(scalars: StepScalars): void {
    this.#group.tell({ kind: "step", scalars });
  }

  /** After the update of a step. */
  endStep(): void {
    this.#group.stepped();
  }

  /** Ids of what is summed over all ranks after a run that takes a micro-batch. */
  sumsOf(graph: string, { index, isTold, outputs }: SummedRun): string[] {
    const entries = this.#manifest.graphs[graph]?.outputs ?? [];
    const isLast = index === this.#manifest.accumulate - 1;
    const summed = [
      ...(isTold ? withRole(entries, "figure") : []),
      ...(isLast ? [...withRole(entries, "accumulator"), ...withRole(entries, "losses")] : []),
    ];
    return summed.flatMap(({ name }) => outputs[name] ?? []);
  }

  /** Gives all ranks rank 0's state. */
  async shareState(): Promise<void> {
    this.#group.tell({ kind: "state" });
    await this.#host.broadcastTensors(this.#manifest.state.map(({ name }) => this.#current(name)));
  }
}
