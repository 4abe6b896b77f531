// Progress of a training run: a bar on a terminal, plain lines elsewhere, and the figures of each epoch.

import { SingleBar } from "cli-progress";
import { rateText } from "../compiler/step/scheduleNotes.ts";
import { isScheduled } from "../compiler/step/schedules.ts";
import { figureOf, type ReportForm } from "../compiler/tasks/report.ts";
import { visibleText } from "../compiler/visibleText.ts";
import type { EpochReport, ProgressEvent, StepEvent } from "../runtime/train/events.ts";
import { gainsOf, judgeOf } from "../runtime/train/judgement.ts";
import type { MultiTaskTrainer } from "../runtime/train/multiTaskTrainer.ts";
import { bestEpoch } from "../runtime/train/runHistory.ts";
import type { KeepingSpec } from "../runtime/train/runJudge.ts";
import { byKind, type ReportedTask } from "./evaluationTables.ts";
import { decimal, renderTable } from "./tables.ts";
import type { Terminal } from "./terminal.ts";

/** Without a bar a line is written at most this often. */
const LINE_INTERVAL_MS = 10_000;

/** Shows what `trainer` tells, on stderr; the returned function ends it. */
export function showProgress(trainer: MultiTaskTrainer, epochs: number, terminal: Terminal): () => void {
  const steps = showSteps(trainer, epochs, terminal);
  const stops = [
    trainer.on("log", ({ message }) => {
      steps.pause();
      terminal.note(visibleText(message));
    }),
    trainer.on("epoch", (report) => {
      steps.pause();
      terminal.note(epochText(report, epochs, trainer, terminal));
    }),
  ];
  return () => {
    steps.end();
    for (const stop of stops) stop();
  };
}

/** Shows how far an epoch is, and nothing else of what `trainer` tells. */
export function showSteps(
  trainer: MultiTaskTrainer,
  epochs: number,
  terminal: Terminal,
): { readonly pause: () => void; readonly end: () => void } {
  const meter = terminal.drawsProgress ? barMeter(epochs) : lineMeter(epochs, terminal);
  const stops = [trainer.on("progress", meter.progress), trainer.on("step", meter.step)];
  return {
    pause: meter.pause,
    end: () => {
      meter.pause();
      for (const stop of stops) stop();
    },
  };
}

interface Meter {
  progress(event: ProgressEvent): void;
  step(event: StepEvent): void;
  /** Clears the line for something else to be written. */
  pause(): void;
}

function barMeter(epochs: number): Meter {
  let bar: SingleBar | undefined;
  const clock = runClock(epochs);
  return {
    progress: ({ work, done, total }) => {
      if (!bar) {
        bar = newBar("{work} {bar} {value}/{total}");
        bar.start(total, done, { work });
      }
      bar.update(done, { work });
    },
    step: (event) => {
      const { epoch, step, steps, losses, imagesPerSecond } = event;
      const left = clock(event);
      const head = `${epoch}/${epochs} ${step}/${steps} ${Math.round(imagesPerSecond)}${left}`.length;
      const room = Math.max(0, (process.stderr.columns ?? USUAL_COLUMNS) - head - BAR_COLUMNS);
      const shown = shortened(lossesText(losses), room);
      const payload = { epoch, epochs, losses: shown, speed: Math.round(imagesPerSecond), left };
      if (!bar) {
        bar = newBar("epoch {epoch}/{epochs} {bar} {value}/{total}  {speed} images/s{left}  {losses}");
        bar.start(steps, step, payload);
      }
      bar.update(step, payload);
    },
    pause: () => {
      bar?.stop();
      bar = undefined;
    },
  };
}

const BAR_SIZE = 16;
/** Columns of the bar's line beside its numbers. */
const BAR_COLUMNS = "epoch   images/s    ".length + BAR_SIZE;

/** ", 3 min left" by the pace since the run's first step, evaluations and checkpoints included. */
function runClock(epochs: number): (event: StepEvent) => string {
  let first: { readonly at: number; readonly steps: number } | undefined;
  return ({ epoch, step, steps }) => {
    const done = (epoch - 1) * steps + step;
    first ??= { at: performance.now(), steps: done };
    const since = done - first.steps;
    if (since === 0) return "";
    const left = ((performance.now() - first.at) / 1000 / since) * Math.max(0, epochs * steps - done);
    return `, ${durationText(left)} left`;
  };
}

