// The learning rate range test (Smith, arXiv 1506.01186): the rate rises from step to step over many powers
// of ten, and the loss shows where training learns and where it breaks. A session that is not to be kept in,
// losses by rate and a proposal out.
import { EpochBatches } from "./epochBatches.ts";
import type { EpochRun } from "./epochLoop.ts";
import type { StepScalars } from "./microBatch.ts";
import { usageError } from "./trainerCalls.ts";

export interface RateTestOptions {
  readonly low: number;
  readonly high: number;
  readonly steps: number;
  readonly signal?: AbortSignal | undefined;
  readonly onStep?: ((step: number, rate: number, loss: number) => void) | undefined;
}

/** One step: the rate that it took, and the losses before its update. */
export interface RatePoint {
  readonly rate: number;
  /** Sum over the tasks of weight times masked mean; learned weights count as 1. */
  readonly loss: number;
  /** The mean of these over the steps around. */
  readonly smooth: number;
}

export interface RateTest {
  readonly points: readonly RatePoint[];
  /** Whether the loss grew without bounds before the last step. */
  readonly broke: boolean;
  readonly proposal: RateProposal | undefined;
}

export interface RateProposal {
  /** Where half of the descent is done. */
  readonly rate: number;
  /** Where the smoothed loss falls most for a factor of the rate. */
  readonly steepest: number;
  /** A tenth of the rate where the smoothed loss is least. */
  readonly tenthOfLeast: number;
}

/** Weight of what was in the running mean of the loss, by which the test ends. */
const SMOOTHING = 0.9;
/** The test ends where the running mean of the loss is so many times its least. */
const BROKEN = 4;
/** Steps of which the mean is of too few to be judged. */
const WARM_STEPS = 5;
/** Steps before and behind a step that its mean is taken over: a mean of those before alone would lag. */
const AROUND = 5;

/**
 * Trains `steps` steps with rates low (high / low)^(i / (steps - 1)), from the session's state on, over as
 * many epochs as that takes; ends early where the loss breaks. The session's state is of no use afterwards.
 */
export async function testRates(sources: EpochRun, options: RateTestOptions): Promise<RateTest> {
  if (sources.leader) throw usageError("a test of rates is for one process, found ranks");
  const { low, high, steps, signal, onStep } = options;
  const points: { readonly rate: number; readonly loss: number }[] = [];
  let mean = 0;
  let least = Number.POSITIVE_INFINITY;
  let broke = false;
  for (let epoch = 1; points.length < steps && !broke; epoch++) {
    await using batches = new EpochBatches(sources, epoch, 0, []);
    for (let step = 0; step < batches.steps && points.length < steps && !broke; step++) {
      if (signal?.aborted) return { points: smoothed(points), broke, proposal: undefined };
      const rate = low * (high / low) ** (points.length / Math.max(1, steps - 1));
      const scalars = { ...batches.scalars(step, batches.steps), learningRate: rate };
      const loss = await trainStep(sources, batches, scalars);
      mean = SMOOTHING * mean + (1 - SMOOTHING) * loss;
      const running = mean / (1 - SMOOTHING ** (points.length + 1));
      broke = !Number.isFinite(running) || (points.length >= WARM_STEPS && running > BROKEN * least);
      least = Math.min(least, running);
      points.push({ rate, loss });
      onStep?.(points.length, rate, loss);
    }
  }
  const all = smoothed(points);
  const known = all.filter(({ smooth }) => Number.isFinite(smooth));
  return { points: all, broke, proposal: proposedRate(known) };
}

/** Each loss beside the mean over the steps around it, as many on both sides. */
function smoothed(points: readonly { readonly rate: number; readonly loss: number }[]): RatePoint[] {
  return points.map((point, i) => {
    const reach = Math.min(AROUND, i, points.length - 1 - i);
    const around = points.slice(i - reach, i + reach + 1);
    const smooth = around.reduce((sum, { loss }) => sum + loss, 0) / around.length;
    return { ...point, smooth };
  });
}

/** One step of the optimizer; the sum of the tasks' losses before it, NaN where one has no bounds. */
async function trainStep(
  { device, experiment, manifest }: EpochRun,
  batches: EpochBatches,
  scalars: StepScalars,
): Promise<number> {
  const sums = new Map<string, { loss: number; count: number }>();
  for (let micro = 0; micro < experiment.spec.accumulate; micro++) {
    const batch = await batches.next();
    if (!batch) break;
    const result = await device.microBatch(batch, micro, scalars, batches.readAhead());
    for (const buffer of result.inputBuffers) batches.release(buffer);
    for (const [task, { loss_sum: loss = 0, count = 0 }] of result.tasks) {
      const before = sums.get(task) ?? { loss: 0, count: 0 };
      sums.set(task, { loss: before.loss + loss, count: before.count + count });
    }
  }
  await device.finishStep(scalars);
  return manifest.tasks.reduce((total, { name, weight }) => {
    const { loss, count } = sums.get(name) ?? { loss: 0, count: 0 };
    return count === 0 ? total : total + (weight === "adaptive" ? 1 : weight) * (loss / count);
  }, 0);
}

/**
 * The rate to train with: where half of the descent is done, from the most that the smoothed loss was before
 * its least down to that. Undefined where it falls by less than a twentieth.
 */
export function proposedRate(
  points: readonly Pick<RatePoint, "rate" | "smooth">[],
): RateProposal | undefined {
  const least = points.reduce(
    (place, { smooth }, i) => (smooth < (points[place]?.smooth ?? 0) ? i : place),
    0,
  );
  const descent = points.slice(0, least + 1);
  const [bottom, top] = [descent.at(-1)?.smooth ?? 0, Math.max(...descent.map(({ smooth }) => smooth))];
  if (!(top - bottom > LEAST_FALL * Math.abs(top))) return undefined;
  // From behind: what lies before the top is no part of the descent.
  const half = descent.findLast(({ smooth }) => smooth >= (top + bottom) / 2);
  return {
    rate: rounded(half?.rate ?? Number.NaN),
    steepest: rounded(steepestRate(descent)),
    tenthOfLeast: rounded((descent.at(-1)?.rate ?? Number.NaN) / 10),
  };
}

/** Share of the loss that a descent is at least, to be more than chance. */
const LEAST_FALL = 0.05;

function steepestRate(points: readonly Pick<RatePoint, "rate" | "smooth">[]): number {
  let [best, most] = [Number.NaN, 0];
  for (let i = 1; i + 1 < points.length; i++) {
    const [before, here, after] = [points[i - 1], points[i], points[i + 1]];
    if (!before || !here || !after) continue;
    const slope = (after.smooth - before.smooth) / Math.log(after.rate / before.rate);
    if (slope < most) [best, most] = [here.rate, slope];
  }
  return best;
}

/** Two digits: nobody knows a rate better. */
function rounded(rate: number): number {
  return Number(rate.toPrecision(2));
}
