// How many threads libuv's pool has, which decodes images: two more than this process has cores. Of several
// ranks on a host each has its share, which is not known to the last core before they have met
// (runtime/ranks/rankCores.ts then is): what the launcher says, and whether it has bound this process, are
// enough for threads that mostly wait.
"use strict";

/** Beside those that compute: some wait for a disk. */
const WAITING = 2;
/** How launchers say how many ranks are on this host; as runtime/ranks/rankEnvironment.ts has them. */
const LOCAL_SIZES = ["OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS", "PMI_LOCAL_SIZE"];

/**
 * UV_THREADPOOL_SIZE for a process of this environment that may use `usable` of its machine's `cores`;
 * undefined where what is set there stays.
 */
function poolSize(environment, usable, cores) {
  const given = environment.UV_THREADPOOL_SIZE;
  const whole = String(usable + WAITING);
  // What `mttc train --ranks` set for itself comes with its environment, and is no one's wish.
  const isInherited = environment.MTTC_RANKS_END !== undefined && given === whole;
  if (given !== undefined && !isInherited) return undefined;
  return String(share(environment, usable, cores) + WAITING);
}

function share(environment, usable, cores) {
  const { SLURM_CPUS_PER_TASK: granted, SLURM_STEP_ID: step, SLURM_GTIDS: tasks } = environment;
  const said = LOCAL_SIZES.map((name) => Number(environment[name])).find((size) => size >= 1);
  const ranks = said ?? (step !== undefined && tasks !== undefined ? tasks.split(",").length : 1);
  // Bound to so few cores that all of its host's ranks have as many: they are its own.
  const isBound = usable < cores && usable * ranks <= cores;
  const own = isBound ? usable : Math.max(1, Math.floor(usable / ranks));
  return step !== undefined && Number(granted) >= 1 ? Math.min(own, Math.floor(Number(granted))) : own;
}

module.exports = { poolSize };
