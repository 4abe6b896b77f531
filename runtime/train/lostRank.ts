// What is said where a run ends because another of its processes is lost.
import { MttcError } from "../../compiler/diagnostics.ts";
import type { RankStall } from "../ranks/heartbeatProtocol.ts";
import { seatText } from "../ranks/rankFaults.ts";

/**
 * The error with what is saved: the checkpoint in the folder `path`, of training as it was at `reached`
 * ("epoch 2, step 7"), or, without that, one from before, since which nothing is new.
 */
export function withSaved(lost: MttcError, path: string, reached?: string): MttcError {
  const saved = reached === undefined ? `saved is ${path}` : `saved as it was at ${reached}, in ${path}`;
  const faults = lost.faults.map((fault) => ({ ...fault, message: `${fault.message}; ${saved}` }));
  return new MttcError(faults, { cause: lost });
}

/** A line on a rank that keeps the others waiting; undefined where an error says it. */
export function stallText({ seat, note, phase, giveUpMs }: RankStall, at: StallPlace): string | undefined {
  const seconds = (ms: number): string => `${Math.round(ms / 100) / 10} s`;
  if (note.kind === "over") return `${seatText(seat)} goes on, after ${seconds(note.ms)}`;
  if (note.kind === "lost") return undefined;
  const place =
    phase === "step" ? `in epoch ${at.epoch}, step ${at.step}` : `after the steps of epoch ${at.epoch}`;
  return (
    `${seatText(seat)} has kept the others waiting for ${seconds(note.ms)}, ${place}: its ONNX Runtime, ` +
    `device or disk may not answer; the run ends after ${seconds(giveUpMs)} of it`
  );
}

/** Where training stands: the epoch, and the step that is under way in it. */
export interface StallPlace {
  readonly epoch: number;
  readonly step: number;
}
