// The arithmetic of `npm run bench -- peers`: how many steps a block takes, which setting is fastest,
// ratios of interleaved blocks with their spread, and whether the machine is quiet enough to measure
// anything.
import { median } from "../../median.ts";

/** Median milliseconds of a step in a block of PyTorch and in the block of mttc beside it. */
export interface BlockPair {
  readonly torch: number;
  readonly mttc: number;
}

export interface Spread {
  readonly low: number;
  readonly middle: number;
  readonly high: number;
}

/** Quartiles and median. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.round(share * (sorted.length - 1))] ?? Number.NaN;
  return { low: at(0.25), middle: median(sorted), high: at(0.75) };
}

/** PyTorch / mttc of neighbouring blocks: above 1 mttc is faster. */
export function ratiosOf(pairs: readonly BlockPair[]): Spread {
  return spreadOf(pairs.map(({ torch, mttc }) => torch / mttc));
}

/** Median of the runs' ratios, with the quartiles of all their blocks. */
export function ratioOfRuns(runs: readonly (readonly BlockPair[])[]): Spread {
  const { low, high } = ratiosOf(runs.flat());
  return { low, middle: median(runs.map((pairs) => ratiosOf(pairs).middle)), high };
}

/** "1.20 (1.10 to 1.30)" */
export function spreadText({ low, middle, high }: Spread): string {
  return `${middle.toFixed(2)} (${low.toFixed(2)} to ${high.toFixed(2)})`;
}

/** Steps that last `wantedMs` together, two at least. */
export function stepsFor(wantedMs: number, stepMs: number): number {
  return Math.max(2, Math.ceil(wantedMs / stepMs));
}

/** The trial whose steps take the least time; the first of equal ones. */
export function fastest<T extends { readonly stepMs: number }>(trials: readonly T[]): T | undefined {
  return trials.toSorted((a, b) => a.stepMs - b.stepMs)[0];
}

/** One that took more than so many times as long is not tried in blocks. */
const FAR = 1.5;

/** The fastest setting, and the next one unless it is far off: side by side it may be first. */
export function finalists<T extends object>(
  trials: readonly { readonly setting: T; readonly stepMs: number }[],
): T[] {
  const sorted = trials.toSorted((a, b) => a.stepMs - b.stepMs);
  const limit = FAR * (sorted[0]?.stepMs ?? 0);
  const distinct = new Map<string, T>();
  for (const { setting, stepMs } of sorted) {
    const key = JSON.stringify(setting);
    if (stepMs <= limit && !distinct.has(key)) distinct.set(key, setting);
  }
  return [...distinct.values()].slice(0, 2);
}

/** What /proc tells of the machine. */
export interface MachineLoad {
  readonly cores: number;
  /** Processes that ran or waited to, mean over the last minute. */
  readonly load: number;
  /** Share of all cores that was busy in the last second. */
  readonly busy: number;
}

/** What others may take while something is measured: load of a minute for each core, share of the cores. */
export const QUIET = { load: 0.75, busy: 0.1 } as const;

/** Why nothing can be measured now; undefined where the machine is quiet. */
export function loadFault({ cores, load, busy }: MachineLoad): string | undefined {
  const limit = QUIET.load * cores;
  if (busy > QUIET.busy)
    return `others took ${percent(busy)} of ${cores} cores, more than ${percent(QUIET.busy)}`;
  if (load > limit) return `the load of the last minute is ${load.toFixed(2)}, more than ${limit.toFixed(2)}`;
  return undefined;
}

export function percent(share: number): string {
  return `${Math.round(100 * share)} %`;
}

/** How far losses of two sides may be apart. */
export interface LossTolerance {
  /** Of the loss itself, or of 1 where it is smaller. */
  readonly loss: number;
  /** Of what the steps before changed: where a gradient is rounding, Adam takes whole steps on it. */
  readonly change: number;
}

/** Whether two sides that took the same steps from the same weights have the same losses in each. */
export function lossesAgree(
  a: readonly (readonly number[])[],
  b: readonly (readonly number[])[],
  tolerance: LossTolerance,
): boolean {
  if (a.length !== b.length || a.length === 0) return false;
  return a.every((losses, step) => {
    const others = b[step] ?? [];
    return (
      losses.length === others.length &&
      losses.every((loss, task) => {
        const change = Math.abs(loss - (a[0]?.[task] ?? Number.NaN));
        const allowed = tolerance.loss * Math.max(1, Math.abs(loss)) + tolerance.change * change;
        return Math.abs(loss - (others[task] ?? Number.NaN)) <= allowed;
      })
    );
  });
}
