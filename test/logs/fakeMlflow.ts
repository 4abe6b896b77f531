// An MLflow server of a few lines, for failures that the real one does not make when asked: it keeps what is
// logged in memory, holds requests to MLflow's own limits, and can be told to refuse, to hang or to be gone.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

interface KeptRun {
  readonly id: string;
  readonly experiment: string;
  status: string;
  readonly params: Map<string, string>;
  readonly tags: Map<string, string>;
  readonly metrics: { key: string; value: number; step: number; timestamp: number }[];
}

interface Entry {
  key: string;
  value: string;
}

interface Body {
  name?: string;
  experiment_id?: string;
  run_id?: string;
  status?: string;
  params?: Entry[];
  tags?: Entry[];
  metrics?: KeptRun["metrics"];
}

/** What it does with requests: answers, refuses with a status, or never answers. */
export type Mood = "well" | "hangs" | number;

/** Status and content of an answer. */
type Reply = readonly [status: number, content: object];

const VALID_KEY = /^[/\w.\- \p{L}\p{N}]{1,250}$/u;

export class FakeMlflow implements AsyncDisposable {
  readonly runs: KeptRun[] = [];
  readonly experiments = new Map<string, string>([["Default", "0"]]);
  readonly artifacts = new Map<string, Buffer>();
  readonly authorizations: (string | undefined)[] = [];
  /** Paths of requests, in order. */
  readonly requests: string[] = [];
  mood: Mood = "well";
  #server: Server | undefined;
  #port = 0;

  static async start(): Promise<FakeMlflow> {
    const fake = new FakeMlflow();
    await fake.listen();
    return fake;
  }

  get uri(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Listens, again at the same port. */
  async listen(): Promise<void> {
    const server = createServer((request, response) => void this.#answer(request, response));
    await new Promise<void>((resolve) => server.listen(this.#port, "127.0.0.1", resolve));
    this.#server = server;
    this.#port = (server.address() as AddressInfo).port;
  }

  /** Nobody listens any more. */
  async leave(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    server?.closeAllConnections();
    if (server) await new Promise((resolve) => server.close(resolve));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.leave();
  }

  /** Values of a metric in the order of their steps. */
  history(run: KeptRun | undefined, key: string): [step: number, value: number][] {
    const found = (run?.metrics ?? []).filter((metric) => metric.key === key);
    return found.map(({ step, value }): [number, number] => [step, value]).sort((a, b) => a[0] - b[0]);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", this.uri);
    this.requests.push(`${request.method} ${url.pathname}`);
    this.authorizations.push(request.headers.authorization);
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const bytes = Buffer.concat(chunks);
    if (this.mood === "hangs") return;
    const [status, content] = this.#reply(url, bytes);
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(content));
  }

  #reply(url: URL, bytes: Buffer): Reply {
    if (typeof this.mood === "number") return refusal(this.mood, "TEMPORARILY_UNAVAILABLE", "out of order");
    const artifact = /^\/api\/2\.0\/mlflow-artifacts\/artifacts\/(.*)$/.exec(url.pathname)?.[1];
    if (artifact !== undefined) {
      this.artifacts.set(decodeURIComponent(artifact), bytes);
      return [200, {}];
    }
    if (bytes.length > 1_000_000) return refusal(400, "INVALID_PARAMETER_VALUE", "too large");
    const body = (bytes.length > 0 ? JSON.parse(bytes.toString("utf8")) : {}) as Body;
    return this.#method(url.pathname.replace("/api/2.0/mlflow/", ""), url.searchParams, body);
  }

  #method(method: string, query: URLSearchParams, body: Body): Reply {
    const missing = (what: string): Reply => refusal(404, "RESOURCE_DOES_NOT_EXIST", `no ${what}`);
    const run = this.runs.find(({ id }) => id === (body.run_id ?? query.get("run_id")));
    switch (method) {
      case "experiments/get-by-name": {
        const id = this.experiments.get(query.get("experiment_name") ?? "");
        return id === undefined ? missing("experiment") : [200, { experiment: { experiment_id: id } }];
      }
      case "experiments/create": {
        const id = String(this.experiments.size);
        this.experiments.set(body.name ?? "", id);
        return [200, { experiment_id: id }];
      }
      case "runs/create": {
        const created: KeptRun = {
          id: `run${this.runs.length}`,
          experiment: body.experiment_id ?? "",
          status: "RUNNING",
          params: new Map(),
          tags: new Map(body.tags?.map(({ key, value }) => [key, value])),
          metrics: [],
        };
        this.runs.push(created);
        return [200, { run: shown(created) }];
      }
      case "runs/get":
        return run ? [200, { run: shown(run) }] : missing("run");
      case "runs/update":
        if (!run) return missing("run");
        run.status = body.status ?? run.status;
        return [200, {}];
      case "runs/log-batch":
        return run ? logBatch(run, body) : missing("run");
      default:
        return missing(`method ${method}`);
    }
  }
}

/** The run as the API shows it. */
function shown(run: KeptRun): object {
  const artifact_uri = `mlflow-artifacts:/${run.experiment}/${run.id}/artifacts`;
  const params = [...run.params].map(([key, value]) => ({ key, value }));
  return { info: { run_id: run.id, artifact_uri, lifecycle_stage: "active" }, data: { params } };
}

/** Holds to the limits of MLflow's validation.py. */
function logBatch(run: KeptRun, { params = [], tags = [], metrics = [] }: Body): Reply {
  const bad = (message: string): Reply => refusal(400, "INVALID_PARAMETER_VALUE", message);
  if (metrics.length > 1000 || params.length > 100 || tags.length > 100) return bad("too many");
  const invalid = [...params, ...tags, ...metrics].find(({ key }) => !VALID_KEY.test(key));
  if (invalid) return bad(`invalid name ${invalid.key}`);
  if (metrics.some(({ value }) => typeof value !== "number" || !Number.isFinite(value)))
    return bad("no number");
  for (const { key, value } of params) {
    if (value.length > 500) return bad("too long");
    if ((run.params.get(key) ?? value) !== value) return bad("changing param values is not allowed");
    run.params.set(key, value);
  }
  for (const { key, value } of tags) run.tags.set(key, value);
  run.metrics.push(...metrics);
  return [200, {}];
}

function refusal(status: number, error_code: string, message: string): Reply {
  return [status, { error_code, message }];
}
