// What a page shows of a run beside its tasks: its facts, its curves, its labels, pictures, spec and
// machine.
import type { LabelStatistics } from "../labels/labelStatistics.ts";
import type { MachineFacts, Sitting } from "../runs/sittings.ts";
import type { EpochReport } from "../train/events.ts";
import type { ChartDrawer } from "./chartDrawer.ts";
import { figure, lineChart } from "./charts.ts";
import type { CurveSet } from "./curves.ts";
import { tableOf } from "./drawnParts.ts";
import { dataUri, type Html, html, lines } from "./html.ts";
import type { PagePicture } from "./runPictures.ts";

/** A number that is told first, with what it is. */
export interface Fact {
  readonly value: string;
  readonly what: string;
}

export function factCards(facts: readonly Fact[]): Html {
  const cards = facts.map(
    ({ value, what }) => html`<div class="fact"><b>${value}</b><span>${what}</span></div>`,
  );
  return html`<div class="facts">${cards}</div>`;
}

/** Charts of sets of curves; those without a number are left out. */
export function curveGrid(
  drawer: ChartDrawer,
  sets: readonly CurveSet[],
  { xAxis = "epoch", best }: { readonly xAxis?: string; readonly best?: number | undefined },
): Html {
  return html`<div class="grid">${sets.map((set) => lineChart(drawer, { ...set, xAxis, best }))}</div>`;
}

/** Classes of a task that have rows of their own; of more the most frequent. */
const MOST_GROUPS = 40;

/** Labelled rows of each class by split: a table for each task. */
export function labelTables({ classes, train, val, test, batch }: LabelStatistics): Html[] {
  const others = [
    ["validation", val],
    ["test", test],
  ] as const;
  return batch.map(({ task, labelled, perBatch }) => {
    const rows = (classes[task] ?? []).map((name, i) => ({
      ...{ name, train: train[task]?.[i] ?? 0 },
      others: others.flatMap(([, counts]) => (counts ? [counts[task]?.[i] ?? 0] : [])),
    }));
    const isCut = rows.length > MOST_GROUPS;
    const shown = isCut ? rows.toSorted((a, b) => b.train - a.train).slice(0, MOST_GROUPS) : rows;
    const most = Math.max(1, ...rows.map((row) => row.train));
    const cells = shown.map(
      (row) =>
        html`<tr><td>${row.name}</td><td class="r share" style="--p:${Math.round((100 * row.train) / most)}%">${row.train}</td>${row.others.map(
          (rows) => html`<td class="r">${rows}</td>`,
        )}</tr>`,
    );
    const cut = isCut ? `; the ${MOST_GROUPS} most frequent of ${rows.length}` : "";
    const note = `${labelled} labelled training rows, ${perBatch.toFixed(1)} in a batch on the mean${cut}`;
    const splits = others.flatMap(([split, counts]) => (counts ? [html`<th class="r">${split}</th>`] : []));
    const head = html`<tr><th>label</th><th class="r">training</th>${splits}</tr>`;
    return figure(
      { title: task, note },
      html`<div class="scroll"><table><thead>${head}</thead><tbody>${cells}</tbody></table></div>`,
    );
  });
}

export function pictureFigures(pictures: readonly PagePicture[]): Html[] {
  return pictures.map(({ title, webp }) =>
    figure(
      { title },
      html`<div class="picture"><img alt="${title}" src="${dataUri("image/webp", webp)}"></div>`,
    ),
  );
}

export function specFigure(text: string): Html {
  return figure(
    { title: "spec.yml", note: "as mttc resolved it" },
    html`<pre class="spec">${lines(text)}</pre>`,
  );
}

const GIB = 2 ** 30;

/** The sittings of a run; of the machines each fact once where all are alike. */
export function sittingsFigure(sittings: readonly Sitting[]): Html {
  if (sittings.length === 0) {
    const empty = "the run is of a version of mttc that did not keep where it was trained";
    return figure({ title: "Machine and versions" }, html`<p class="empty">${empty}</p>`);
  }
  const isShared = sittings.some(({ ranks }) => ranks > 1);
  const shared = (text: string): string[] => (isShared ? [text] : []);
  const head = [
    ...["started", "from epoch", ...shared("processes"), "machine"],
    ...["memory", "provider", "mttc", "ONNX Runtime", "Node"],
  ];
  const rows = sittings.map((sitting) => [
    ...[shownDate(sitting.started), String(sitting.epoch), ...shared(String(sitting.ranks))],
    machineText(sitting),
    ...[`${(sitting.memoryBytes / GIB).toFixed(0)} GiB`, sitting.provider],
    ...[sitting.mttc, sitting.onnxruntime, sitting.node],
  ]);
  return tableOf({
    title: "Machine and versions",
    head,
    rows,
    right: isShared ? [1, 2, 4] : [1, 3],
    empty: "",
  });
}

function machineText({ cpu, cores, system }: MachineFacts): string {
  return `${cpu}, ${cores} ${cores === 1 ? "core" : "cores"}, ${system}`;
}

/** 2026-11-30 08:15 UTC */
function shownDate(iso: string): string {
  return `${iso.slice(0, 10)} ${iso.slice(11, 16)} UTC`;
}

/** What was said: warnings open, what training logged folded away. */
export function notesFigure(title: string, notes: readonly string[], isFolded = false): Html | undefined {
  if (notes.length === 0) return undefined;
  const list = html`<ul class="warnings">${notes.map((note) => html`<li>${note}</li>`)}</ul>`;
  return figure(
    { title },
    isFolded ? html`<details><summary>${notes.length} lines</summary>${list}</details>` : list,
  );
}

/** "3 min 20 s" */
export function durationText(seconds: number): string {
  if (!Number.isFinite(seconds)) return "-";
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor((seconds % 3600) / 60)];
  if (hours > 0) return `${hours} h ${minutes} min`;
  return minutes > 0 ? `${minutes} min ${Math.round(seconds % 60)} s` : `${seconds.toFixed(1)} s`;
}

/** Seconds that the epochs took. */
export function trainedSeconds(history: readonly EpochReport[]): number {
  return history.reduce((sum, { seconds }) => sum + seconds, 0);
}
