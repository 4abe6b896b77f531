// MTTC_DUMP=dir: every graph after every stage and pass as a numbered text file. --timing: how long each of
// them took.
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { printGraph } from "../compiler/ir/print.ts";
import type { Trace } from "../compiler/passes/pass.ts";
import { fileError } from "../runtime/files/fileSystem.ts";
import { siblingName } from "../runtime/files/leftovers.ts";
import { inTheWay } from "../runtime/files/ownOutput.ts";

/** How the text of a graph begins (compiler/ir/print.ts). */
const BEGINNING = "graph ";

/**
 * A trace that writes `<nn>-<stage>.txt` into `directory`. Throws E_RUN_EXISTS for a file of that name that is
 * no dump, E_FILE or E_DISK.
 */
export function dumpTrace(directory: string): Trace {
  let number = 0;
  return (stage, graph) => {
    number += 1;
    const name = `${String(number).padStart(3, "0")}-${stage.replace(/[^\w.-]+/g, "-")}.txt`;
    const file = join(directory, name);
    const temporary = siblingName(file, "tmp");
    try {
      if (existsSync(file) && !readFileSync(file, "utf8").startsWith(BEGINNING))
        throw inTheWay(file, "exists already, and is no dump of a graph", "give MTTC_DUMP another folder");
      mkdirSync(directory, { recursive: true });
      writeFileSync(temporary, printGraph(graph));
      renameSync(temporary, file);
    } catch (error) {
      rmSync(temporary, { force: true });
      throw fileError(error, file, "write the dump");
    }
  };
}

/** Milliseconds up to each stage since the one before. */
export interface StageTime {
  readonly stage: string;
  readonly ms: number;
  readonly nodes: number;
}

/** A trace that keeps the time of each stage; the first includes building all graphs. */
export function timingTrace(): { readonly trace: Trace; readonly times: readonly StageTime[] } {
  const times: StageTime[] = [];
  let before = performance.now();
  const trace: Trace = (stage, graph) => {
    const now = performance.now();
    times.push({ stage, ms: now - before, nodes: graph.nodes.length });
    before = now;
  };
  return { trace, times };
}

/** Both at once. */
export function joinTraces(traces: readonly Trace[]): Trace {
  return (stage, graph) => {
    for (const trace of traces) trace(stage, graph);
  };
}
