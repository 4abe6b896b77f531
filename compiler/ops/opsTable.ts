// The operators as a document: what `mttc ops` prints and the README shows. Pure functions of the table, so
// that neither can go out of date. What a row says about derivatives is what test/ops proves of each
// operator.
import type { Op } from "../ir/op.ts";
import { OP_FAMILIES } from "./table.ts";

/**
 * - proved: has a derivative rule; test/ops/vjp.test.ts holds it against central differences in float64 on
 *   every sample, test/ops/ort.test.ts against ONNX Runtime on the CPU
 * - zero: the derivative is zero wherever it exists; cotangents end there
 * - none: there is no rule; asking for one is the error E_NOT_DIFFERENTIABLE
 */
export type DerivativeKind = "proved" | "zero" | "none";

/** One operator. */
export interface OpRow {
  readonly name: string;
  readonly family: string;
  readonly derivative: DerivativeKind;
  /** Why there is no derivative, or why it is zero; "" where there is one. */
  readonly reason: string;
  /** The ONNX operator and version, or the paper. */
  readonly source: string;
  readonly doc: string;
}

/**
 * All operators: ONNX's; apart, and not counted, our own, which reach no file that another runtime reads, and
 * ONNX Runtime's, which only lowerings emit.
 */
export interface OpsTable {
  readonly standard: readonly OpRow[];
  readonly own: readonly OpRow[];
  readonly extensions: readonly OpRow[];
  /** ONNX operators with a proved derivative. */
  readonly differentiable: number;
}

/** How each derivative is proved, in a sentence. */
export const PROOF =
  "Each proved derivative agrees with central differences of a float64 reference (test/ops/vjp.test.ts), and both " +
  "with ONNX Runtime on the CPU (test/ops/ort.test.ts), on every sample under test/ops/samples; planted faults are " +
  "found (test/ops/mutants.test.ts).";

/** The rows of all operators, by family and name. */
export function opsTable(families: Readonly<Record<string, readonly Op[]>> = OP_FAMILIES): OpsTable {
  const rows = Object.entries(families).flatMap(([family, ops]) =>
    ops.map((op) => ({ domain: op.domain, row: rowOf(op, family) })),
  );
  const of = (wanted: Op["domain"]) => rows.filter(({ domain }) => domain === wanted).map(({ row }) => row);
  const standard = of("");
  return {
    standard,
    own: [...of("mttc"), ...of("com.mttc")],
    extensions: [...of("com.microsoft"), ...of("com.microsoft.nchwc")],
    differentiable: standard.filter(({ derivative }) => derivative === "proved").length,
  };
}

function rowOf({ name, vjp, source, doc }: Op, family: string): OpRow {
  if (typeof vjp === "function") return { name, family, derivative: "proved", reason: "", source, doc };
  const derivative = vjp.isZero ? "zero" : "none";
  return { name, family, derivative, reason: vjp.notDifferentiable, source, doc };
}

/** "119 ONNX operators: 100 with a proved derivative, ..." */
export function opsSummary({ standard, own, differentiable }: OpsTable): string {
  const zero = standard.filter(({ derivative }) => derivative === "zero").length;
  const none = standard.length - differentiable - zero;
  const rest = none > 0 ? `, ${none} with none` : "";
  return (
    `${standard.length} ONNX operators: ${differentiable} with a proved derivative, ${zero} whose derivative is ` +
    `zero${rest}. ${own.length} operators of our own, which do not count.`
  );
}
