// What came of a network, in a word: "right" (and why, where float32 alone does not show it), "WRONG", or the
// error that refused it.
import { FAMILY_FLOAT32 } from "../tolerances.ts";
import { excuseOf } from "./float64Trial.ts";
import type { Trial } from "./tryNetwork.ts";

/** "right", "right in float64; ...", "WRONG", or the fault. */
export function verdictOf({ facts, fault, featuresError = 0, gradients, float64 }: Trial): string {
  if (!(featuresError <= FAMILY_FLOAT32)) return "WRONG";
  if (fault !== undefined || !gradients) return fault ?? "WRONG";
  const { error } = gradients.worst;
  if (error <= FAMILY_FLOAT32) return "right";
  return (float64 && excuseOf(float64, error, facts.gap)) ?? "WRONG";
}
