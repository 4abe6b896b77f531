// The sinks by name, each loaded when a run is logged to it.
import { type LogTarget, type SinkSettings, settingsOf, sinkOf } from "../../compiler/spec/logKeys.ts";
import type { SinkName } from "../../compiler/spec/sinkNames.ts";
import type { Sink, SinkContext, SinkKind } from "./sink.ts";

const SINKS: { readonly [Name in SinkName]: () => Promise<SinkKind<SinkSettings<Name>>> } = {
  tensorboard: async () => (await import("./tensorboardSink.ts")).tensorboardSink,
  mlflow: async () => (await import("./mlflowSink.ts")).mlflowSink,
};

/** A sink with what the spec says of it. */
export interface ConfiguredSink {
  readonly name: SinkName;
  readonly title: string;
  readonly viewer: string | undefined;
  readonly fault: (environment: SinkContext<unknown>["environment"]) => string | undefined;
  readonly place: (context: Pick<SinkContext<unknown>, "environment" | "facts">) => string;
  readonly create: (context: Omit<SinkContext<unknown>, "settings">) => Sink;
}

/** The sink that an entry of `log_to` names. */
export async function configuredSink(target: LogTarget): Promise<ConfiguredSink> {
  const name = sinkOf(target);
  return await configure(name, target);
}

async function configure<Name extends SinkName>(name: Name, target: LogTarget): Promise<ConfiguredSink> {
  const kind = await SINKS[name]();
  const settings = settingsOf(target, name);
  return {
    name,
    title: kind.title,
    viewer: kind.viewer,
    fault: (environment) => kind.fault?.(settings, environment),
    place: (context) => kind.place({ ...context, settings }),
    create: (context) => kind.create({ ...context, settings }),
  };
}
