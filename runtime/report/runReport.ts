// The report of a run: one page of all that is known of it, written into its folder or elsewhere. A run that
// was killed, or whose images are gone, has one as well; the page says what it lacks.
import { basename, dirname, join, relative, resolve } from "node:path";
import { packageVersion } from "../export/exportOrigin.ts";
import { writeFileAtomically } from "../files/atomicDirectory.ts";
import { refuseForeignFile } from "../files/ownOutput.ts";
import { imageFormat } from "../images/images.ts";
import { TrainedRun } from "../infer/trainedRun.ts";
import type { RuntimeOptions } from "../ort/runtimeOptions.ts";
import { REPORT_FILE, REPORT_MARK } from "../runs/reportMark.ts";
import { numberText } from "./chartAxes.ts";
import { ChartDrawer } from "./chartDrawer.ts";
import { conflictSection } from "./conflictSection.ts";
import { gainOf, imagesPerSecond, runCurves } from "./curves.ts";
import { type Html, html } from "./html.ts";
import { type LookedRows, type LookOptions, lookAtRows } from "./lookedRows.ts";
import { type PageSection, pageText, section } from "./page.ts";
import { type RunFacts, readLabelFacts, readRunFacts, reasonOf } from "./runFacts.ts";
import { readPictures } from "./runPictures.ts";
import {
  curveGrid,
  durationText,
  type Fact,
  factCards,
  labelTables,
  notesFigure,
  pictureFigures,
  sittingsFigure,
  specFigure,
  trainedSeconds,
} from "./runSections.ts";
import { summaryTables, type TaskSources, taskSection } from "./taskSections.ts";
import { thumbnailOf } from "./thumbnails.ts";

/** How long images are looked at by default, in seconds. */
export const LOOK_SECONDS = 60;

export interface ReportOptions extends Pick<LookOptions, "signal" | "onProgress"> {
  /** How long images are looked at; default 60. */
  readonly seconds?: number | undefined;
  /** Where the page goes; default `report.html` in the run's folder, which is then all that changes there. */
  readonly output?: string | undefined;
  /** Replace a file at `output` that is no report of mttc's. */
  readonly overwrite?: boolean;
  readonly runtime?: RuntimeOptions | undefined;
}

export interface WrittenReport {
  readonly path: string;
  /** What the page lacks, or says of the run, a sentence each. */
  readonly notes: readonly string[];
}

/**
 * Writes the report of the run in `logdir`. E_FILE where there is no run; E_RUN_EXISTS where a file that is no
 * report stands at the output; E_DISK, E_FILE; what the run's own files are refused for.
 */
export async function writeReport(logdir: string, options: ReportOptions = {}): Promise<WrittenReport> {
  const path = options.output ?? join(resolve(logdir), REPORT_FILE);
  await refuseForeignFile(path, REPORT_MARK, options.overwrite);
  const facts = await readRunFacts(logdir);
  const { looked, note } = await lookedRows(facts, options);
  const labels = await readLabelFacts(facts.folder);
  const notes = [...facts.notes, ...(note === undefined ? [] : [note]), ...labels.notes];
  const drawer = await ChartDrawer.load();
  const page = await reportPage(drawer, { ...facts, notes }, { looked, statistics: labels.statistics });
  await writeFileAtomically(path, page);
  return { path, notes };
}

/** Answers of the model on its validation images; why there are none, or not all. */
async function lookedRows(
  { folder, history }: RunFacts,
  { seconds = LOOK_SECONDS, runtime = {}, ...options }: ReportOptions,
): Promise<{ readonly looked?: LookedRows; readonly note?: string }> {
  if (history.length === 0) return {};
  if (seconds <= 0) return { note: "no image was looked at: reliability and pictures are left out" };
  try {
    await using run = await TrainedRun.open(folder.directory, runtime);
    const looked = await lookAtRows(run, { seconds, ...options });
    const done = looked.rows.paths.length;
    if (done === looked.total) return { looked };
    const note = `${done} of ${looked.total} images were looked at, evenly spread, in ${seconds} s`;
    return { looked, note: `${note}; \`mttc report --seconds N\` looks longer` };
  } catch (error) {
    return {
      note: `the model was not asked, so that reliability and pictures are left out: ${reasonOf(error)}`,
    };
  }
}

type Read = {
  readonly looked: LookedRows | undefined;
  readonly statistics: Parameters<typeof labelTables>[0] | undefined;
};

