// Names of the places that a run may be logged to; apart, so that the command line knows them without a
// schema.

export const SINK_NAMES = ["tensorboard", "mlflow"] as const;
export type SinkName = (typeof SINK_NAMES)[number];
