// Calls of an MLflow server's REST API (2.0). Every call ends: by an answer, a refusal or its timeout. User,
// password and token come from the environment, as MLflow's own client takes them, and are in no message.
import { z } from "zod";
import { MttcError } from "../../compiler/diagnostics.ts";

/** A call that takes longer has failed; MLflow's own client waits two minutes, and training would not. */
const CALL_MS = 15_000;
const MAX_SHOWN = 300;

/** What a server said that it refuses, with its status and MLflow's code for it. */
export class MlflowRefusal extends MttcError {
  readonly status: number;
  readonly errorCode: string | undefined;

  constructor(address: string, status: number, errorCode: string | undefined, message: string) {
    const hint =
      status === 401 || status === 403
        ? { hint: "set MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD" }
        : {};
    super({
      code: "E_SINK",
      message: `the server answers ${status}: ${message}`,
      at: { file: address },
      ...hint,
    });
    this.status = status;
    this.errorCode = errorCode;
  }
}

const refusalSchema = z.object({ error_code: z.string().optional(), message: z.string().optional() });

type Environment = Readonly<Record<string, string | undefined>>;

/** The server's address, without a slash at its end, and without what it held of user and password. */
export function plainAddress(uri: string): string {
  const url = new URL(uri);
  [url.username, url.password] = ["", ""];
  return url.href.replace(/\/+$/, "");
}

export class MlflowClient {
  readonly address: string;
  readonly #authorization: string | undefined;
  readonly #signal: AbortSignal;

  /** `uri` may hold user and password, where it comes from the environment. */
  constructor(uri: string, environment: Environment, signal: AbortSignal) {
    this.address = plainAddress(uri);
    this.#authorization = authorizationOf(new URL(uri), environment);
    this.#signal = signal;
  }

  async get(path: string, query: Readonly<Record<string, string>>): Promise<unknown> {
    return await this.#json(`/api/2.0/mlflow/${path}?${new URLSearchParams(query)}`, { method: "GET" });
  }

  async post(path: string, body: object): Promise<unknown> {
    const headers = { "content-type": "application/json" };
    return await this.#json(`/api/2.0/mlflow/${path}`, {
      method: "POST",
      headers,
      body: JSON.stringify(body),
    });
  }

  /** Puts a file where the server keeps artifacts; `path` is relative to its root of them. */
  async putArtifact(path: string, bytes: Uint8Array): Promise<void> {
    const place = path.split("/").map(encodeURIComponent).join("/");
    const headers = { "content-type": "application/octet-stream" };
    await this.#call(`/api/2.0/mlflow-artifacts/artifacts/${place}`, { method: "PUT", headers, body: bytes });
  }

  async #json(path: string, init: RequestInit): Promise<unknown> {
    const text = await this.#call(path, init);
    try {
      return JSON.parse(text);
    } catch (cause) {
      throw this.#fault(`the answer is not JSON: is it the address of an MLflow server?`, cause);
    }
  }

  async #call(path: string, init: RequestInit): Promise<string> {
    const headers = new Headers(init.headers);
    if (this.#authorization !== undefined) headers.set("authorization", this.#authorization);
    const signal = AbortSignal.any([this.#signal, AbortSignal.timeout(CALL_MS)]);
    let response: Response;
    let text: string;
    try {
      response = await fetch(`${this.address}${path}`, { ...init, headers, signal, redirect: "error" });
      text = await response.text();
    } catch (cause) {
      throw this.#fault(reasonOf(cause), cause);
    }
    if (response.ok) return text;
    const refusal = refusalSchema.safeParse(jsonOf(text)).data;
    const message = (refusal?.message ?? (text.trim() || response.statusText)).slice(0, MAX_SHOWN);
    throw new MlflowRefusal(this.address, response.status, refusal?.error_code, message);
  }

  #fault(message: string, cause: unknown): MttcError {
    return new MttcError({ code: "E_SINK", message, at: { file: this.address } }, { cause });
  }
}

/** By token or by user and password: the header's value. */
function authorizationOf(url: URL, environment: Environment): string | undefined {
  const basic = (user: string, password: string): string =>
    `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
  const { MLFLOW_TRACKING_USERNAME: user, MLFLOW_TRACKING_PASSWORD: password } = environment;
  if (user !== undefined && password !== undefined) return basic(user, password);
  if (environment.MLFLOW_TRACKING_TOKEN) return `Bearer ${environment.MLFLOW_TRACKING_TOKEN}`;
  if (url.username === "") return undefined;
  return basic(decodeURIComponent(url.username), decodeURIComponent(url.password));
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // A proxy's page, say: it is shown as it is.
    return undefined;
  }
}

/** Why there was no answer, in words. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === "TimeoutError") return `no answer within ${CALL_MS / 1000} s`;
  const cause = error.cause instanceof Error ? error.cause : undefined;
  const code = cause && "code" in cause ? String(cause.code) : undefined;
  return `no connection (${code ?? cause?.message ?? error.message})`;
}
