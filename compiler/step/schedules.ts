// How the learning rate goes: a formula and its numbers, which the manifest holds for whoever feeds the rate,
// and the rate at a step. Pure: a run that is resumed at a step has the rate of that step.
import type { Schedule } from "../ir/roles.ts";
import type { StepSpec } from "../spec/schema.ts";

/** The keys of a spec that say how the learning rate goes. */
export type ScheduleSpec = Pick<StepSpec, "lr" | "lr_decay" | "decay_type" | "warmup" | "one_cycle">;

/** Share of the rate that is left after `lr_decay` steps (patchwork's). */
const DECAY_RATE = 0.5;
/** Each period of the cosine with restarts is so many times the one before (Loshchilov & Hutter: T_mult). */
const PERIOD_GROWTH = 2;
/** Share of the rate that warmupcosine ends at (patchwork's CosineDecayWarmup). */
const COSINE_LEAST = 0.01;
/** Steps of warmupcosine's rise where nobody says otherwise (patchwork's build_optimizer). */
export const COSINE_WARMUP = 5_000;
/** PyTorch's OneCycleLR: pct_start, div_factor, final_div_factor. */
const ONE_CYCLE = { rise: 0.3, start: 25, end: 1e4 } as const;

type Formula = Schedule["formula"];
type Numbers<F extends Formula> = Extract<Schedule, { readonly formula: F }>;

/** Steps over which the rate rises before anything else. */
export function warmupSteps({ warmup, lr_decay: decay, decay_type: type }: ScheduleSpec): number {
  return warmup ?? (decay > 0 && type === "warmupcosine" ? COSINE_WARMUP : 0);
}

/** The schedule of a spec; constant where it has none. */
export function scheduleOf(spec: ScheduleSpec): Schedule {
  const { lr: value, lr_decay: steps, decay_type: type, one_cycle: cycle } = spec;
  if (cycle !== false) {
    return { formula: "one_cycle", value, steps: cycle === true ? "run" : cycle, ...ONE_CYCLE };
  }
  const warmup = warmupSteps(spec);
  if (steps === 0)
    return warmup === 0 ? { formula: "constant", value } : { formula: "warmup", value, warmup };
  const decay = { value, steps, warmup };
  switch (type) {
    case "exponential":
    case "staircase":
      return { formula: type, ...decay, rate: DECAY_RATE };
    case "cosine":
      return { formula: "cosine_restarts", ...decay, growth: PERIOD_GROWTH };
    case "warmupcosine":
      return { formula: "cosine", ...decay, least: COSINE_LEAST };
  }
}

/** Whether the rate changes from step to step. */
export function isScheduled(spec: ScheduleSpec): boolean {
  return scheduleOf(spec).formula !== "constant";
}

/** Half a cosine from 1 at share 0 to 0 at share 1. */
function halfCosine(share: number): number {
  return (1 + Math.cos(Math.PI * share)) / 2;
}

/**
 * The share of the largest rate at step `t`, counted from the end of the rise, by formula. Sources:
 * - exponential, staircase: keras.optimizers.schedules.ExponentialDecay
 * - cosine: keras.optimizers.schedules.CosineDecay; with the rise before it patchwork's CosineDecayWarmup
 * - cosine_restarts: Loshchilov & Hutter, arXiv 1608.03983; keras.optimizers.schedules.CosineDecayRestarts
 * - one_cycle: Smith & Topin, arXiv 1708.07120, in the form of torch.optim.lr_scheduler.OneCycleLR (two
 *   phases, cosines; momentum is left as it is)
 */
const SHARES: { readonly [F in Formula]: (numbers: Numbers<F>, t: number, totalSteps: number) => number } = {
  constant: () => 1,
  warmup: () => 1,
  exponential: ({ rate, steps }, t) => rate ** (t / steps),
  staircase: ({ rate, steps }, t) => rate ** Math.floor(t / steps),
  cosine: ({ steps, least }, t) => least + (1 - least) * halfCosine(Math.min(t / steps, 1)),
  cosine_restarts: ({ steps, growth }, t) => {
    let [since, period] = [t, steps];
    while (since >= period) [since, period] = [since - period, period * growth];
    return halfCosine(since / period);
  },
  one_cycle: ({ steps, rise, start, end }, t, totalSteps) => {
    const last = (steps === "run" ? totalSteps : steps) - 1;
    const peak = rise * (last + 1) - 1;
    const [low, least] = [1 / start, 1 / start / end];
    if (t <= peak) return 1 + (low - 1) * halfCosine(t / peak);
    return least + (1 - least) * halfCosine(Math.min((t - peak) / (last - peak), 1));
  },
};

/**
 * The learning rate of step `step`, counted from 0 over the whole run, in float64. `totalSteps` are those of
 * the whole run as it was planned when it began; only a cycle over the whole run asks for them.
 */
export function learningRateAt(schedule: Schedule, step: number, totalSteps: number): number {
  const { value } = schedule;
  const warmup = "warmup" in schedule ? schedule.warmup : 0;
  if (step < warmup) return (value * step) / warmup;
  const share = SHARES[schedule.formula] as (numbers: Schedule, t: number, totalSteps: number) => number;
  return value * share(schedule, step - warmup, totalSteps);
}
