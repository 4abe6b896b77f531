// The learning rate of a run that is gone on with: what it is by now, what `--resume --lr` makes of it, and
// since when. run.json lists the changes, since a checkpoint of before has the rate of before.
import { z } from "zod";
import type { LoadedCheckpoint } from "../runs/checkpoints.ts";
import type { Fingerprint } from "../runs/fingerprint.ts";
import type { RunFolder } from "../runs/runFolder.ts";
import { type RateChange, rateText } from "../runs/runOrigin.ts";
import type { Experiment } from "./experiment.ts";

/** The run and its checkpoint. */
interface RatedRun {
  readonly stored: Fingerprint;
  readonly checkpoint: Pick<LoadedCheckpoint, "epoch" | "progress">;
  /** Undefined where it cannot be read. */
  readonly run: RunFolder | undefined;
}

/** What the checkpoint is compared with, and what is trained where that agrees. */
export interface SettledRate {
  /** As though nobody had changed the rate. */
  readonly compared: { readonly experiment: Experiment; readonly stored: Fingerprint };
  readonly changes: readonly RateChange[];
  /** What is to be told of the rate, a line each. */
  readonly notes: readonly string[];
  /** With the rate that holds from here on. */
  readonly apply: (experiment: Experiment) => Experiment;
}

/** `asked`: the rate that is asked for; undefined goes on with the run's. */
export function settleRate(experiment: Experiment, past: RatedRun, asked: number | undefined): SettledRate {
  const { stored, run } = past;
  const before = run?.origin.changes ?? [];
  const { spec } = stored;
  const began = typeof spec === "string" ? (before[0]?.from ?? run?.spec.lr) : spec.lr;
  const held = before.at(-1)?.to ?? (typeof began === "number" ? began : experiment.spec.lr);
  const own = experiment.spec.lr;
  // A spec that writes the rate of an earlier time is not another spec; a hash is of the first one.
  const written = experiment.given?.has("lr") ?? true;
  // Without a change of the rate what spec.yml says of it is no news: the hash decides.
  const isEarlier = written
    ? before.some(({ from }) => from === own)
    : typeof spec === "string" && before.length > 0;
  const isKnown = asked !== undefined || own === held || isEarlier;
  const change = asked === undefined || asked === held ? undefined : changeTo(asked, held, past);
  const notes = [
    ...(change ? [`${rateText(change)} (--lr)`] : []),
    ...(asked !== undefined && !change ? [`lr is ${held} already: --lr changes nothing`] : []),
    ...(asked === undefined && before.length > 0 && isKnown && own !== held
      ? [`lr stays ${held}, as --lr set it, in place of the spec's ${own}`]
      : []),
  ];
  const compares = typeof spec === "string" ? began : held;
  return {
    compared: {
      experiment: isKnown && typeof compares === "number" ? withRate(experiment, compares) : experiment,
      stored: typeof spec === "string" ? stored : { ...stored, spec: { ...spec, lr: held } },
    },
    changes: change ? [...before, change] : before,
    notes,
    apply: (settled) => withRate(settled, asked ?? (before.length > 0 ? held : settled.spec.lr)),
  };
}

function withRate(experiment: Experiment, lr: number): Experiment {
  return { ...experiment, spec: { ...experiment.spec, lr } };
}

const stateSchema = z.object({ epochState: z.object({ step: z.int().nonnegative() }) });

function changeTo(to: number, from: number, { checkpoint: { epoch, progress } }: RatedRun): RateChange {
  const step = stateSchema.safeParse(progress).data?.epochState.step ?? 0;
  return { key: "lr", epoch, step, from, to };
}

/** Finished epochs when the rate was changed last; 0 where it never was. */
export function changedAt(changes: readonly RateChange[]): number {
  return changes.at(-1)?.epoch ?? 0;
}
