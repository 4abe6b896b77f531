// One case through import, interpreter, ONNX Runtime and derivative: what came of it.
import { decodeModelProto } from "../../compiler/codec/protobuf.ts";
import { MttcError } from "../../compiler/diagnostics.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import type { NDArray } from "../../compiler/ir/op.ts";
import { OPS } from "../../compiler/ops/table.ts";
import type { OrtLibrary } from "../../runtime/ort/library.ts";
import { runOnOrt } from "../ops/runOnOrt.ts";
import { CONFORMANCE_HALF } from "../tolerances.ts";
import { checkDerivative, type DerivativeChecks } from "./caseDerivative.ts";
import type { ConformanceCase } from "./conformanceCase.ts";
import { importCase } from "./importCase.ts";

/**
 * - pass: import, float64 interpreter and ONNX Runtime give what the suite expects
 * - refused: import says by name that it does not read this
 * - wrong: numbers, types or shapes differ, or something after import refuses what import took
 * - crash: anything but a typed error
 */
export interface CaseResult {
  readonly id: string;
  readonly verdict: "pass" | "refused" | "wrong" | "crash";
  /** Why, unless it passed. */
  readonly reason: string;
  readonly derivative: DerivativeChecks;
}

const NO_DERIVATIVE: DerivativeChecks = { agree: 0, faults: [] };
/** TensorProto codes of float16 and bfloat16, which are computed in float32. */
const HALVES: readonly number[] = [10, 16];

export function runCase(library: OrtLibrary, given: ConformanceCase): CaseResult {
  const { id } = given;
  let stage = "import";
  const ended = (verdict: CaseResult["verdict"], reason: string, derivative = NO_DERIVATIVE): CaseResult => ({
    ...{ id, verdict, reason, derivative },
  });
  try {
    const graph = importCase(given);
    const feeds = new Map(given.inputs.filter((input) => input !== undefined));
    const rtol = isHalf(given) ? Math.max(given.rtol, CONFORMANCE_HALF) : given.rtol;
    const bounds = { rtol, atol: isHalf(given) ? CONFORMANCE_HALF : given.atol };
    const runs = {
      interpreter: () => interpret(graph, feeds),
      "ONNX Runtime": () => runOnOrt(library, graph, feeds, OPS),
    };
    for (const [name, run] of Object.entries(runs)) {
      stage = name;
      const fault = outputFault(run(), given, bounds);
      if (fault !== undefined) return ended("wrong", `${name}: ${fault}`);
    }
    stage = "derivative";
    return ended("pass", "", checkDerivative(library, graph, feeds));
  } catch (error) {
    if (!(error instanceof MttcError)) return ended("crash", `${stage}: ${String(error)}`);
    const [fault] = error.faults;
    const reason = `${fault?.message} [${fault?.code}]`;
    return stage === "import" ? ended("refused", reason) : ended("wrong", `${stage}: ${reason}`);
  }
}

function isHalf({ model }: ConformanceCase): boolean {
  const { graph } = decodeModelProto(model);
  return [...graph.input, ...graph.output].some(({ type }) =>
    HALVES.includes(type?.tensorType?.elemType ?? 0),
  );
}

function outputFault(
  found: ReadonlyMap<string, NDArray>,
  { outputs }: ConformanceCase,
  bounds: { readonly rtol: number; readonly atol: number },
): string | undefined {
  for (const output of outputs) {
    if (!output) return "an expected output is no tensor that is read";
    const [name, expected] = output;
    const actual = found.get(name);
    if (!actual) return `no output ${name}`;
    if (actual.dtype !== expected.dtype || String(actual.shape) !== String(expected.shape))
      return `${name}: ${actual.dtype}[${actual.shape}], expected ${expected.dtype}[${expected.shape}]`;
    const at = expected.data.findIndex((wanted, i) => !isClose(actual.data[i] ?? Number.NaN, wanted, bounds));
    if (at !== -1) return `${name}: ${actual.data[at]} at ${at}, expected ${expected.data[at]}`;
  }
  return undefined;
}

function isClose(
  found: number,
  wanted: number,
  { rtol, atol }: { readonly rtol: number; readonly atol: number },
): boolean {
  if (Object.is(found, wanted) || found === wanted) return true;
  return Number.isFinite(wanted) && Math.abs(found - wanted) <= atol + rtol * Math.abs(wanted);
}
