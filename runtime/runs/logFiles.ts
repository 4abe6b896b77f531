// Names of what a run logs into its folder, and how files of ours are known there.

/** What happened within epochs (runtime/logs/eventLog.ts). */
export const EVENTS_FILE = "events.jsonl";
/** How its lines begin. */
export const EVENTS_HEAD = '{"kind":"';
/** What each sink remembers. */
export const SINKS_FOLDER = "sinks";
/** Pictures that training made. */
export const PICTURES_FOLDER = "pictures";
/** Vectors of images, a folder for each name. */
export const PROJECTOR_FOLDER = "projector";
/** The list of these that TensorBoard's projector reads, and its first line. */
export const PROJECTOR_FILE = "projector_config.pbtxt";
export const PROJECTOR_HEAD = "# Written by mttc: vectors for TensorBoard's projector.\n";
