// What a program may call a trainer with: JavaScript checks no types, so that a slip would train nothing, or
// end in a fault of mttc's own. Each refusal is E_USAGE and says what was expected and found.
import { MttcError, suggestName } from "../../compiler/diagnostics.ts";
import { specSchema } from "../../compiler/spec/schema.ts";
import { PROBE_OPTIONS } from "../probes/probeSettings.ts";

const MOST_EPOCHS = 1_000_000;
const FIT_OPTIONS: readonly string[] = [
  ...["resume", "acceptNewLabels", "lr", "plannedEpochs", "signal"],
  ...PROBE_OPTIONS,
];

/** E_USAGE for a call that makes no sense. */
export function usageError(message: string, hint?: string): MttcError {
  return new MttcError({ code: "E_USAGE", message, ...(hint === undefined ? {} : { hint }) });
}

/** A value as a message shows it: strings quoted, objects by their kind. */
export function shownValue(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "function") return "a function";
  if (Array.isArray(value)) return "an array";
  if (typeof value === "object" && value !== null) return "an object";
  return String(value);
}

/** What MultiTaskTrainer is constructed with must be an object of options. */
export function refuseNoOptions(options: unknown): void {
  if (typeof options === "object" && options !== null && !Array.isArray(options)) return;
  const isPath = typeof options === "string";
  throw usageError(
    `MultiTaskTrainer expects an object with the keys of a spec, found ${shownValue(options)}`,
    isPath
      ? "a run's folder is opened by MultiTaskTrainer.fromRun(folder); a spec file is read by: mttc train FILE"
      : "such as { train_labels, tasks, fcn, logdir }",
  );
}

/** What trains several runs, or none that is kept, is for one process. */
export function refuseRanks(runtime: object | undefined, call: string): void {
  if (runtime === undefined || !("ranks" in runtime) || runtime.ranks === undefined) return;
  throw usageError(
    `${call} is for one process, found ranks`,
    "several processes train one run together: new MultiTaskTrainer(options, { ranks })",
  );
}

/** Epochs are a whole number from 1 on; options have the keys of FitOptions. */
export function refuseFit(epochs: unknown, options: unknown): void {
  if (typeof options !== "object" || options === null)
    throw usageError(`fit expects options such as { resume: true }, found ${shownValue(options)}`);
  const unknown = Object.keys(options).find((key) => !FIT_OPTIONS.includes(key));
  if (unknown !== undefined)
    throw usageError(`fit has no option ${shownValue(unknown)}`, suggestName(unknown, FIT_OPTIONS));
  const { plannedEpochs: planned } = options as { readonly plannedEpochs?: unknown };
  if (!isEpochs(epochs))
    throw usageError(
      `fit expects a whole number of epochs from 1 to ${MOST_EPOCHS}, found ${shownValue(epochs)}`,
      "it is how many are to be finished in all",
    );
  if (planned !== undefined && !(isEpochs(planned) && Number(planned) >= Number(epochs)))
    throw usageError(
      `plannedEpochs expects a whole number from ${epochs} (epochs) to ${MOST_EPOCHS}, found ${shownValue(planned)}`,
    );
}

function isEpochs(value: unknown): boolean {
  return Number.isInteger(value) && Number(value) >= 1 && Number(value) <= MOST_EPOCHS;
}

/** Another rate is for a run that is gone on with now (`goesOn`), and is what the spec's `lr` may be. */
export function refuseRate(lr: unknown, goesOn: boolean): void {
  if (lr === undefined) return;
  if (!specSchema.shape.lr.safeParse(lr).success)
    throw usageError(`lr: expected a number > 0, found ${shownValue(lr)}`);
  if (goesOn) return;
  throw usageError(
    "lr is another rate for a run that is gone on with (--resume)",
    "the rate of a new run is the spec's `lr`",
  );
}

/** An argument that must be a non-empty string. */
export function refuseNoText(call: string, what: string, value: unknown): void {
  if (typeof value === "string" && value !== "") return;
  throw usageError(`${call} expects ${what}, found ${shownValue(value)}`);
}

/** An argument that must be a list of paths; a single string is a list of letters to JavaScript. */
export function refuseNoPaths(call: string, paths: unknown): void {
  const isList = Array.isArray(paths) && paths.every((path) => typeof path === "string");
  if (!isList) throw usageError(`${call} expects an array of paths, found ${shownValue(paths)}`);
}

/** What is said where a call finds nothing to train. */
export function nothingTrained(done: number, epochs: number): string {
  const finished = `${done} ${done === 1 ? "epoch is" : "epochs are"} finished already`;
  return `nothing is trained: ${finished}, and ${epochs} in all were asked for; ask for ${done + 1} to train one more`;
}