/** "40 s", "3 min", "2.5 h". */
export function durationText(seconds: number): string {
  if (seconds < 60) return `${Math.round(seconds)} s`;
  return seconds < 3600 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

function newBar(format: string): SingleBar {
  return new SingleBar({
    format,
    barsize: BAR_SIZE,
    clearOnComplete: true,
    hideCursor: true,
    stream: process.stderr,
    // Ctrl-C is the trainer's business.
    gracefulExit: false,
  });
}

function lineMeter(epochs: number, terminal: Terminal): Meter {
  let writtenAt = performance.now();
  const clock = runClock(epochs);
  return {
    progress: ({ work, done, total }) => {
      if (performance.now() - writtenAt < LINE_INTERVAL_MS) return;
      writtenAt = performance.now();
      terminal.note(`${done} of ${total} ${work}`);
    },
    step: (event) => {
      const { epoch, step, steps, losses, imagesPerSecond } = event;
      const left = clock(event);
      if (performance.now() - writtenAt < LINE_INTERVAL_MS) return;
      writtenAt = performance.now();
      const speed = `${Math.round(imagesPerSecond)} images/s${left}`;
      terminal.note(`epoch ${epoch}/${epochs}, step ${step}/${steps}, ${speed}, ${lossesText(losses)}`);
    },
    pause: () => undefined,
  };
}

function lossesText(losses: StepEvent["losses"]): string {
  return Object.entries(losses)
    .map(([task, loss]) => `${visibleText(task)} ${decimal(loss)}`)
    .join("  ");
}

/** What the text of an epoch takes from a trainer. */
type ShownRun = Pick<MultiTaskTrainer, "tasks" | "history" | "spec">;

/**
 * One line for the epoch, a table of its tasks, and what it is compared by; validation figures where there
 * are validation labels.
 */
function epochText(report: EpochReport, epochs: number, run: ShownRun, terminal: Terminal): string {
  const wait = `, ${Math.round(100 * report.waitShare)} % of it waiting for images`;
  const seconds = decimal(report.seconds, 1);
  const { lr } = report.scalars ?? {};
  const rate = lr === undefined || !isScheduled(run.spec) ? "" : `, lr ${rateText(lr)}`;
  const title = `epoch ${report.epoch}/${epochs}: ${report.steps} steps in ${seconds} s${wait}${rate}`;
  const style = { isTerminal: terminal.drawsProgress, colours: terminal.noteColours };
  const lines = [terminal.noteColours.bold(title), epochTable(report, run.tasks, style)];
  return [...lines, ...judgedText(report, run)].join("\n");
}

/** "gain 0.412, the best so far"; nothing without validation. */
function judgedText(report: EpochReport, { tasks, history, spec: { monitor } }: ShownRun): string[] {
  const judge = judgeOf(monitor, tasks);
  const value = judge.valueIn(report);
  if (Number.isNaN(value)) return [];
  const isBest = bestEpoch(history.slice(0, report.epoch), tasks, monitor) === report.epoch - 1;
  const each = byKind(tasks).every((alike) => fitsGain(report, alike)) ? [] : gainTexts(report, tasks);
  const gains = each.length > 0 ? ` (${each.join(", ")})` : "";
  return [`${judge.name} ${decimal(value)}${isBest ? ", the best so far" : ""}${gains}`];
}

function gainTexts({ evaluation }: EpochReport, tasks: readonly ReportedTask[]): string[] {
  const { byTask } = gainsOf(evaluation, tasks);
  return Object.entries(byTask).map(([task, gain]) => `${visibleText(task)} ${decimal(gain)}`);
}

/** Which epoch is the best, a line; that there is none to choose without validation. */
export function bestText(
  history: readonly EpochReport[],
  tasks: readonly ReportedTask[],
  { keep, monitor }: KeepingSpec,
): string[] {
  const best = bestEpoch(history, tasks, monitor);
  const report = history[best ?? -1];
  if (best === undefined || !report) return ["Evaluate and export take the newest epoch: none was validated"];
  const judge = judgeOf(monitor, tasks);
  const each = gainTexts(report, tasks);
  const gains = judge.task === undefined && each.length > 1 ? ` (${each.join(", ")})` : "";
  const taken =
    keep === "best" ? ": evaluate and export take it" : ": evaluate and export take the newest (keep)";
  return [`The best:    epoch ${best + 1}, ${judge.name} ${decimal(judge.valueIn(report))}${gains}${taken}`];
}

/** Columns of a terminal that nobody has made wider. */
const USUAL_COLUMNS = 80;
/** Letters of a task's name that are always shown. */
const LEAST_NAME = 8;

/**
 * Figures of an epoch by task: those of training, then those of the validation, each beside its baseline;
 * tasks of another kind have a table of their own. Without lines between the columns it fits a terminal of 80
 * columns; long names of tasks are cut for that.
 */
export function epochTable(
  report: EpochReport,
  tasks: readonly ReportedTask[],
  style: Pick<Terminal, "isTerminal" | "colours">,
): string {
  return byKind(tasks)
    .map((alike) => tableOfKind(report, alike, style))
    .join("\n");
}

/** A column's head and its number for a task. */
type Column = readonly [head: string, numberOf: (task: string) => number | undefined];

function tableOfKind(
  report: EpochReport,
  alike: readonly ReportedTask[],
  style: Pick<Terminal, "isTerminal" | "colours">,
): string {
  const plain = columnsOf(report, alike[0]?.reports);
  const columns = fitsGain(report, alike) ? [...plain, gainColumn(report, alike)] : plain;
  const tasks = alike.map(({ name }) => name);
  const cells = cellsOf(columns, alike);
  const rest = widthOf(columns, cells);
  const names = tasks.map((task) => shortened(task, Math.max(LEAST_NAME, USUAL_COLUMNS - rest)));
  return renderTable(
    { ...style, isTerminal: false },
    ["task", ...columns.map(([name]) => name)],
    cells.map((row, i) => [names[i] ?? "", ...row]),
    columns.map((_, i) => i + 1),
  );
}

function cellsOf(columns: readonly Column[], alike: readonly ReportedTask[]): string[][] {
  return alike.map(({ name }) => columns.map(([, figure]) => decimal(figure(name))));
}

/** Columns of the terminal that these take, with the room before each. */
function widthOf(columns: readonly Column[], cells: readonly (readonly string[])[]): number {
  const widths = columns.map(([name], i) =>
    Math.max(name.length, ...cells.map((row) => row[i]?.length ?? 0)),
  );
  return widths.reduce((sum, width) => sum + width + 2, 0);
}

/** Whether tasks of a kind have gains, and the table of all else leaves room for them. */
function fitsGain(report: EpochReport, alike: readonly ReportedTask[]): boolean {
  const columns = [...columnsOf(report, alike[0]?.reports), gainColumn(report, alike)];
  const hasGain = Object.keys(gainsOf(report.evaluation, alike).byTask).length > 0;
  return hasGain && widthOf(columns, cellsOf(columns, alike)) + LEAST_NAME <= USUAL_COLUMNS;
}

function gainColumn({ evaluation }: EpochReport, alike: readonly ReportedTask[]): Column {
  const { byTask } = gainsOf(evaluation, alike);
  return ["gain", (task) => byTask[task]];
}

function columnsOf(report: EpochReport, form: ReportForm | undefined): Column[] {
  const { evaluation, taskWeights, trainLoss, trainAccuracy, trainFigures } = report;
  const isWeighted = Object.values(taskWeights).some((weight) => weight !== 1);
  const training = (form?.training ?? []).map(
    ({ name, epochHead }): Column => [
      epochHead,
      (task) => (name === "accuracy" ? trainAccuracy[task] : trainFigures?.[task]?.[name]),
    ],
  );
  const validation = (evaluation ? (form?.figures ?? []) : []).map(
    ({ name, epochHead }): Column => [epochHead, (task) => figureOf(evaluation?.tasks[task], name)],
  );
  return [
    ...(isWeighted ? [["weight", (task) => taskWeights[task]] satisfies Column] : []),
    ["loss", (task) => trainLoss[task]],
    ...training,
    ...(evaluation ? [["val loss", (task) => evaluation.tasks[task]?.loss] satisfies Column] : []),
    ...validation,
  ];
}

function shortened(name: string, width: number): string {
  return name.length <= width ? name : `${name.slice(0, width - 1)}\u2026`;
}
