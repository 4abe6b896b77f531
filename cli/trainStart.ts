// How `mttc train` begins: in this process, in several that it starts, or as one of several that a launcher
// started, of which rank 0 reads the spec and trains, and the others follow it.
import { MttcError } from "../compiler/diagnostics.ts";
import type { RankEnvironment } from "../runtime/ranks/rankEnvironment.ts";
import type { Experiment } from "../runtime/train/experiment.ts";
import { AlreadySaid, INTERNAL_EXIT, INTERRUPTED_EXIT, reportError } from "./errorReport.ts";
import { endAtSignals, ignoreSignals, isLaunched, placeAmongSeveral, tellRank0Lost } from "./launchedRank.ts";
import { runtimeOptions } from "./runtimeOptions.ts";
import { loadSpecOrRun } from "./specFile.ts";
import type { Terminal } from "./terminal.ts";
import type { TrainFlags } from "./trainAction.ts";

/** Trains, or tries learning rates on, the spec or run that `file` names. */
export async function startTraining(file: string, flags: TrainFlags, terminal: Terminal): Promise<void> {
  const place = placeAmongSeveral();
  if (place && place.rank > 0) return await follow(flags);
  if (place) return await lead(file, flags, place, terminal);
  const experiment = await loadSpecOrRun(file);
  const { ranks = 1, findLr } = flags;
  if (ranks > 1) {
    if (findLr) throw findsAlone();
    const { launchRanks } = await import("./launchRanks.ts");
    const code = await launchRanks(ranks, terminal);
    if (code !== 0) throw new AlreadySaid(code);
    return;
  }
  if (findLr) {
    const { findRate } = await import("./findRateAction.ts");
    return await findRate(file, experiment, flags, terminal);
  }
  const { trainExperiment } = await import("./trainAction.ts");
  await trainExperiment(file, experiment, flags, terminal);
}

/** Rank 0: trains with all others. What it refuses is told to them, who wait for it in MPI. */
async function lead(
  file: string,
  flags: TrainFlags,
  place: RankEnvironment,
  terminal: Terminal,
): Promise<void> {
  const loaded = await loadForRanks(file, flags, place).catch((refusal: unknown) => ({ refusal }));
  const { Ranks } = await import("../runtime/train/ranks.ts");
  const { trainExperiment } = await import("./trainAction.ts");
  const stop = endAtSignals();
  const strategy = ("spec" in loaded ? loaded.spec.strategy : null) ?? "auto";
  const ranks = await Ranks.join({ ...runtimeOptions(flags), strategy }).catch((error: unknown) => {
    // Where they do not come together nobody is told, and the first reason is the better one.
    throw "refusal" in loaded ? loaded.refusal : error;
  });
  stop();
  try {
    if ("refusal" in loaded) throw loaded.refusal;
    await trainExperiment(file, loaded, flags, terminal, ranks);
  } catch (error) {
    // An mpiexec may kill all that are left once one has failed: what is to be said is said before.
    const code = reportError(error, terminal);
    await ranks.close({ kind: "failed", error });
    throw new AlreadySaid(code);
  }
}

/** Every other rank: follows rank 0, ends as it ends, and leaves it to rank 0 to say why. */
async function follow(flags: TrainFlags): Promise<void> {
  const { Ranks } = await import("../runtime/train/ranks.ts");
  const ranks = await Ranks.join(runtimeOptions(flags));
  ignoreSignals();
  const end = await ranks.follow().catch((error: unknown) => {
    tellRank0Lost();
    throw error;
  });
  if (end.kind === "interrupted") throw new AlreadySaid(INTERRUPTED_EXIT);
  if (end.kind === "done") return;
  throw new AlreadySaid(end.error instanceof MttcError ? end.error.exitCode : INTERNAL_EXIT);
}

/** The experiment; E_USAGE and E_CONFIG of what several processes cannot do. */
async function loadForRanks(file: string, flags: TrainFlags, place: RankEnvironment): Promise<Experiment> {
  const { ranks, findLr } = flags;
  if (findLr) throw findsAlone();
  if (ranks !== undefined && !isLaunched())
    throw new MttcError({
      code: "E_USAGE",
      message: `--ranks starts processes, and ${place.size} are started already`,
      hint: "leave out --ranks, or mpiexec",
    });
  const experiment = await loadSpecOrRun(file);
  if (experiment.spec.strategy === null && !isLaunched())
    throw new MttcError({
      code: "E_CONFIG",
      message: `null is for one process, and ${place.size} were started`,
      at: { file, path: "strategy" },
      hint: "add a line `strategy: auto`",
    });
  return experiment;
}

function findsAlone(): MttcError {
  const message = "--find-lr tries learning rates in one process";
  return new MttcError({
    code: "E_USAGE",
    message,
    hint: "what it proposes is right for any number of ranks",
  });
}
