// What a target of the compiler is: all that the stages ask of one. cpu.ts and cuda.ts are those that there
// are, targets.ts their table. Code asks traits, never which target it is.
import type { Fault } from "../diagnostics.ts";
import type { OpTable } from "../ir/op.ts";
import type { Graph } from "../ir/types.ts";
import type { ChannelBlock } from "../ops/channelBlocks.ts";
import type { Joining } from "../step/updateGroups.ts";
import type { FormTable, MeasuredForms } from "./forms.ts";

export interface TargetTraits {
  /** Which form each operator takes. */
  readonly forms: FormTable;
  /** Forms that are worth a measurement, the same on every machine of the target. */
  readonly measured: MeasuredForms;
  /** More of them, where a machine has convolutions on blocks of so many channels. */
  readonly measuredOnBlocks?: (block: ChannelBlock) => MeasuredForms;
  /** Whether a run measures forms unless it is told not to: the rules of `forms` are expectations only. */
  readonly isMeasured: boolean;
  /** Whether `precision: fp16` is spelled in float16 and float32. */
  readonly mixesPrecision: boolean;
  /** Which parameters' updates are made one. */
  readonly joinsUpdates: Joining;
  /** Whether augmentation is spelled for a processor: no sums of many terms in one product. */
  readonly augmentsForCpu: boolean;
  /** Whether a loader beside the step warps bytes cheaper than the graph does. */
  readonly warpsInLoader: boolean;
  /** Whether its provider lays out constant filters itself: what has such is left as it is. */
  readonly laysOutFilters: boolean;
  /** Whether gradients of convolutions take the factors of a batch norm's gradient on their filters. */
  readonly gainsOnFilters: boolean;
  /** Respells a graph once all is lowered. */
  readonly respell: (graph: Graph, ops: OpTable) => Graph;
  /** Nodes of a finished graph that its provider leaves to the CPU; absent where it has kernels of all. */
  readonly kernelFaults?: (graph: Graph) => readonly Fault[];
}
