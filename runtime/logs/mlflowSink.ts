// MLflow, by its REST API: params, metrics in batches, the notes as the run's description, pictures and the
// spec as artifacts. The run's id is kept in the sink's memory, so that a resume goes on in the same run.
// Figures of epochs have the epoch as their step; those by step are `step/...`, at steps since the run began.
import { copyFile, mkdir, readFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { MttcError } from "../../compiler/diagnostics.ts";
import { isTrackingUri, type SinkSettings } from "../../compiler/spec/logKeys.ts";
import { fileError } from "../files/fileSystem.ts";
import { MlflowClient, MlflowRefusal, plainAddress } from "./mlflowClient.ts";
import { batches, MAX_METRICS, MAX_PARAMS, MlflowKeys, paramValue, tagValue } from "./mlflowNames.ts";
import { EMBEDDING_FILES } from "./projector.ts";
import type { LogRecord, Outcome, Sink, SinkContext, SinkKind, StartPlace } from "./sink.ts";

type Settings = SinkSettings<"mlflow">;
type Context = SinkContext<Settings>;

const DEFAULT_EXPERIMENT = "Default";
/** MLflow's words for how a run ended. */
const STATUS = { finished: "FINISHED", interrupted: "KILLED", failed: "FAILED" } as const;
/** Files of the run that are its artifacts, where they are there. */
const RUN_ARTIFACTS = ["spec.yml", "config.yml", "report.html"] as const;

const experimentSchema = z.object({ experiment: z.object({ experiment_id: z.string() }) });
const createdSchema = z.object({ experiment_id: z.string() });
const runSchema = z.object({
  run: z.object({
    info: z.object({ run_id: z.string(), artifact_uri: z.string(), lifecycle_stage: z.string().optional() }),
    data: z
      .object({ params: z.array(z.object({ key: z.string(), value: z.string() })).optional() })
      .optional(),
  }),
});
type MlflowRun = z.output<typeof runSchema>["run"];

const memorySchema = z.object({
  /** The server and experiment that the run is in: of another one it would be another run. */
  tracking_uri: z.string(),
  experiment: z.string(),
  run_id: z.string(),
  /** The last step of the run whose figures are there. */
  step: z.number().default(0),
});

interface Metric {
  readonly key: string;
  readonly value: number;
  readonly timestamp: number;
  readonly step: number;
}

/** The sink. */
export const mlflowSink: SinkKind<Settings> = {
  title: "MLflow",
  fault: (settings, environment) => {
    const uri = addressOf(settings, environment);
    if (uri === undefined)
      return "mlflow needs the address of a server: a tracking_uri, or MLFLOW_TRACKING_URI in the environment";
    const isAddress = URL.canParse(uri) && isTrackingUri(plainAddress(uri));
    return isAddress ? undefined : "MLFLOW_TRACKING_URI is not the address of a server (http:// or https://)";
  },
  place: ({ settings, environment }) => plainAddress(addressOf(settings, environment) ?? "http://unknown"),
  create: (context) => new MlflowSink(context),
};

function addressOf(settings: Settings, environment: Context["environment"]): string | undefined {
  return settings.tracking_uri ?? (environment.MLFLOW_TRACKING_URI || undefined);
}

class MlflowSink implements Sink {
  readonly #context: Context;
  readonly #client: MlflowClient;
  readonly #experiment: string;
  readonly #keys = new MlflowKeys();
  #run: MlflowRun | undefined;
  #hasToldArtifacts = false;

  constructor(context: Context) {
    const { settings, environment, signal } = context;
    this.#context = context;
    this.#client = new MlflowClient(addressOf(settings, environment) ?? "", environment, signal);
    this.#experiment = settings.experiment_name ?? (environment.MLFLOW_EXPERIMENT_NAME || DEFAULT_EXPERIMENT);
  }

  async open(from: StartPlace): Promise<boolean> {
    const before = await this.#formerRun();
    this.#run = before ?? (await this.#createRun());
    const run_id = this.#run.info.run_id;
    if (before) await this.#client.post("runs/update", { run_id, status: "RUNNING" });
    const changed = await this.#logParams(this.#run);
    const { memory } = this.#context;
    // A resume computes the same numbers again, and MLflow would keep both; with other settings they differ.
    const sent = Number(memory.step ?? 0);
    memory.step = changed ? Math.min(sent, from.steps) : sent;
    for (const file of RUN_ARTIFACTS) await this.#putArtifact(file, "", true);
    return before === undefined;
  }

  async write(records: readonly LogRecord[]): Promise<void> {
    const { memory } = this.#context;
    const sent = Number(memory.step ?? 0);
    const metrics = records.flatMap((record) => (isNew(record, sent) ? this.#metricsOf(record) : []));
    for (const batch of batches(metrics, MAX_METRICS)) await this.#log({ metrics: batch });
    for (const record of records) {
      if (record.kind === "picture") await this.#putArtifact(record.file, "pictures");
      if (record.kind === "embedding") await this.#putEmbedding(record.folder);
    }
    const last = records.findLast(({ kind }) => kind === "step");
    memory.step = Math.max(sent, last?.at ?? 0);
  }

  async close(outcome: Outcome): Promise<void> {
    const { run_id } = this.#opened().info;
    await this.#client.post("runs/update", { run_id, status: STATUS[outcome], end_time: Date.now() });
  }

  /** The run that earlier processes logged to; undefined where there is none, or none any more. */
  async #formerRun(): Promise<MlflowRun | undefined> {
    const former = memorySchema.safeParse(this.#context.memory).data;
    if (former?.tracking_uri !== this.#client.address || former.experiment !== this.#experiment)
      return undefined;
    try {
      const { run } = runSchema.parse(await this.#client.get("runs/get", { run_id: former.run_id }));
      if (run.info.lifecycle_stage !== "deleted") return run;
    } catch (error) {
      if (!(error instanceof MlflowRefusal) || error.errorCode !== "RESOURCE_DOES_NOT_EXIST") throw error;
    }
    this.#context.tell(`the run ${former.run_id} is not there any more: another is begun, with all figures`);
    return undefined;
  }

  async #createRun(): Promise<MlflowRun> {
    const { facts, settings, memory } = this.#context;
    const name = settings.run_name ?? facts.name;
    const tags = Object.entries({
      "mlflow.runName": name,
      "mlflow.user": userName(),
      "mlflow.source.type": "LOCAL",
      "mlflow.source.name": "mttc train",
      "mttc.run": facts.directory,
      ...(facts.spec.notes === null ? {} : { "mlflow.note.content": facts.spec.notes }),
    }).map(([key, value]) => ({ key, value: tagValue(value) }));
    const experiment_id = await this.#experimentId();
    const asked = { experiment_id, run_name: name, start_time: Math.round(facts.startedAt), tags };
    const { run } = runSchema.parse(await this.#client.post("runs/create", asked));
    for (const key of Object.keys(memory)) delete memory[key];
    const { address } = this.#client;
    Object.assign(memory, { tracking_uri: address, experiment: this.#experiment, run_id: run.info.run_id });
    return run;
  }

  /** The experiment of that name, made where there is none. */
  async #experimentId(): Promise<string> {
    const experiment_name = this.#experiment;
    const find = async (): Promise<string> =>
      experimentSchema.parse(await this.#client.get("experiments/get-by-name", { experiment_name }))
        .experiment.experiment_id;
    try {
      return await find();
    } catch (error) {
      if (!(error instanceof MlflowRefusal) || error.errorCode !== "RESOURCE_DOES_NOT_EXIST") throw error;
    }
    try {
      const made = await this.#client.post("experiments/create", { name: experiment_name });
      return createdSchema.parse(made).experiment_id;
    } catch (error) {
      // Another run was faster.
      if (error instanceof MlflowRefusal && error.errorCode === "RESOURCE_ALREADY_EXISTS")
        return await find();
      throw error;
    }
  }

  /**
   * Logs the params that the run has not yet. MLflow never changes one: what a resume changed becomes a tag,
   * and the answer is whether there was any.
   */
  async #logParams({ data }: MlflowRun): Promise<boolean> {
    const known = new Map((data?.params ?? []).map(({ key, value }) => [key, value]));
    const all = Object.entries(this.#context.facts.hyperparameters).map(([name, value]) => ({
      key: this.#keys.of(name),
      value: paramValue(value),
    }));
    for (const batch of batches(
      all.filter(({ key }) => !known.has(key)),
      MAX_PARAMS,
    ))
      await this.#log({ params: batch });
    const changed = all.filter(({ key, value }) => known.has(key) && known.get(key) !== value);
    const tags = changed.map(({ key, value }) => ({ key: `mttc.changed.${key}`, value }));
    for (const batch of batches(tags, MAX_PARAMS)) await this.#log({ tags: batch });
    return changed.some(({ key }) => key !== "epochs");
  }

  async #log(content: object): Promise<void> {
    await this.#client.post("runs/log-batch", { run_id: this.#opened().info.run_id, ...content });
  }

  #metricsOf(record: LogRecord): Metric[] {
    if (record.kind !== "step" && record.kind !== "epoch") return [];
    const [start, step] = record.kind === "step" ? ["step/", record.at] : ["", record.epoch];
    const timestamp = Math.round(record.time);
    return Object.entries(record.scalars).map(([name, value]) => {
      return { key: this.#keys.of(`${start}${name}`), value, timestamp, step };
    });
  }

  async #putEmbedding(folder: string): Promise<void> {
    for (const file of Object.values(EMBEDDING_FILES))
      await this.#putArtifact(`${folder}/${file}`, folder, true);
  }

  /** Brings a file of the run's folder to the run's artifacts, into `folder` of these. */
  async #putArtifact(file: string, folder: string, mayLack = false): Promise<void> {
    const source = join(this.#context.facts.directory, file);
    const target = `${folder === "" ? "" : `${folder}/`}${basename(file)}`;
    const { artifact_uri: uri } = this.#opened().info;
    const root = artifactRoot(uri, this.#client.address);
    if (!root) return this.#tellArtifacts(uri);
    let bytes: Uint8Array;
    try {
      bytes = await readFile(source);
    } catch (error) {
      if (mayLack && error instanceof Error && "code" in error && error.code === "ENOENT") return;
      throw fileError(error, source, "read");
    }
    if (root.kind === "server") return await this.#client.putArtifact(`${root.path}${target}`, bytes);
    const place = join(root.folder, target);
    try {
      await mkdir(dirname(place), { recursive: true });
      await copyFile(source, place);
    } catch (error) {
      throw fileError(error, place, "write");
    }
  }

  #tellArtifacts(uri: string): void {
    if (this.#hasToldArtifacts) return;
    this.#hasToldArtifacts = true;
    const scheme = /^([a-z0-9+-]+):/i.exec(uri)?.[1] ?? "the server's own files";
    this.#context.tell(
      `artifacts lie in ${scheme}, which mttc does not write to: pictures and the spec stay in the run's ` +
        "folder (a server that is started with --serve-artifacts takes them)",
    );
  }

  #opened(): MlflowRun {
    if (this.#run) return this.#run;
    throw new MttcError({
      code: "E_SINK",
      message: "the run is not open",
      at: { file: this.#client.address },
    });
  }
}

/** A figure by step that has been sent is not sent again. */
function isNew(record: LogRecord, sent: number): boolean {
  return record.kind !== "step" || record.at > sent;
}

/** Where artifacts of a run go: through the server, or into a folder where the server is on this machine. */
function artifactRoot(
  uri: string,
  address: string,
): { kind: "server"; path: string } | { kind: "folder"; folder: string } | undefined {
  if (uri.startsWith("mlflow-artifacts:")) {
    const path = uri.replace(/^mlflow-artifacts:(\/\/[^/]*)?\/*/, "").replace(/\/*$/, "");
    return { kind: "server", path: path === "" ? "" : `${path}/` };
  }
  const isHere = ["localhost", "127.0.0.1", "[::1]"].includes(new URL(address).hostname);
  if (isHere && uri.startsWith("file://")) return { kind: "folder", folder: fileURLToPath(uri) };
  return isHere && uri.startsWith("/") ? { kind: "folder", folder: uri } : undefined;
}

/** Who trains, as MLflow shows it. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    // A container's user without an entry.
    return "unknown";
  }
}
