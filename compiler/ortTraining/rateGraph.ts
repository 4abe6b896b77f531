// The learning rate as a graph: ONNX Runtime's optimizer is told how many steps it has done, and the rate of
// the spec follows from that. step/schedules.ts has the same formulas for a host, in float64 as here.
import { InternalError } from "../diagnostics.ts";
import { GraphBuilder } from "../ir/builder.ts";
import type { Schedule } from "../ir/roles.ts";
import type { Graph, Value } from "../ir/types.ts";
import { OPS } from "../ops/table.ts";
import { type ScheduleSpec, scheduleOf } from "../step/schedules.ts";

/** What the runtime feeds as learning_rate where nobody has set one (training_api/optimizer.h). */
export const DEFAULT_RATE = 1e-3;
/** Periods of the cosine with restarts that are told apart: the last ends after 2^40 times the first. */
const MOST_PERIODS = 40;

/**
 * Inputs `learning_rate`, float32 [1], and `step`, int64 [1], which counts from 1; output `output`, float32
 * [1]: the spec's rate of the step, or what somebody has set in its place.
 */
export function buildRateGraph(spec: ScheduleSpec, output: string): Graph {
  const b = new GraphBuilder("rate", OPS);
  const given = b.input("learning_rate", "float32", [1]);
  const counted = b.cast(b.input("step", "int64", [1]), "float64");
  const planned = b.cast(rateAt(b, scheduleOf(spec), b.sub(counted, double(b, 1))), "float32");
  const isDefault = b.emit("Equal", [given, b.scalar(DEFAULT_RATE)]);
  b.output(output, b.where(isDefault, planned, given));
  return b.build();
}

function double(b: GraphBuilder, value: number): Value {
  return b.scalar(value, "float64");
}

/** The rate at `step`, float64 [1], which counts from 0. */
function rateAt(b: GraphBuilder, schedule: Schedule, step: Value): Value {
  const { value } = schedule;
  const warmup = "warmup" in schedule ? schedule.warmup : 0;
  const share = shareAt(b, schedule, b.sub(step, double(b, warmup)));
  const after = share ? b.mul(share, double(b, value)) : double(b, value);
  if (warmup === 0) return after;
  const rising = b.div(b.mul(step, double(b, value)), double(b, warmup));
  return b.where(b.emit("Less", [step, double(b, warmup)]), rising, after);
}

/** The share of the largest rate at `t` from the end of the rise on; undefined is 1. */
function shareAt(b: GraphBuilder, schedule: Schedule, t: Value): Value | undefined {
  switch (schedule.formula) {
    case "constant":
    case "warmup":
      return undefined;
    case "exponential":
    case "staircase": {
      const periods = b.div(t, double(b, schedule.steps));
      const passed = schedule.formula === "staircase" ? b.emit("Floor", [periods]) : periods;
      return b.emit("Pow", [double(b, schedule.rate), passed]);
    }
    case "cosine": {
      const part = atMostOne(b, b.div(t, double(b, schedule.steps)));
      return between(b, schedule.least, 1, halfCosine(b, part));
    }
    case "cosine_restarts":
      return halfCosine(b, partOfPeriod(b, schedule, t));
    case "one_cycle":
      return cycleShare(b, schedule, t);
    default:
      throw new InternalError(`schedule ${String(schedule satisfies never)}`);
  }
}

/** Half a cosine from 1 at 0 to 0 at 1; ONNX Runtime's CPU has Cos of float32, of arguments up to pi. */
function halfCosine(b: GraphBuilder, part: Value): Value {
  const angle = b.cast(b.mul(part, double(b, Math.PI)), "float32");
  const cosine = b.cast(b.emit("Cos", [angle]), "float64");
  return b.div(b.add(cosine, double(b, 1)), double(b, 2));
}

/** low + (high - low) share. */
function between(b: GraphBuilder, low: number, high: number, share: Value): Value {
  return b.add(b.mul(share, double(b, high - low)), double(b, low));
}

function atMostOne(b: GraphBuilder, value: Value): Value {
  return b.emit("Min", [value, double(b, 1)]);
}

/**
 * How much of its period is over. Period k begins at T (g^k - 1) / (g - 1) and lasts T g^k: the latest begin
 * that is not after t says which it is, exactly, where a logarithm would not.
 */
function partOfPeriod(
  b: GraphBuilder,
  { steps, growth }: Extract<Schedule, { readonly formula: "cosine_restarts" }>,
  t: Value,
): Value {
  const begins = Float64Array.from(
    { length: MOST_PERIODS },
    (_, k) => (steps * (growth ** k - 1)) / (growth - 1),
  );
  const list = b.constant({ dtype: "float64", shape: [MOST_PERIODS], data: begins });
  const passed = b.where(b.emit("LessOrEqual", [list, t]), list, double(b, 0));
  const since = b.emit("ReduceMax", [passed, b.ints([0])], { keepdims: 1 });
  const period = b.add(b.mul(since, double(b, growth - 1)), double(b, steps));
  return b.div(b.sub(t, since), period);
}

function cycleShare(
  b: GraphBuilder,
  { steps, rise, start, end }: Extract<Schedule, { readonly formula: "one_cycle" }>,
  t: Value,
): Value {
  if (steps === "run") throw new InternalError("a cycle over a run whose length nobody knows");
  const last = steps - 1;
  const peak = rise * steps - 1;
  const [low, least] = [1 / start, 1 / start / end];
  const up = between(b, 1, low, halfCosine(b, b.div(t, double(b, peak))));
  const part = atMostOne(b, b.div(b.sub(t, double(b, peak)), double(b, last - peak)));
  const down = between(b, least, 1, halfCosine(b, part));
  return b.where(b.emit("LessOrEqual", [t, double(b, peak)]), up, down);
}
