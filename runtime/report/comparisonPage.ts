// The page of several runs: best figures of each task, keys that differ, curves over each other.
import { resolve } from "node:path";
import type { Task } from "../../compiler/tasks/task.ts";
import { packageVersion } from "../export/exportOrigin.ts";
import { writeFileAtomically } from "../files/atomicDirectory.ts";
import { refuseForeignFile } from "../files/ownOutput.ts";
import { REPORT_MARK } from "../runs/reportMark.ts";
import { cellText, numberText } from "./chartAxes.ts";
import { ChartDrawer } from "./chartDrawer.ts";
import { figure, type LineLook, lookOf } from "./charts.ts";
import { type CurveSet, curveOf, gainOf, taskCurves } from "./curves.ts";
import { type Html, html } from "./html.ts";
import { pageText, section } from "./page.ts";
import { type ComparedTask, type Comparison, readComparison, tasksOfAll } from "./runComparison.ts";
import type { RunFacts } from "./runFacts.ts";
import { curveGrid, durationText } from "./runSections.ts";

export interface ComparisonOptions {
  /** Where a page goes; none is written without. */
  readonly output?: string | undefined;
  /** Replace a file there that is no page of mttc's. */
  readonly overwrite?: boolean;
}

/** Compares runs, and writes a page of it; E_RUN_EXISTS, E_DISK, E_FILE, and as compareRuns. */
export async function writeComparison(
  directories: readonly string[],
  { output, overwrite }: ComparisonOptions,
): Promise<Comparison> {
  if (output !== undefined) await refuseForeignFile(output, REPORT_MARK, overwrite);
  const { comparison, facts } = await readComparison(directories);
  if (output === undefined) return comparison;
  await writeFileAtomically(resolve(output), comparisonPage(await ChartDrawer.load(), comparison, facts));
  return comparison;
}

function comparisonPage(drawer: ChartDrawer, comparison: Comparison, facts: readonly RunFacts[]): string {
  const { runs } = comparison;
  const named = facts.map((run, i) => ({ run, name: runs[i]?.name ?? "", look: lookOf(i) }));
  const tasks = tasksOfAll(facts);
  const sections = tasks.map((task, i) => {
    const sets = overlaid(named, task);
    const table = comparison.tasks[i];
    const content = html`<div class="grid">${table ? html`<div class="wide">${figuresTable(table, comparison)}</div>` : undefined}</div>
${curveGrid(drawer, sets, {})}`;
    return section(`task-${i + 1}`, task.name, content);
  });
  const gains: CurveSet = {
    title: "mean gain over the baselines",
    note: "0: no better than an answer that knows no image; 1: perfect",
    lines: named.map(({ run, name, look }) =>
      curveOf(run.history, name, look, (report) => gainOf(report, run.tasks)),
    ),
  };
  const summary = html`<div class="grid"><div class="wide">${runsTable(comparison)}</div>
<div class="wide">${keysTable(comparison)}</div></div>${curveGrid(drawer, [gains], {})}`;
  return pageText({
    title: `${runs.length} runs compared`,
    lead: html`${runs.map(({ name }) => name).join(", ")}`,
    sections: [section("summary", "Runs", summary), ...sections],
    footer: `mttc ${packageVersion()}. Charts: Apache ECharts. This page loads nothing from outside.`,
  });
}

interface NamedRun {
  readonly run: RunFacts;
  readonly name: string;
  readonly look: LineLook;
}

/** Of each chart of a task the validation line of every run; of what is not validated the training line. */
function overlaid(named: readonly NamedRun[], task: Task): CurveSet[] {
  const ofRuns = named.flatMap(({ run, name, look }) => {
    const own = run.tasks.find((each) => each.name === task.name && each.kind === task.kind);
    return own ? [{ name, look, sets: taskCurves(own, run.history) }] : [];
  });
  return (ofRuns[0]?.sets ?? []).map(({ title }) => ({
    title,
    note: "validation",
    lines: ofRuns.flatMap(({ name, look, sets }) => {
      const lines = sets.find((set) => set.title === title)?.lines ?? [];
      const line = lines.find((each) => each.name === "validation") ?? lines[0];
      return line ? [{ name, look, points: line.points }] : [];
    }),
  }));
}

function runsTable({ runs }: Comparison): Html {
  const rows = runs.map(
    ({ name, directory, epochs, bestEpoch, gain, seconds }) =>
      html`<tr><td title="${directory}"><b>${name}</b></td><td class="r">${cellText(gain ?? Number.NaN)}</td><td class="r">${
        bestEpoch ?? "-"
      }</td><td class="r">${epochs}</td><td class="r">${durationText(seconds)}</td></tr>`,
  );
  const head = html`<tr><th>run</th><th class="r">mean gain</th><th class="r">best epoch</th><th class="r">epochs</th><th class="r">training</th></tr>`;
  return tableFigure("Runs", "figures are those of each run's best epoch", head, rows);
}

function figuresTable({ figures }: ComparedTask, { runs }: Comparison): Html {
  const head = html`<tr><th>run</th>${figures.map(({ head: name }) => html`<th class="r">${name}</th>`)}</tr>`;
  const rows = runs.map(({ name }, place) => {
    const cells = figures.map(({ name: figureName, values, best }) => {
      const text =
        figureName === "labelled"
          ? numberText(values[place] ?? Number.NaN)
          : cellText(values[place] ?? Number.NaN);
      return best === place ? html`<td class="r best">${text}</td>` : html`<td class="r">${text}</td>`;
    });
    return html`<tr><td>${name}</td>${cells}</tr>`;
  });
  return tableFigure(
    "Figures of the best epochs",
    "best in bold; in brackets: what an answer that knows no image would reach",
    head,
    rows,
  );
}

function keysTable({ keys, runs }: Comparison): Html {
  if (keys.length === 0) return figure({ title: "Keys that differ" }, html`<p class="empty">none</p>`);
  const head = html`<tr><th>key</th>${runs.map(({ name }) => html`<th>${name}</th>`)}</tr>`;
  const rows = keys.map(
    ({ key, values }) =>
      html`<tr><td>${key}</td>${values.map((value) => html`<td class="long">${valueText(value)}</td>`)}</tr>`,
  );
  return tableFigure("Keys of the spec that differ", "as mttc resolved them", head, rows);
}

/** A value of a spec as YAML's flow style nearly has it. */
export function valueText(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

function tableFigure(title: string, note: string, head: Html, rows: readonly Html[]): Html {
  return figure(
    { title, note },
    html`<div class="scroll"><table><thead>${head}</thead><tbody>${rows}</tbody></table></div>`,
  );
}
