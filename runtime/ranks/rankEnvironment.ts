// Which of how many processes this one is, as its launcher says: mpiexec of MPICH (Hydra) and its kin, Open
// MPI's mpiexec, Slurm's srun, torchrun. environment -> rank and size. A pure function; nothing is started
// and no library is asked.
import { type Fault, MttcError } from "../../compiler/diagnostics.ts";

/** Who started the processes. */
export type Launcher = "openmpi" | "hydra" | "torchrun" | "slurm";

/** A place among processes: 0 <= rank < size. */
export interface Place {
  readonly rank: number;
  readonly size: number;
}

/** This process among all that its launcher started. */
export interface RankEnvironment extends Place {
  readonly launcher: Launcher;
  /** Its place among those on this host, where the launcher says that. */
  readonly local?: Place;
  /** Cores that the launcher gives each process, where it says that. */
  readonly cores?: number;
  /** Cores of this host that the launcher has for all its processes there, where it says that. */
  readonly hostCores?: number;
}

/** Names of variables by what they say, of equal meaning in the order in which they are looked for. */
interface Variables {
  readonly rank: readonly string[];
  readonly size: readonly string[];
  readonly localRank: readonly string[];
  readonly localSize: readonly string[];
}

/**
 * Variables of launchers that may be the innermost one: each starts the program itself. Sources: the manual
 * of mpirun (Open MPI 4 and 5); Hydra's proxy, whose names Intel MPI and MVAPICH share, and Cray's PALS,
 * which says PMI_LOCAL_RANK; torchrun's manual.
 */
const INNER: Readonly<Record<Exclude<Launcher, "slurm">, Variables>> = {
  openmpi: {
    rank: ["OMPI_COMM_WORLD_RANK"],
    size: ["OMPI_COMM_WORLD_SIZE"],
    localRank: ["OMPI_COMM_WORLD_LOCAL_RANK"],
    localSize: ["OMPI_COMM_WORLD_LOCAL_SIZE"],
  },
  hydra: {
    rank: ["PMI_RANK"],
    size: ["PMI_SIZE"],
    localRank: ["MPI_LOCALRANKID", "PMI_LOCAL_RANK"],
    localSize: ["MPI_LOCALNRANKS", "PMI_LOCAL_SIZE"],
  },
  torchrun: {
    rank: ["RANK"],
    size: ["WORLD_SIZE"],
    localRank: ["LOCAL_RANK"],
    localSize: ["LOCAL_WORLD_SIZE"],
  },
};

/** A day. */
const MOST_WAIT_S = 86_400;

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The place of this process; undefined where no launcher of several processes started it. A size of 1 is
 * returned as it is. What is started inside a Slurm step by another launcher is that launcher's; a batch
 * script and a shell of `salloc` are no step, though Slurm's variables stand there. E_RANKS where variables
 * are half set, are no numbers that fit, or where two launchers say different things.
 */
export function rankEnvironment(environment: Environment): RankEnvironment | undefined {
  const launchers = Object.keys(INNER) as (keyof typeof INNER)[];
  const said = launchers.flatMap((launcher) => innerPlace(launcher, environment) ?? []);
  // A world of one process inside, or outside, another one says nothing.
  const several = said.filter(({ size }) => size > 1);
  const [first, ...others] = several.length > 0 ? several : said;
  if (first === undefined) return slurmPlace(environment) ?? refuseUnsized(environment);
  for (const other of others) refuseContradiction(first, other, environment);
  return first;
}

/** Names how many seconds processes wait for each other at their start. */
const RANKS_WAIT = "MTTC_RANKS_WAIT";
/** Names how many seconds a rank may keep the others waiting within a step. */
export const RANKS_STALL = "MTTC_RANKS_STALL";

/** How long a channel waits for all ranks, where the environment says that. E_RANKS for what is no time. */
export function startWaitMs(environment: Environment): { readonly acceptMs?: number } {
  const acceptMs = millisecondsOf(environment, RANKS_WAIT, "120 is usual");
  return acceptMs === undefined ? {} : { acceptMs };
}

/** How long ranks wait for one that does not go on, where the environment says that. E_RANKS. */
export function stallLimitMs(environment: Environment): { readonly giveUpMs?: number } {
  const giveUpMs = millisecondsOf(environment, RANKS_STALL, "600 is usual");
  return giveUpMs === undefined ? {} : { giveUpMs };
}

function millisecondsOf(environment: Environment, name: string, usual: string): number | undefined {
  const text = textOf(environment, [name]);
  if (text === undefined) return undefined;
  const seconds = Number(text);
  if (!(seconds > 0 && seconds <= MOST_WAIT_S))
    throw refusal(`${shown(environment, [name])}, expected seconds, up to ${MOST_WAIT_S}`, usual);
  return seconds * 1000;
}

function innerPlace(launcher: keyof typeof INNER, environment: Environment): RankEnvironment | undefined {
  const names = INNER[launcher];
  // A name so general alone means nothing.
  if (launcher === "torchrun" && !isSet(environment, [...names.size, ...names.localRank])) return undefined;
  if (!isSet(environment, [...names.rank, ...names.size])) return undefined;
  const place = placeOf(environment, names.rank, names.size);
  const local = localPlace(environment, names, place) ?? slurmLocal(environment, place);
  return { launcher, ...place, ...(local === undefined ? {} : { local }), ...slurmCores(environment, place) };
}

