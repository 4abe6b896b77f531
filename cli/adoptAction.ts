// What `mttc adopt` does: a foreign state -> a run with one checkpoint, its figures, and how to go on.
import { resolve } from "node:path";
import { MttcError } from "../compiler/diagnostics.ts";
import { visibleText } from "../compiler/visibleText.ts";
import type { Experiment } from "../runtime/train/experiment.ts";
import { MultiTaskTrainer } from "../runtime/train/multiTaskTrainer.ts";
import { interruptSignal } from "./interruptSignal.ts";
import { shownPath } from "./pathText.ts";
import { type RuntimeFlags, runtimeOptions } from "./runtimeOptions.ts";
import type { Terminal } from "./terminal.ts";
import { epochTable } from "./trainProgress.ts";

/** Options of the command. */
export interface AdoptFlags extends RuntimeFlags {
  readonly output?: string;
  readonly epoch?: number;
  readonly json?: boolean;
}

/** Adopts the file `state` for the experiment of the spec at `file`. */
export async function adoptState(
  file: string,
  { experiment, state }: { readonly experiment: Experiment; readonly state: string },
  { output, epoch, json = false, ...flags }: AdoptFlags,
  terminal: Terminal,
): Promise<void> {
  const { spec } = experiment;
  const logdir = output === undefined ? spec.logdir : resolve(output);
  if (logdir === null)
    throw new MttcError({
      code: "E_CONFIG",
      message: "missing; the run needs a folder to be written to",
      at: { file, path: "logdir" },
      hint: "give -o DIR, or add a line such as `logdir: runs/first`",
    });
  const { signal, stop } = interruptSignal(terminal, "stopping: nothing is saved yet");
  try {
    const adopted = { ...experiment, spec: { ...spec, logdir } };
    await using trainer = new MultiTaskTrainer(adopted, runtimeOptions(flags));
    trainer.on("log", ({ message }) => terminal.note(visibleText(message)));
    const checkpoint = await trainer.adopt(resolve(state), { epoch, signal });
    const { directory = "", history, tasks } = trainer;
    const last = history.at(-1);
    if (json) {
      terminal.out(JSON.stringify({ directory, checkpoint, epochs: history.length, last }, null, 2));
      return;
    }
    const run = shownPath(directory);
    const lines = [
      `Adopted: ${history.length} ${history.length === 1 ? "epoch" : "epochs"}, as ${shownPath(checkpoint)}`,
      ...(last?.evaluation ? ["On the validation labels:", epochTable(last, tasks, terminal)] : []),
      `Next:    mttc train ${output === undefined ? shownPath(resolve(file)) : run} --resume`,
      `         mttc evaluate ${run}`,
      `         mttc export ${run}`,
    ];
    terminal.out(lines.join("\n"));
  } finally {
    stop();
  }
}
