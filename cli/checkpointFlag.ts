// What `--checkpoint` says -> which checkpoint of a run is read.
import type { ReadOptions } from "../runtime/infer/trainedRun.ts";
import { parseWanted } from "../runtime/runs/checkpointChoice.ts";
import type { CheckpointFlags } from "./runtimeOptions.ts";

/** How a run is opened; E_USAGE for what names no checkpoint. */
export function readOptions({ checkpoint }: CheckpointFlags): ReadOptions {
  return checkpoint === undefined ? {} : { checkpoint: parseWanted(checkpoint) };
}
