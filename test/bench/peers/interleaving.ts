// Blocks of steps in turn: every contestant, a side with one of its settings, in a fresh process of its
// own, all open at once, one at a time at work.
import { median } from "../../median.ts";
import { watchOthers } from "./machineLoad.ts";
import { type BlockPair, stepsFor } from "./peerNumbers.ts";
import type { StepChild } from "./stepChild.ts";

export interface Contestant<T> {
  readonly setting: T;
  readonly start: () => StepChild;
  /** What it opens. */
  readonly request: object;
}

/** What was measured of a contestant in one run. */
export interface Blocks {
  /** Median milliseconds of a step, by blocks. */
  readonly stepMs: readonly number[];
  readonly openMs: number;
  readonly peakBytes: number;
}

export interface Interleaved {
  readonly blocks: readonly Blocks[];
  /** Share of all cores that other processes took meanwhile. */
  readonly others: number;
}

interface Open {
  readonly child: StepChild;
  readonly openMs: number;
  readonly steps: number;
  readonly stepMs: number[];
}

/** One run: `count` blocks of at least `blockMs` of each contestant; who is first changes from round to round. */
export async function interleave(
  contestants: readonly Contestant<unknown>[],
  { count, blockMs }: { readonly count: number; readonly blockMs: number },
): Promise<Interleaved> {
  const started: StepChild[] = [];
  try {
    const open: Open[] = [];
    for (const { start, request } of contestants) {
      const child = start();
      started.push(child);
      const { openMs } = await child.open(request);
      const { milliseconds } = await child.steps(3);
      open.push({ child, openMs, steps: stepsFor(blockMs, median(milliseconds)), stepMs: [] });
    }
    return await takeTurns(open, count);
  } finally {
    for (const child of started) await child[Symbol.asyncDispose]();
  }
}

async function takeTurns(open: readonly Open[], count: number): Promise<Interleaved> {
  const others = watchOthers(open.map(({ child }) => child.pid));
  for (let round = 0; round < count; round++) {
    const first = round % open.length;
    for (const { child, steps, stepMs } of [...open.slice(first), ...open.slice(0, first)]) {
      // The first step brings back into the caches what others took.
      const { milliseconds } = await child.steps(steps + 1);
      stepMs.push(median(milliseconds.slice(1)));
    }
  }
  const share = others();
  const blocks: Blocks[] = [];
  for (const { child, openMs, stepMs } of open)
    blocks.push({ stepMs, openMs, peakBytes: await child.peakBytes() });
  return { blocks, others: share };
}

/** Of one side's contestants, by number, the one whose blocks took least in all runs. */
export function winnerOf(runs: readonly (readonly Blocks[])[]): number {
  const numbers = [...(runs[0] ?? []).keys()];
  const msOf = (number: number): number => median(runs.flatMap((run) => run[number]?.stepMs ?? []));
  return numbers.toSorted((a, b) => msOf(a) - msOf(b))[0] ?? 0;
}

/** Neighbouring blocks of two contestants. */
export function pairsOf(torch: Blocks, mttc: Blocks): BlockPair[] {
  return mttc.stepMs.map((ms, block) => ({ mttc: ms, torch: torch.stepMs[block] ?? Number.NaN }));
}
