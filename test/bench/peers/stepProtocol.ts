// What peers.ts says to the processes that take training steps, and what they answer: one JSON object a
// line. peer_steps.py speaks it for PyTorch, mttcSteps.ts for mttc.
import type { PeerNet } from "./peerNets.ts";

/** How PyTorch runs. */
export interface TorchSetting {
  readonly layout: "contiguous" | "channels_last";
  readonly threads: number;
  /** Whether threads without work spin (GOMP_SPINCOUNT=infinity) or sleep (OMP_WAIT_POLICY=passive). */
  readonly wait: "active" | "passive";
  /** Adam in one kernel of its own. */
  readonly fused: boolean;
}

/** How mttc runs: what its command line offers. */
export interface MttcSetting {
  readonly threads: number;
  readonly autotune: boolean;
}

/** What a process opens. */
export interface OpenRequest {
  readonly net: PeerNet;
  /** Folder of the trunks. */
  readonly models: string;
  /** Initial state of all but an imported trunk, a safetensors file. */
  readonly state: string;
  readonly lr: number;
  /** False: nothing is dropped, so that both sides compute the same numbers. */
  readonly dropout: boolean;
}

/** Mean losses of the tasks in one step. */
export type Losses = readonly number[];

export interface StepTimes {
  readonly milliseconds: readonly number[];
  readonly losses: readonly Losses[];
}