async function reportPage(drawer: ChartDrawer, facts: RunFacts, read: Read): Promise<string> {
  const { folder, tasks, history, best, name } = facts;
  const format = imageFormat(folder.spec);
  const sources: TaskSources = {
    ...{ tasks, history, best, looked: read.looked },
    thumbnail: async (row) => {
      const file = read.looked?.rows.paths.at(row) ?? "";
      return { jpeg: await thumbnailOf(file, format), path: shownPath(folder.baseDirectory, file) };
    },
  };
  const names = tasks.map((task) => task.name);
  const conflict = conflictSection(drawer, history, names);
  const sections: PageSection[] = [
    section("summary", "Summary", summaryOf(drawer, facts, sources)),
    ...(conflict ? [conflict] : []),
    ...(await taskSections(drawer, sources)),
    ...(await runSections(facts, read)),
  ];
  const when = `${new Date().toISOString().slice(0, 16).replace("T", " ")} UTC`;
  const text = typeof folder.spec.notes === "string" ? folder.spec.notes : "";
  return pageText({
    title: name,
    lead: html`${folder.directory}${text === "" ? undefined : html`<p>${text}</p>`}`,
    sections,
    footer: `mttc ${packageVersion()}, ${when}. Charts: Apache ECharts. This page loads nothing from outside.`,
  });
}

/** Of a path outside the folder that the spec's paths start from the end alone. */
function shownPath(base: string, file: string): string {
  const path = relative(base, file);
  return path.startsWith("..") ? join(basename(dirname(file)), basename(file)) : path;
}

function summaryOf(drawer: ChartDrawer, facts: RunFacts, sources: TaskSources): Html {
  const { history, tasks, folder, best } = facts;
  const sets = runCurves(history, tasks, folder.spec.batch_size);
  const bestEpoch = best === undefined ? undefined : history[best]?.epoch;
  return html`${factCards(factsOf(facts))}${notesFigure("What to know", facts.notes)}
<div class="grid tables">${summaryTables(sources).map((table) => html`<div class="wide">${table}</div>`)}</div>
${curveGrid(drawer, sets, { best: bestEpoch })}`;
}

function factsOf({ history, begunSteps, best, tasks, folder }: RunFacts): Fact[] {
  const { spec } = folder;
  const last = history.at(-1);
  const judged = best === undefined ? undefined : history[best];
  const begun = begunSteps > 0 ? `, and ${begunSteps} steps of the next` : "";
  return [
    { value: String(history.length), what: `of ${spec.epochs} epochs trained${begun}` },
    ...(judged
      ? [
          { value: String(judged.epoch), what: "best epoch" },
          { value: numberText(gainOf(judged, tasks)), what: "its mean gain over the baselines" },
        ]
      : []),
    { value: String(tasks.length), what: tasks.length === 1 ? "task" : "tasks" },
    // Of an epoch that another program trained no time is known.
    ...(last && last.seconds > 0
      ? [
          { value: durationText(trainedSeconds(history)), what: "of training" },
          { value: String(Math.round(imagesPerSecond(last, spec.batch_size))), what: "images per second" },
          { value: `${Math.round(100 * last.waitShare)} %`, what: "of the last epoch waiting for images" },
        ]
      : []),
    { value: `${spec.imshape.join(" x ")}`, what: `pixels, ${spec.num_channels} channels` },
    { value: String(spec.batch_size), what: "images in a batch" },
  ];
}

async function taskSections(drawer: ChartDrawer, sources: TaskSources): Promise<PageSection[]> {
  const sections: PageSection[] = [];
  for (const [i, task] of sources.tasks.entries()) {
    const id = `task-${i + 1}`;
    sections.push({ id, title: task.name, content: await taskSection(drawer, sources, task, id) });
  }
  return sections;
}

async function runSections(
  { folder, sittings, specText }: RunFacts,
  { statistics }: Read,
): Promise<PageSection[]> {
  const pictures = pictureFigures(await readPictures(folder.directory));
  const lines = sittings.flatMap(({ lines: said }) => said);
  return [
    ...(pictures.length > 0
      ? [section("pictures", "Pictures of training", html`<div class="pictures">${pictures}</div>`)]
      : []),
    ...(statistics
      ? [section("labels", "Labels", html`<div class="grid">${labelTables(statistics)}</div>`)]
      : []),
    section("spec", "Spec", specFigure(specText)),
    section(
      "machine",
      "Machine",
      html`${sittingsFigure(sittings)}${notesFigure("What training said", lines, true)}`,
    ),
  ];
}
