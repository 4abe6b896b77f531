// The tasks' mean losses over a logical batch whose rows come in parts: sums of what each micro-batch, and
// each process, adds to them. Two such sums are kept: of looks at the losses alone, and beside gradients.
import { nextName } from "../bundle/manifest.ts";
import type { GraphBuilder } from "../ir/builder.ts";
import type { AccumulatorRole, LossesRole } from "../ir/roles.ts";
import type { Value } from "../ir/types.ts";

/** What sums up: looks, by the parameters of now, or gradients, by those before the update. */
export type LossSum = "looks" | "gradients";

const NAMES: Readonly<Record<LossSum, string>> = { looks: "losses", gradients: "accumulated/losses" };

/** The input of a sum, float32 [T], declared once. */
export function lossSumInput(b: GraphBuilder, sum: LossSum, tasks: readonly string[]): Value {
  const name = NAMES[sum];
  return b.findInput(name) ?? b.input(name, "float32", [tasks.length], roleOf(sum, tasks));
}

/** Declares the next value of a sum: with the losses of one more micro-batch, float32 [T]. */
export function addToLossSum(b: GraphBuilder, sum: LossSum, tasks: readonly string[], losses: Value): void {
  const next = b.add(lossSumInput(b, sum, tasks), losses);
  b.output(nextName(NAMES[sum]), next, { ...roleOf(sum, tasks), replaces: NAMES[sum] });
}

function roleOf(sum: LossSum, tasks: readonly string[]): AccumulatorRole | LossesRole {
  return { role: sum === "looks" ? "losses" : "accumulator", tasks };
}
