// The written list of what import does to operators: one row for each change between opset 9 and the
// newest. A row says from which to which opset it holds; operators without a row stand in the table as they
// are, or are not known.
import type { Convert } from "./nodeCall.ts";

/**
 * - migrated: an older form becomes that of opset 18
 * - decomposed: other operators take its place
 * - folded: computed at import
 * - removed: does nothing at inference
 * - refused: E_MODEL_OP
 */
export type Treatment = "migrated" | "decomposed" | "folded" | "removed" | "refused";

export interface ImportRule {
  readonly operator: string;
  readonly sinceOpset: number;
  /** Last opset that the row holds for; none: to the newest. */
  readonly untilOpset?: number;
  readonly treatment: Treatment;
  /** What changed and what is done about it, or why it is refused. */
  readonly reason: string;
  /** Absent for what is refused. */
  readonly convert?: Convert;
}

/** The row for an operator of ONNX's own domain at an opset, if there is one. */
export function findRule(
  rules: readonly ImportRule[],
  operator: string,
  opset: number,
): ImportRule | undefined {
  return rules.find(
    (rule) => rule.operator === operator && rule.sinceOpset <= opset && opset <= (rule.untilOpset ?? opset),
  );
}

/** Refused operators that share a reason. */
export function refuseAll(operators: readonly string[], sinceOpset: number, reason: string): ImportRule[] {
  return operators.map((operator) => ({ operator, sinceOpset, treatment: "refused", reason }));
}
