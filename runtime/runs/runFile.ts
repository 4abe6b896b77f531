// The file by which a folder is known as a run's, for whoever only looks for it.

export const RUN_FILE = "run.json";
