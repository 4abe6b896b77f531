// What ONNX Runtime's CUDA provider asks of CUDA in a training step, from the stand-in's trace: kernels by
// name, cuBLAS and cuDNN calls, copies, allocations, waits. Nothing is computed, so that a network of any
// size takes seconds.
import { execFileSync } from "node:child_process";
import path from "node:path";
import { CUDA_RUNTIME } from "../../runtime/ort/cudaLibraries.ts";
import { openSymbols } from "../../runtime/ort/ffi.ts";
import type { OrtHost } from "../../runtime/ort/ortHost.ts";
import { type Experiment, StepRun } from "../gpu/stepRun.ts";
import type { CudaStandIn } from "./cudaStandIn.ts";

/** A call, as test/device/standIn/trace.c enters it. */
export interface TracedCall {
  /** Carried out; taken down by a capture; part of a launched graph; an error. */
  readonly mode: "run" | "captured" | "replayed" | "refused";
  /** Numbers from 1, in the order of first calls or of creation; stream 0 is the default one. */
  readonly thread: number;
  readonly stream: number;
  readonly kind: string;
  /** The function of CUDA's, or the kernel's name with its template's arguments. */
  readonly name: string;
  /** Grid and block; direction, bytes and kind of host memory; bytes; operations of a cuDNN graph. */
  readonly detail: string;
  /** When, from a fixed moment. */
  readonly microseconds: number;
}

/** The trace of this process, by the libraries that stand in for CUDA's. */
export class LaunchTrace {
  readonly #symbols;

  constructor({ build }: Pick<CudaStandIn, "build">) {
    this.#symbols = openSymbols(path.join(build, CUDA_RUNTIME), {
      standInTrace: ["text"],
      standInReset: ["int"],
    });
  }

  /** Forgets what was entered so far. */
  reset(): void {
    this.#symbols.functions.standInReset();
  }

  /** What was entered since then. */
  read(): TracedCall[] {
    const text = this.#symbols.functions.standInTrace();
    const calls = text.split("\n").flatMap((line) => {
      const [mode = "", thread, stream, kind = "", name = "", detail = "", microseconds] = line.split("\t");
      if (mode === "") return [];
      return [
        {
          mode: mode as TracedCall["mode"],
          thread: Number(thread),
          stream: Number(stream),
          kind,
          name,
          detail,
          microseconds: Number(microseconds),
        },
      ];
    });
    const names = demangled([...new Set(calls.map(({ name }) => name))]);
    return calls.map((call) => ({ ...call, name: names.get(call.name) ?? call.name }));
  }
}

export interface TraceOptions {
  /** Steps before the traced one, by default 2. */
  readonly warmUp?: number | undefined;
  /** Capture steps as graphs of the device, without a proof: what is computed means nothing here. */
  readonly captured?: boolean | undefined;
}

/**
 * The calls of the step after some others: the first one allocates piece by piece, the second one in one
 * piece, by the pattern of the first.
 */
export async function traceStep(
  host: OrtHost,
  trace: LaunchTrace,
  experiment: Experiment,
  { warmUp = 2, captured = false }: TraceOptions = {},
): Promise<TracedCall[]> {
  await using run = await StepRun.open(host, experiment, { capturable: captured });
  run.device.captures = captured;
  for (let step = 0; step < warmUp; step++) await run.step();
  trace.reset();
  await run.step();
  return trace.read();
}

/** Calls that are counted together. */
export interface CallCount {
  readonly kind: string;
  readonly name: string;
  readonly count: number;
}

/** How often each call was made, most frequent first; copies by direction, cuDNN's graphs by operations. */
export function countCalls(calls: readonly TracedCall[]): CallCount[] {
  const counts = new Map<string, CallCount>();
  for (const { kind, name, detail } of calls) {
    const shown = /^(copy|dnn)$/.test(kind) ? `${name} ${detail.replace(/ \d+/, "")}`.trim() : name;
    const key = `${kind} ${shown}`;
    counts.set(key, { kind, name: shown, count: (counts.get(key)?.count ?? 0) + 1 });
  }
  return [...counts.values()].sort((a, b) => b.count - a.count || (a.name < b.name ? -1 : 1));
}

function demangled(names: readonly string[]): Map<string, string> {
  const plain = execFileSync("c++filt", { input: names.join("\n"), encoding: "utf8" }).split("\n");
  return new Map(names.map((name, i) => [name, shortened(plain[i] ?? name)]));
}

/** A function's name without result, namespaces and parameters. */
function shortened(name: string): string {
  let depth = 0;
  let end = 0;
  for (; end < name.length; end++) {
    const sign = name[end];
    if (sign === "<") depth++;
    else if (sign === ">") depth--;
    else if (sign === "(" && depth === 0 && !name.startsWith("(anonymous namespace)", end)) break;
  }
  return name
    .slice(0, end)
    .replace(/^void /, "")
    .replace(/(\(anonymous namespace\)|\b[a-z]\w*)::/g, "")
    .replace(/, 256, 4(, int)?>$/, ">");
}
