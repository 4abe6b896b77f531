// What `mttc compare` does: folders of runs -> tables, JSON, a page.
import { resolve } from "node:path";
import { MttcError } from "../compiler/diagnostics.ts";
import { valueText, writeComparison } from "../runtime/report/comparisonPage.ts";
import type { ComparedRun, ComparedTask, Comparison } from "../runtime/report/runComparison.ts";
import { shownPath } from "./pathText.ts";
import { count, decimal, renderTable } from "./tables.ts";
import type { Terminal } from "./terminal.ts";
import { durationText } from "./trainProgress.ts";

/** Options of the command. */
export interface CompareFlags {
  readonly output?: string;
  readonly overwrite?: boolean;
  readonly json?: boolean;
}

/** Compares the runs in `folders`. E_USAGE for one alone, or the same twice. */
export async function compare(
  folders: readonly string[],
  { output, overwrite = false, json }: CompareFlags,
  terminal: Terminal,
): Promise<void> {
  const places = folders.map((folder) => resolve(folder));
  if (new Set(places).size < Math.max(2, places.length))
    throw new MttcError({
      code: "E_USAGE",
      message: places.length < 2 ? "expected two runs or more, found one" : "a run is named twice",
      hint: "mttc compare runs/first runs/second",
    });
  const comparison = await writeComparison(places, { output, overwrite });
  if (json) terminal.out(JSON.stringify(comparison, null, 2));
  else for (const text of comparisonTexts(comparison, terminal)) terminal.out(text);
  if (output !== undefined) terminal.note(`written to ${shownPath(resolve(output))}: open it in a browser`);
}

/** The comparison as tables: runs, each task, keys that differ. */
export function comparisonTexts(
  { runs, tasks, keys }: Comparison,
  style: Pick<Terminal, "isTerminal" | "colours">,
): string[] {
  const names = runs.map(({ name }) => name);
  const titled = (title: string, body: string): string => `${style.colours.bold(title)}\n${body}\n`;
  const keyRows = keys.map(({ key, values }) => [key, ...values.map(valueText)]);
  return [
    titled("runs", runsTable(runs, style)),
    ...tasks.map((task) => titled(task.task, figuresTable(task, names, style))),
    keys.length === 0
      ? "no key of the specs differs"
      : `${style.colours.bold("keys that differ")}\n${renderTable(style, ["key", ...names], keyRows)}`,
  ];
}

function runsTable(runs: readonly ComparedRun[], style: Pick<Terminal, "isTerminal" | "colours">): string {
  const rows = runs.map(({ name, gain, bestEpoch, epochs, seconds }) => [
    ...[name, decimal(gain ?? undefined), bestEpoch === null ? "-" : String(bestEpoch)],
    ...[String(epochs), durationText(seconds)],
  ]);
  return renderTable(style, ["run", "mean gain", "best epoch", "epochs", "training"], rows, [1, 2, 3, 4]);
}

/** The best of each column bears a star. */
function figuresTable(
  { figures }: ComparedTask,
  names: readonly string[],
  style: Pick<Terminal, "isTerminal" | "colours">,
): string {
  const text = (name: string, value: number | null): string =>
    name === "labelled" ? count(value ?? 0) : decimal(value ?? undefined);
  const rows = names.map((run, place) => [
    run,
    ...figures.map(({ name, values, best }) => {
      const shown = text(name, values[place] ?? null);
      return best === null ? shown : `${shown}${best === place ? "*" : " "}`;
    }),
  ]);
  return renderTable(
    style,
    ["run", ...figures.map(({ head }) => head)],
    rows,
    figures.map((_, i) => i + 1),
  );
}
