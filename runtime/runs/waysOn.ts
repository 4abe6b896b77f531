// How to go on where a run is not gone on with: the lines of a spec that begin another run with its weights.

/** "another `logdir` with `init_from: runs/first` begins with this run's weights". */
export function beginWith(logdir: string | null): string {
  const begins = "begins with what this one has learned";
  return logdir === null ? "" : `another \`logdir\` with the line \`init_from: ${logdir}\` ${begins}`;
}
