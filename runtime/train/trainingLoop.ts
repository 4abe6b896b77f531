// The epochs of a run: each is trained, evaluated, reported and saved; from what lies on the disk it goes on
// to the same bits. Whoever trains a session holds one loop for as long as it does.
import { basename, join } from "node:path";
import type { StoredTensor } from "../../compiler/codec/safetensors.ts";
import { MttcError } from "../../compiler/diagnostics.ts";
import type { EvaluationReport } from "../infer/evaluationReport.ts";
import { evaluateRows } from "../infer/scoring.ts";
import { meansOf } from "../logs/gradientFigures.ts";
import { appendLog, reconcileLog } from "../logs/runLog.ts";
import type { EpochProbes } from "../probes/epochProbes.ts";
import { loadNewestCheckpoint } from "../runs/checkpoints.ts";
import { refuseDivergedCheckpoint } from "../runs/finiteTensors.ts";
import { type Adoption, judgedEpoch, unseenEpoch } from "./adoption.ts";
import { BestKeeper } from "./bestKeeper.ts";
import { CheckpointSaver } from "./checkpointSaver.ts";
import { refuseEvaluation, refuseState } from "./divergence.ts";
import { decayScalars, speedScalars } from "./epochFigures.ts";
import { type EpochState, FRESH_EPOCH, stepsPerEpoch, trainEpoch } from "./epochLoop.ts";
import { epochReport } from "./epochReport.ts";
import type { EpochReport, EventHub } from "./events.ts";
import type { Judge } from "./judgement.ts";
import { logLines, withLogs } from "./loggedTraining.ts";
import { stallText, withSaved } from "./lostRank.ts";
import { nothingLeft, outOfPatience, stoppedText } from "./patience.ts";
import { type Progress, readCheckpointState, storedState, storedTensors } from "./progress.ts";
import { dropOldDetails, storedHistory } from "./runHistory.ts";
import { judgeOfRun } from "./runJudge.ts";
import { RunSchedule, type ScheduledRun } from "./runSchedule.ts";
import { learnedWeights } from "./stepWeights.ts";
import { nothingTrained } from "./trainerCalls.ts";
import type { TrainingSession } from "./trainingSession.ts";
import { untilLost } from "./untilLost.ts";
import { WeightWatch } from "./weightWatch.ts";

/** How far a loop is run. */
export interface LoopOptions {
  readonly epochs: number;
  readonly plannedEpochs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Looks at the features after an epoch. */
  readonly probes?: EpochProbes | undefined;
}

/** An epoch that is trained and looked at. */
interface JudgedEpoch {
  readonly epoch: number;
  readonly state: EpochState;
  readonly tensors: readonly StoredTensor[];
  readonly evaluation: EvaluationReport | undefined;
  /** What probes found. */
  readonly probed: Readonly<Record<string, number>> | undefined;
}

export class TrainingLoop {
  readonly #events: EventHub;
  readonly #history: EpochReport[] = [];
  /** Reports of the epochs that are finished, those before a resume included. */
  readonly history: readonly EpochReport[] = this.#history;
  #epochState: EpochState = FRESH_EPOCH;
  /** Of the epoch that is under way, where several processes train: how far it has come. */
  #reached: (() => EpochState) | undefined;
  readonly #schedule = new RunSchedule();
  #weights: WeightWatch | undefined;
  readonly #saver = new CheckpointSaver();
  /** What epochs are compared by, and which checkpoint is the best. */
  #judge: Judge | undefined;
  #compared: TrainingSession | undefined;
  #best = new BestKeeper(undefined);

  constructor(events: EventHub) {
    this.#events = events;
  }

  /** Takes the reports of a run over, in place of those that it has. */
  takeHistory(reports: readonly EpochReport[]): void {
    this.#history.splice(0, this.#history.length, ...reports);
  }

