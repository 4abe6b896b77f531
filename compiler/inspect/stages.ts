// The graphs of a compilation after each stage and pass, kept by the trace: what `inspect --stage` and
// MTTC_DUMP show.
import { MttcError, suggestName } from "../diagnostics.ts";
import { printGraph } from "../ir/print.ts";
import type { Graph } from "../ir/types.ts";
import type { Trace } from "../passes/pass.ts";

/** Keeps every graph that a compilation shows; in order. */
export class StageLog {
  readonly #graphs = new Map<string, Graph>();

  readonly trace: Trace = (stage, graph) => {
    this.#graphs.set(stage, graph);
  };

  get names(): readonly string[] {
    return [...this.#graphs.keys()];
  }

  /** The last graph kept whose stage begins with one of `prefixes` (the first that matches any). */
  latest(...prefixes: readonly string[]): Graph | undefined {
    for (const prefix of prefixes) {
      const name = this.names.findLast((stage) => stage.startsWith(prefix));
      if (name !== undefined) return this.#graphs.get(name);
    }
    return undefined;
  }

  /**
   * The graph after a stage, named in full or by its graph alone ("train": the final one). E_USAGE otherwise.
   */
  find(stage: string): Graph {
    const graph = this.#graphs.get(stage) ?? this.#graphs.get(`${stage}/5-final`);
    if (graph) return graph;
    const message = `no stage "${stage}"`;
    throw new MttcError({ code: "E_USAGE", message, hint: suggestName(stage, this.names) });
  }
}

/** The printed graph; with `at`, only the lines whose origin holds that text. */
export function graphText(graph: Graph, at?: string): string {
  const text = printGraph(graph);
  if (at === undefined) return text;
  const lines = text
    .split("\n")
    .filter((line) => / ; (?<origin>[^;]*)$/.exec(line)?.groups?.origin?.includes(at));
  return lines.map((line) => `${line}\n`).join("");
}
