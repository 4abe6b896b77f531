// Progress of a training run: a bar on a terminal, plain lines elsewhere, and the figures of each epoch.

import { SingleBar } from "cli-progress";
import { visibleText } from "../compiler/visibleText.ts";
import type { EpochReport, ProgressEvent, StepEvent } from "../runtime/train/events.ts";
import type { MultiTaskTrainer } from "../runtime/train/multiTaskTrainer.ts";
import { decimal, renderTable } from "./tables.ts";
import type { Terminal } from "./terminal.ts";

/** Without a bar a line is written at most this often. */
const LINE_INTERVAL_MS = 10_000;

/** Shows what `trainer` tells, on stderr; the returned function ends it. */
export function showProgress(trainer: MultiTaskTrainer, epochs: number, terminal: Terminal): () => void {
  const meter = terminal.drawsProgress ? barMeter(epochs) : lineMeter(epochs, terminal);
  const stops = [
    trainer.on("log", ({ message }) => {
      meter.pause();
      terminal.note(visibleText(message));
    }),
    trainer.on("progress", meter.progress),
    trainer.on("step", meter.step),
    trainer.on("epoch", (report) => {
      meter.pause();
      terminal.note(epochText(report, epochs, terminal));
    }),
  ];
  return () => {
    meter.pause();
    for (const stop of stops) stop();
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
  return {
    progress: ({ work, done, total }) => {
      if (!bar) {
        bar = newBar("{work} {bar} {value}/{total}");
        bar.start(total, done, { work });
      }
      bar.update(done, { work });
    },
    step: ({ epoch, step, steps, losses, imagesPerSecond }) => {
      const payload = { epoch, epochs, losses: lossesText(losses), speed: Math.round(imagesPerSecond) };
      if (!bar) {
        bar = newBar("epoch {epoch}/{epochs} {bar} {value}/{total}  {speed} images/s  {losses}");
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

function newBar(format: string): SingleBar {
  return new SingleBar({
    format,
    barsize: 24,
    clearOnComplete: true,
    hideCursor: true,
    stream: process.stderr,
    // Ctrl-C is the trainer's business.
    gracefulExit: false,
  });
}

function lineMeter(epochs: number, terminal: Terminal): Meter {
  let writtenAt = performance.now();
  return {
    progress: ({ work, done, total }) => {
      if (performance.now() - writtenAt < LINE_INTERVAL_MS) return;
      writtenAt = performance.now();
      terminal.note(`${done} of ${total} ${work}`);
    },
    step: ({ epoch, step, steps, losses, imagesPerSecond }) => {
      if (performance.now() - writtenAt < LINE_INTERVAL_MS) return;
      writtenAt = performance.now();
      const speed = `${Math.round(imagesPerSecond)} images/s`;
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

/** One line for the epoch, and a table of its tasks; validation figures where there are validation labels. */
function epochText(report: EpochReport, epochs: number, terminal: Terminal): string {
  const wait = `, ${Math.round(100 * report.waitShare)} % of it waiting for images`;
  const seconds = decimal(report.seconds, 1);
  const title = `epoch ${report.epoch}/${epochs}: ${report.steps} steps in ${seconds} s${wait}`;
  const style = { isTerminal: terminal.drawsProgress, colours: terminal.noteColours };
  return `${terminal.noteColours.bold(title)}\n${epochTable(report, style)}`;
}

/**
 * Figures of an epoch by task: training loss and accuracy, then the validation's beside its majority
 * baseline.
 */
export function epochTable(report: EpochReport, style: Pick<Terminal, "isTerminal" | "colours">): string {
  const { evaluation } = report;
  const more = evaluation ? ["val loss", "val accuracy", "(majority)", "macro recall", "(majority)"] : [];
  const head = ["task", "weight", "loss", "accuracy", ...more];
  const rows = Object.keys(report.taskWeights).map((task) => {
    const val = evaluation?.tasks[task];
    const figures = [val?.loss, val?.accuracy, val?.majority, val?.macroRecall, val?.majorityRecall];
    const train = [report.taskWeights[task], report.trainLoss[task], report.trainAccuracy[task]];
    return [task, ...[...train, ...(evaluation ? figures : [])].map((value) => decimal(value))];
  });
  return renderTable(style, head, rows, [1, 2, 3, 4, 5, 6, 7, 8]);
}
