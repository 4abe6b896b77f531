// What `mttc sweep` does: the runs with their progress, the table of what came of them, and what to do next.
import { join, resolve } from "node:path";
import { MttcError } from "../compiler/diagnostics.ts";
import { epochsOf, halvingRounds } from "../runtime/sweep/halving.ts";
import { valueText } from "../runtime/sweep/points.ts";
import { runSweep, runText, type SweepListener } from "../runtime/sweep/runSweep.ts";
import { scoreOf } from "../runtime/sweep/scores.ts";
import { readSweep, runFolderName, SWEEP_SHEET, type SweepState } from "../runtime/sweep/sweepFolder.ts";
import { type Axis, parseAxes } from "../runtime/sweep/sweptAxes.ts";
import type { Experiment } from "../runtime/train/experiment.ts";
import { interruptSignal } from "./interruptSignal.ts";
import { shownPath } from "./pathText.ts";
import { type RuntimeFlags, runtimeOptions } from "./runtimeOptions.ts";
import { decimal, renderTable } from "./tables.ts";
import type { Terminal } from "./terminal.ts";
import { showSteps } from "./trainProgress.ts";

/** Options of the command. */
export interface SweepFlags extends RuntimeFlags {
  readonly over?: readonly string[];
  readonly runs: number;
  readonly grid?: boolean;
  readonly seed?: number;
  readonly epochs?: number;
  readonly halving: number;
  readonly output?: string;
  readonly resume?: boolean;
  readonly json?: boolean;
}

/** Rows of the closing table, at most; all are in sweep.json and --json. */
const MOST_ROWS = 25;

/** Sweeps the experiment that `file` holds. */
export async function sweep(
  file: string,
  experiment: Experiment,
  flags: SweepFlags,
  terminal: Terminal,
): Promise<void> {
  const directory = folderOf(file, experiment, flags.output);
  const before = flags.resume ? await readSweep(directory) : undefined;
  const { spec } = experiment;
  const options = {
    directory,
    axes: flags.resume ? axesOf(before, flags.over) : parseAxes(flags.over ?? []),
    grid: flags.grid ?? false,
    runs: flags.runs,
    seed: flags.seed ?? spec.seed,
    epochs: flags.epochs ?? before?.epochs ?? spec.epochs,
    factor: flags.halving,
    resume: flags.resume ?? false,
  };
  const { signal, stop } = interruptSignal(terminal, "stopping: what is under way is finished and saved");
  try {
    const tell = listener(terminal, directory);
    const state = await runSweep(experiment, { ...options, runtime: runtimeOptions(flags), signal, tell });
    terminal.out(flags.json ? JSON.stringify(rankedRuns(state)) : closingText(state, directory, terminal));
  } catch (error) {
    if (error instanceof MttcError && error.code === "E_INTERRUPTED") throw interrupted(error, file, flags);
    throw error;
  } finally {
    stop();
  }
}

/** The axes of the sweep that is gone on with; E_USAGE where others are asked for. */
function axesOf(before: SweepState | undefined, over: readonly string[] | undefined): readonly Axis[] {
  const axes = before?.axes ?? [];
  if (before && over && JSON.stringify(parseAxes(over)) !== JSON.stringify(axes))
    throw new MttcError({
      code: "E_USAGE",
      message: `the sweep varies ${axes.map(({ key }) => key).join(", ")}, and goes on with that`,
      hint: "leave --over away with --resume, or name another folder by -o",
    });
  return axes;
}

function folderOf(file: string, { spec, baseDirectory }: Experiment, output: string | undefined): string {
  if (output !== undefined) return resolve(output);
  if (spec.logdir !== null) return `${resolve(baseDirectory, spec.logdir)}-sweep`;
  throw new MttcError({
    code: "E_CONFIG",
    message: "missing; the sweep needs a folder to be written to",
    at: { file, path: "logdir" },
    hint: "name one by -o FOLDER, or add a line such as `logdir: runs/first`",
  });
}

function interrupted(error: MttcError, file: string, { output }: SweepFlags): MttcError {
  const folder = output === undefined ? "" : ` -o ${shownPath(resolve(output))}`;
  const hint = `go on with: mttc sweep ${shownPath(resolve(file))}${folder} --resume`;
  return new MttcError(error.faults.map((fault) => ({ ...fault, hint })));
}

function listener(terminal: Terminal, directory: string): SweepListener {
  let steps: ReturnType<typeof showSteps> | undefined;
  let round = 0;
  const note = (text: string): void => {
    steps?.pause();
    terminal.note(text);
  };
  return {
    log: (message) => note(message),
    run: (event) => {
      if (event.rounds > 1 && event.round !== round)
        note(
          terminal.noteColours.bold(`round ${event.round} of ${event.rounds}: until epoch ${event.epochs}`),
        );
      round = event.round;
      note(runText(event));
    },
    result: ({ number, result }) => {
      const failed = result.failed === undefined ? "" : `; drops out: ${result.failed}`;
      const where = shownPath(join(directory, runFolderName(number)));
      note(`  gain ${decimal(scoreOf(result))} after ${result.epochs} epochs, in ${where}${failed}`);
    },
    trainer: (trainer, epochs) => {
      steps = showSteps(trainer, epochs, terminal);
      return () => {
        steps?.end();
        steps = undefined;
      };
    },
  };
}

/** The runs, the best first. */
function rankedRuns({ runs }: SweepState) {
  return runs
    .map((run, index) => ({ run: runFolderName(index + 1), gain: scoreOf(run), ...run }))
    .toSorted((a, b) => (Number.isNaN(a.gain) ? 1 : 0) - (Number.isNaN(b.gain) ? 1 : 0) || b.gain - a.gain);
}

function closingText(state: SweepState, directory: string, terminal: Terminal): string {
  const ranked = rankedRuns(state);
  const keys = state.axes.map(({ key }) => key);
  const figures = Object.keys(ranked[0]?.figures ?? {}).slice(0, MOST_FIGURES);
  const rows = ranked
    .slice(0, MOST_ROWS)
    .map(({ run, point, epochs, gain, figures: of, failed }) => [
      ...[run, ...keys.map((key) => valueText(point[key])), String(epochs)],
      ...[failed === undefined ? decimal(gain) : "failed", ...figures.map((name) => decimal(of[name]))],
    ]);
  const head = ["run", ...keys, "epochs", "gain", ...figures];
  const right = head.map((_, i) => i).filter((i) => i > keys.length);
  const more = ranked.length > MOST_ROWS ? [`and ${ranked.length - MOST_ROWS} more (--json lists all)`] : [];
  const rounds = halvingRounds(state.runs.length, state.epochs, state.factor);
  const trained = state.runs.reduce((sum, { epochs }) => sum + epochs, 0);
  const saved = state.runs.length * state.epochs - epochsOf(rounds);
  const [winner] = ranked;
  return [
    renderTable(terminal, head, rows, right),
    ...more,
    `${trained} epochs were trained${saved > 0 ? `; stopping bad runs early saved ${saved}` : ""}.`,
    `Picture: ${shownPath(join(directory, SWEEP_SHEET))}`,
    `Next:    mttc evaluate ${shownPath(join(directory, winner?.run ?? ""))}`,
    `         mttc export ${shownPath(join(directory, winner?.run ?? ""))}`,
  ].join("\n");
}

/** Figures beside the gain that a row has room for. */
const MOST_FIGURES = 4;
