// How a learning rate goes, as text: its formula, its course in a line of blocks, and rates of some steps.
import type { ScheduleFacts } from "../compiler/inspect/scheduleFacts.ts";
import type { Schedule } from "../compiler/ir/roles.ts";
import { rateText } from "../compiler/step/scheduleNotes.ts";
import { renderTable } from "./tables.ts";
import type { Terminal } from "./terminal.ts";

const BLOCKS = "▁▂▃▄▅▆▇█";

/** A line of blocks, each as high as its rate beside the largest. */
function courseText(course: readonly number[]): string {
  const most = Math.max(...course, Number.MIN_VALUE);
  const place = (rate: number): number =>
    Math.min(BLOCKS.length - 1, Math.floor((rate / most) * BLOCKS.length));
  return course.map((rate) => BLOCKS[place(rate)] ?? "").join("");
}

function formulaText(schedule: Schedule): string {
  const value = rateText(schedule.value);
  const rise = "warmup" in schedule && schedule.warmup > 0 ? `${schedule.warmup} steps of rise, then ` : "";
  switch (schedule.formula) {
    case "constant":
      return value;
    case "warmup":
      return `${rise}${value}`;
    case "exponential":
      return `${rise}half of it in ${schedule.steps} steps, from ${value} on`;
    case "staircase":
      return `${rise}halved after each ${schedule.steps} steps, from ${value} on`;
    case "cosine":
      return `${rise}a cosine of ${schedule.steps} steps from ${value} to ${rateText(schedule.value * schedule.least)}`;
    case "cosine_restarts":
      return `${rise}cosines from ${value} to 0, the first of ${schedule.steps} steps, each further one twice as long`;
    case "one_cycle": {
      const over = schedule.steps === "run" ? "the whole run" : `${schedule.steps} steps`;
      return `one cycle over ${over}, up to ${value}`;
    }
  }
}

/** Several lines. */
export function scheduleText(facts: ScheduleFacts, terminal: Terminal): string {
  const { schedule, totalSteps, stepsPerEpoch, rates, course } = facts;
  const length =
    totalSteps === undefined
      ? "how many steps the run has, the training labels would tell"
      : `the run has ${totalSteps} steps, ${stepsPerEpoch} an epoch`;
  const rows = rates.map(({ step, rate }) => [
    String(step),
    stepsPerEpoch === undefined ? "" : String(Math.floor(step / stepsPerEpoch) + 1),
    rateText(rate),
  ]);
  const formula = `${formulaText(schedule)}; ${length}`;
  if (rates.length === 0) return formula;
  return [
    formula,
    courseText(course),
    renderTable(terminal, ["step", "epoch", "rate"], rows, [0, 1, 2]),
  ].join("\n");
}