  /**
   * Trains until `epochs` epochs are finished in all, or patience is at its end; errors as the trainer's
   * `fit`. A schedule over the whole run spans `plannedEpochs`.
   */
  async run(
    session: TrainingSession,
    { epochs, plannedEpochs = epochs, signal, probes }: LoopOptions,
  ): Promise<void> {
    for (const note of this.#schedule.plan(scheduled(session), plannedEpochs)) this.#log(note);
    const unheard = session.leader?.onStall((stall) => {
      const { step } = this.#reached?.() ?? this.#epochState;
      const text = stallText(stall, { epoch: this.#history.length + 1, step: step + 1 });
      if (text !== undefined) this.#log(text);
    });
    using _ = { [Symbol.dispose]: () => unheard?.() };
    const work = () =>
      this.#saver.during(this.#log, async () => {
        let stops: string | undefined;
        while (stops === undefined && this.#history.length < epochs) {
          await this.#epoch(session, signal, probes);
          stops = this.#outOfPatience(session);
          if (stops !== undefined) this.#log(stoppedText(stops, this.#history.length));
        }
      });
    const { directory, tasks, experiment } = session;
    const { spec } = experiment;
    if (spec.logdir === null) return await work();
    const weights = new Map(session.manifest.tasks.map(({ name, weight }) => [name, weight]));
    const run = { directory, spec, tasks, weights, history: this.#history, begun: this.#epochState };
    await withLogs(run, this.#events, work);
  }

  /**
   * Finds what the session's epochs are compared by; of a run that is gone on with, its best checkpoint. Once
   * for a session.
   */
  async compare(session: TrainingSession): Promise<void> {
    if (this.#compared === session) return;
    this.#compared = session;
    const { spec } = session.experiment;
    this.#judge = judgeOfRun(spec, session.labels.val, session.tasks);
    this.#best = new BestKeeper(spec.keep === "best" ? this.#judge : undefined);
    if (spec.logdir === null || this.#history.length === 0) return;
    const lost = await this.#best.takeUp(session.directory, this.#history);
    if (lost !== undefined) this.#log(lost);
  }

  /** Whether nothing is left to train, which it says: to whoever listens, else as a process's warning. */
  hasEnded(session: TrainingSession, epochs: number): boolean {
    const done = this.#history.length;
    const reason = done < epochs ? this.#outOfPatience(session) : undefined;
    if (done < epochs && reason === undefined) return false;
    const message = reason === undefined ? nothingTrained(done, epochs) : nothingLeft(reason, done);
    if (!this.#log(message)) process.emitWarning(message);
    return true;
  }

  /** Why training ends here; undefined where it goes on, or stands in the middle of an epoch. */
  #outOfPatience({ experiment, changedAt }: TrainingSession): string | undefined {
    const [judge, history] = [this.#judge, this.#history];
    if (!judge || this.#epochState.step > 0) return undefined;
    return outOfPatience({ history, judge, patience: experiment.spec.patience, since: changedAt });
  }

  /** Brings log.jsonl in line with the history, before more is appended to it. */
  async mendLog(session: TrainingSession): Promise<void> {
    if (session.experiment.spec.logdir === null) return;
    if (await reconcileLog(session.directory, logLines(this.#history, session.tasks)))
      this.#log("log.jsonl is again what the checkpoint says: it was cut or lacked lines");
  }

  /** Sets the session's state, and where the loop stands, to the newest checkpoint. E_CKPT_*. */
  async resume(session: TrainingSession): Promise<void> {
    const checkpoint = await loadNewestCheckpoint(session.directory);
    for (const message of checkpoint.warnings) this.#log(message);
    refuseDivergedCheckpoint(checkpoint);
    const { tensors, progress } = readCheckpointState(session.manifest, checkpoint);
    await session.device.writeState(tensors);
    this.takeHistory(progress.history);
    this.#epochState = progress.epochState;
    this.#schedule.resume(progress.plannedSteps);
    this.#saver.last = checkpoint.path;
    const { step } = progress.epochState;
    const begun = step > 0 ? `, ${step} steps of the next` : "";
    const message = `resumed from ${join(checkpoint.path)}: epochs trained: ${progress.history.length}${begun}`;
    this.#log(message);
  }

  /**
   * Sets the session's state, and where the loop stands, to what another program trained, and saves that as
   * the run's first checkpoint; where it ends an epoch, validated. E_INTERRUPTED.
   */
  async adopt(session: TrainingSession, adoption: Adoption, signal?: AbortSignal): Promise<string> {
    const { manifest, tasks, labels } = session;
    const { epochs, steps } = adoption.progress;
    await this.compare(session);
    await session.device.writeState(adoption.tensorsOf(manifest));
    const unseen = Array.from({ length: epochs }, (_, i) =>
      unseenEpoch(i + 1, stepsPerEpoch(session), tasks),
    );
    const end = steps === 0 ? unseen.pop() : undefined;
    const evaluation = end && labels.val && (await evaluateRows(session, labels.val, signal));
    if (signal?.aborted)
      throw new MttcError({ code: "E_INTERRUPTED", message: "interrupted: nothing is saved" });
    const report = end && judgedEpoch(end, evaluation, tasks);
    this.takeHistory([...unseen, ...(report ? [report] : [])]);
    this.#epochState = { ...FRESH_EPOCH, step: steps };
    this.#schedule.plan(scheduled(session), session.experiment.spec.epochs);
    const path = await this.#save(session, await storedState(session), report);
    await this.#saver.settled();
    await reconcileLog(session.directory, logLines(this.#history, tasks));
    return path ?? session.directory;
  }

  /** Says something to whoever listens; returns whether anybody does. */
  readonly #log = (message: string): boolean => this.#events.emit("log", { message });

  async #epoch(
    session: TrainingSession,
    signal: AbortSignal | undefined,
    probes: EpochProbes | undefined,
  ): Promise<void> {
    const epoch = this.#history.length + 1;
    const { last, failed } = this.#saver;
    if (session.leftOut !== undefined) this.#log(`epoch ${epoch}: ${session.leftOut}`);
    const { logdir, log_every: logEvery } = session.experiment.spec;
    const isLogged = logdir !== null;
    this.#reached = undefined;
    /** Whatever it is at, a rank that is lost ends it, and what is trained is saved. */
    const orLost = <T>(work: (stop: AbortSignal | undefined) => Promise<T>, stop = signal): Promise<T> =>
      untilLost(session.failed, stop, work).catch((error: unknown) =>
        this.#endByLoss(session, error, this.#reached?.()),
      );
    const train = (stop: AbortSignal | undefined): Promise<EpochState> =>
      trainEpoch(session, {
        epoch,
        start: this.#epochState,
        history: this.#history,
        plannedSteps: this.#schedule.plannedSteps,
        signal: stop,
        onStep: (event) => this.#events.emit("step", event),
        weights: this.#watchWeights(session),
        figures: isLogged ? learnedWeights(session.manifest, logEvery) : undefined,
        logEvery,
        last,
        onReached: (now) => {
          this.#reached = now;
        },
      });
    const state = await orLost(train, signal ? AbortSignal.any([signal, failed]) : failed);
    this.#epochState = state;
    session.leader?.rest();
    await this.#saver.settled();
    const tensors = await orLost(() => storedState(session));
    refuseState(tensors, epoch, last);
    await orLost(async () => session.leader?.compareState(tensors));
    if (signal?.aborted) await this.#interrupt(session, tensors);
    const { val } = session.labels;
    const evaluation = val && (await orLost((stop) => evaluateRows(session, val, stop)));
    if (signal?.aborted) await this.#interrupt(session, tensors);
    if (evaluation) refuseEvaluation(evaluation, epoch, last);
    const probed = probes && (await orLost((stop) => probes.after(epoch, stop)));
    if (signal?.aborted) await this.#interrupt(session, tensors);
    await this.#finishEpoch(session, { epoch, state, tensors, evaluation, probed });
  }

  /** Reports an epoch, and begins to save it. */
  async #finishEpoch(
    session: TrainingSession,
    { epoch, state, tensors, evaluation, probed }: JudgedEpoch,
  ): Promise<void> {
    const { spec } = session.experiment;
    const scalars = {
      lr: this.#schedule.rateOfEpoch(scheduled(session), epoch),
      ...speedScalars(state, spec.batch_size),
      ...decayScalars(spec, session.manifest, tensors),
      ...meansOf(state.gradients ?? {}),
      ...probed,
    };
    const report = await epochReport(session, { epoch, state, evaluation, scalars, spec });
    this.#history.push(report);
    dropOldDetails(this.#history, session.tasks, session.experiment.spec.monitor);
    this.#epochState = FRESH_EPOCH;
    await this.#save(session, tensors, report, async () => {
      if (session.experiment.spec.logdir !== null)
        for (const line of logLines([report], session.tasks)) await appendLog(session.directory, line);
      this.#events.emit("epoch", report);
    });
  }

  /** Saves where training stands and rejects: nothing is lost. */
  async #interrupt(session: TrainingSession, tensors: readonly StoredTensor[]): Promise<never> {
    const path = await this.#save(session, tensors, undefined);
    await this.#saver.settled();
    const [epoch, { step }] = [this.#history.length + 1, this.#epochState];
    const where = `interrupted in epoch ${epoch} after step ${step} of ${stepsPerEpoch(session)}`;
    throw new MttcError({
      code: "E_INTERRUPTED",
      message:
        path === undefined ? `${where}; nothing is saved without a logdir` : `${where}; saved in ${path}`,
      hint: path === undefined ? "" : "go on with: mttc train SPEC --resume",
    });
  }

  /**
   * Where another rank is lost, saves the last step that is finished, of which this rank has all; rejects
   * with the error in any case, which says what is saved.
   */
  async #endByLoss(
    session: TrainingSession,
    error: unknown,
    reached: EpochState | undefined,
  ): Promise<never> {
    const lost = await session.lostRank(error);
    if (lost === undefined) throw error;
    const epoch = this.#history.length + 1;
    let path: string | undefined;
    await session.beforeTheEnd(async () => {
      await this.#saver.settled();
      const isThere = await session.leader?.hasAnswer(session.host);
      if (!isThere || !reached) return;
      const tensors = storedTensors(await session.device.readLastStep());
      refuseState(tensors, epoch, this.#saver.last);
      this.#epochState = reached;
      path = await this.#save(session, tensors, undefined);
      await this.#saver.settled();
    });
    if (path !== undefined) throw withSaved(lost, path, `epoch ${epoch}, step ${reached?.step}`);
    const { last } = this.#saver;
    throw last === undefined ? lost : withSaved(lost, last);
  }

  /** The watch of the session's learned weights, the same in every epoch. */
  #watchWeights(session: TrainingSession): WeightWatch {
    this.#weights ??= new WeightWatch(
      session.manifest.tasks.flatMap(({ name, weight }) => (weight === "adaptive" ? [name] : [])),
      session.experiment.spec.lr,
      this.#log,
      session.experiment.spec.max_task_weight,
    );
    return this.#weights;
  }

  /**
   * Begins to save where training stands, at the end of the epoch of `report` or in the middle of one;
   * `saved` follows when that is done, or when nothing is saved.
   */
  async #save(
    session: TrainingSession,
    tensors: readonly StoredTensor[],
    report: EpochReport | undefined,
    saved: () => Promise<void> = async () => undefined,
  ): Promise<string | undefined> {
    if (session.experiment.spec.logdir === null) {
      await saved();
      return undefined;
    }
    const progress: Progress = {
      epochState: this.#epochState,
      history: this.#history,
      fingerprint: session.fingerprint,
      plannedSteps: this.#schedule.plannedSteps,
    };
    const content = {
      epoch: this.#history.length,
      tensors,
      progress: { ...progress, history: storedHistory(this.#history, session.tasks) },
      ...{ isPartial: report === undefined, best: this.#best.markOf(report) },
    };
    const stands = async (path: string): Promise<void> => {
      this.#best.stands(basename(path));
      this.#events.emit("checkpoint", { path });
      await saved();
    };
    return await this.#saver.begin(session.directory, content, stands, (work) => session.beforeTheEnd(work));
  }
}

/** What of a session decides its rates. */
function scheduled(session: TrainingSession): ScheduledRun {
  return { spec: session.experiment.spec, stepsPerEpoch: stepsPerEpoch(session) };
}
