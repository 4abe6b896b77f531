// The probes of a training session: what the spec or a call of `fit` asks for, on the session's labels and
// weights; their pictures and vectors become events of the trainer.
import { tasksOf } from "../../compiler/bundle/manifestTasks.ts";
import { EpochProbes } from "../probes/epochProbes.ts";
import type { FeatureSource } from "../probes/featureModel.ts";
import { type ProbeOptions, probeSettings } from "../probes/probeSettings.ts";
import type { EventHub } from "./events.ts";
import type { TrainingSession } from "./trainingSession.ts";

/** Errors as probeSettings's. `model` gives the weights as they are whenever it is asked. */
export function openProbes(
  session: TrainingSession,
  options: ProbeOptions,
  events: EventHub,
  model: Pick<FeatureSource, "parameters" | "trunk">,
): EpochProbes {
  const { spec } = session.experiment;
  const { labels, manifest, host, downstream } = session;
  const hasLogdir = spec.logdir !== null;
  const settings = probeSettings({ spec, hasVal: labels.val !== undefined, hasLogdir }, options);
  const source: FeatureSource = {
    spec,
    parameters: () => model.parameters(),
    trunk: () => model.trunk(),
  };
  return new EpochProbes(
    {
      ...{ spec, host, source, downstream, val: labels.val },
      ...{ parameters: manifest.parameters, tasks: tasksOf(manifest) },
      directory: hasLogdir ? session.directory : undefined,
    },
    settings,
    {
      log: (message) => void events.emit("log", { message }),
      picture: (picture) => void events.emit("picture", picture),
      projection: (projection) => void events.emit("embedding", projection),
    },
  );
}