/** That of a step of `srun`; a step has variables of its own. */
function slurmPlace(environment: Environment): RankEnvironment | undefined {
  const { SLURM_STEP_ID: step, SLURM_PROCID: task } = environment;
  if (step === undefined || task === undefined) return undefined;
  const place = placeOf(environment, ["SLURM_PROCID"], ["SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"]);
  const local = slurmLocal(environment, place);
  const cores = slurmCores(environment, place);
  return { launcher: "slurm", ...place, ...(local === undefined ? {} : { local }), ...cores };
}

/** Among the tasks on this node, whose numbers SLURM_GTIDS lists ("4,5,6,7"), if this is one of them. */
function slurmLocal(environment: Environment, { rank, size }: Place): Place | undefined {
  const { SLURM_PROCID: task, SLURM_GTIDS: tasks } = environment;
  if (task === undefined || tasks === undefined || !isSlurmTask(environment, { rank, size }))
    return undefined;
  const numbers = tasks.split(",");
  const place = numbers.indexOf(task);
  return place === -1 ? undefined : { rank: place, size: numbers.length };
}

/** What `--cpus-per-task` gave each task, and what the step has of this node. */
function slurmCores(environment: Environment, place: Place): Pick<RankEnvironment, "cores" | "hostCores"> {
  if (!isSlurmTask(environment, place)) return {};
  const [cores, hostCores] = [environment.SLURM_CPUS_PER_TASK, environment.SLURM_CPUS_ON_NODE].map(Number);
  return {
    ...(cores !== undefined && cores >= 1 ? { cores: Math.floor(cores) } : {}),
    ...(hostCores !== undefined && hostCores >= 1 ? { hostCores: Math.floor(hostCores) } : {}),
  };
}

/** The variables in which a launcher says the rank. */
export function rankVariables(launcher: Launcher): readonly string[] {
  return launcher === "slurm" ? ["SLURM_PROCID"] : INNER[launcher].rank;
}

/** Inside a step, the tasks may be another launcher's proxies and not its processes. */
function isSlurmTask(environment: Environment, { rank, size }: Place): boolean {
  const { SLURM_STEP_ID: step, SLURM_PROCID: task, SLURM_STEP_NUM_TASKS: tasks } = environment;
  return step !== undefined && task === String(rank) && tasks === String(size);
}

/** A rank of PMIx alone, as of `prterun`: nothing says of how many. */
function refuseUnsized({ PMIX_RANK: rank }: Environment): undefined {
  if (rank === undefined) return undefined;
  const message = `PMIX_RANK is ${rank}, and no variable says how many processes there are`;
  throw refusal(message, "start them by mpiexec or srun");
}

function localPlace(environment: Environment, names: Variables, place: Place): Place | undefined {
  const { localRank, localSize } = names;
  if (!isSet(environment, localSize)) return undefined;
  const local = placeOf(environment, localRank, localSize);
  if (local.size > place.size) {
    const here = `${shown(environment, localRank)} and ${shown(environment, localSize)}`;
    throw refusal(`${here} do not fit rank ${place.rank} of ${place.size}`);
  }
  return local;
}

function placeOf(environment: Environment, ranks: readonly string[], sizes: readonly string[]): Place {
  const rank = numberOf(environment, ranks, sizes);
  const size = numberOf(environment, sizes, ranks);
  if (size < 1 || rank >= size)
    throw refusal(`${shown(environment, ranks)} and ${shown(environment, sizes)}: a rank is below the size`);
  return { rank, size };
}

/** A number that `names` give; `others` are those that should stand beside it. */
function numberOf(environment: Environment, names: readonly string[], others: readonly string[]): number {
  const text = textOf(environment, names);
  if (text === undefined) throw refusal(`${shown(environment, others)}, and ${names[0]} is not set`);
  if (!/^\d{1,9}$/.test(text)) throw refusal(`${shown(environment, names)}, expected a whole number`);
  return Number(text);
}

function refuseContradiction(one: RankEnvironment, other: RankEnvironment, environment: Environment): void {
  if (one.rank === other.rank && one.size === other.size) return;
  const texts = [one, other].map(({ launcher }) => {
    const { rank, size } = INNER[launcher as keyof typeof INNER];
    return `${shown(environment, rank)} and ${shown(environment, size)}`;
  });
  throw refusal(`two launchers say different things: ${texts.join(", but ")}`);
}

function isSet(environment: Environment, names: readonly string[]): boolean {
  return textOf(environment, names) !== undefined;
}

/** The first that is set; empty is not set. */
function textOf(environment: Environment, names: readonly string[]): string | undefined {
  return names.map((name) => environment[name]).find((value) => value !== undefined && value !== "");
}

/** "PMI_RANK is 3". */
function shown(environment: Environment, names: readonly string[]): string {
  const name = names.find((each) => isSet(environment, [each])) ?? names[0];
  return `${name} is ${textOf(environment, names) ?? "not set"}`;
}

function refusal(
  message: string,
  hint = "start mttc in a shell where these variables are not left over",
): MttcError {
  const fault: Fault = { code: "E_RANKS", message, hint };
  return new MttcError(fault);
}
