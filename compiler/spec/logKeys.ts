// Keys of the spec about what is logged of a run beside its own files, and how often. A part of the section
// of runs. The names of sinks are here, what they do in runtime/logs/sinkTable.ts.
import { z } from "zod";
import { decides, integer, phrase, text } from "./keyKinds.ts";
import { SINK_NAMES, type SinkName } from "./sinkNames.ts";

const nameList = SINK_NAMES.map((name) => `"${name}"`).join(" or ");
const entryPhrase = `${nameList}, or a map such as {mlflow: {tracking_uri: "http://127.0.0.1:5000"}}`;
/** What a `tracking_uri` has to be: completes "expected ...". */
export const TRACKING_URI =
  "the address of an MLflow server (http:// or https://), without user and password, which belong into " +
  "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN";

/** Whether `text` is the address of a server, and holds no credentials. */
export function isTrackingUri(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, username, password, search, hash } = new URL(text);
  return ["http:", "https:"].includes(protocol) && username + password + search + hash === "";
}

/** Settings of each sink, by name. */
const SETTINGS = {
  tensorboard: z.strictObject({}, phrase("a map without keys")),
  mlflow: z.strictObject(
    {
      tracking_uri: text("the address of an MLflow server").optional(),
      experiment_name: text("the name of an experiment").optional(),
      run_name: text("the name of a run").optional(),
    },
    phrase("a map of tracking_uri, experiment_name and run_name"),
  ),
} as const satisfies Record<SinkName, z.ZodType>;

/** Settings that the spec gives a sink. */
export type SinkSettings<Name extends SinkName> = z.output<(typeof SETTINGS)[Name]>;

const entry = z.union(
  [
    z.enum(SINK_NAMES, phrase(entryPhrase)),
    z.strictObject({ tensorboard: SETTINGS.tensorboard }),
    z.strictObject({ mlflow: SETTINGS.mlflow }),
  ],
  phrase(entryPhrase),
);

/** An entry of `log_to`. */
export type LogTarget = z.output<typeof entry>;

/** The sink that an entry names. */
export function sinkOf(one: LogTarget): SinkName {
  if (typeof one === "string") return one;
  return SINK_NAMES.find((name) => Object.hasOwn(one, name)) ?? "tensorboard";
}

/** The settings that an entry gives to the sink of that name. */
export function settingsOf<Name extends SinkName>(one: LogTarget, name: Name): SinkSettings<Name> {
  const given = typeof one === "string" ? {} : (one as Partial<Record<SinkName, unknown>>)[name];
  return SETTINGS[name].parse(given ?? {}) as SinkSettings<Name>;
}

/** The sinks that are named, with the settings of `targets` where these have them. */
export function namedTargets(names: readonly SinkName[], targets: readonly LogTarget[]): LogTarget[] {
  return names.map((name) => targets.find((target) => sinkOf(target) === name) ?? name);
}

/** `targets`, and those that are named beside them. */
export function withTargets(targets: readonly LogTarget[], names: readonly SinkName[]): LogTarget[] {
  return [...targets, ...names.filter((name) => !targets.some((target) => sinkOf(target) === name))];
}

/** The keys, in the order in which they are listed. */
export const LOG_KEYS = {
  log_to: z
    .union([entry.transform((one) => [one]), z.array(entry)], phrase(`a list of ${entryPhrase}`))
    .default([])
    .describe(
      "Where figures, pictures and notes go beside the run's own log: `tensorboard` (event files in `logdir`), " +
        "`mlflow`, or `{mlflow: {tracking_uri, experiment_name, run_name}}`. What fails is tried again and stops nothing.",
    )
    .meta(decides("nothing")),
  log_every: integer(0, 1_000_000)
    .default(10)
    .describe("Steps between two entries of the log by step, each a mean over them; 0 logs epochs alone.")
    .meta(decides("nothing")),
};
