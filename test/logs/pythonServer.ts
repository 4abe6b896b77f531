// A server in Python for a test: started, found by the address that it prints, and ended.
import { type ChildProcess, spawn } from "node:child_process";

export class PythonServer implements AsyncDisposable {
  readonly uri: string;
  readonly #child: ChildProcess;

  private constructor(uri: string, child: ChildProcess) {
    this.uri = uri;
    this.#child = child;
  }

  /** Starts `python ...args` and waits for the first address that it prints. */
  static async start(python: string, args: readonly string[], cwd: string): Promise<PythonServer> {
    const child = spawn(python, args, { cwd, stdio: ["ignore", "pipe", "pipe"] });
    const uri = await new Promise<string>((resolve, reject) => {
      let said = "";
      const listen = (text: Buffer): void => {
        said += text.toString();
        const found = /http:\/\/[\d.]+:\d+/.exec(said)?.[0];
        if (found) resolve(found);
      };
      child.stdout.on("data", listen);
      child.stderr.on("data", listen);
      child.on("error", reject);
      child.on("exit", (code) => reject(new Error(`ended with ${code}: ${said}`)));
    });
    return new PythonServer(uri, child);
  }

  async json(path: string, body?: object): Promise<unknown> {
    const init = body && { method: "POST", body: JSON.stringify(body), headers: JSON_HEADERS };
    const response = await fetch(`${this.uri}${path}`, init);
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return await response.json();
  }

  async bytes(path: string): Promise<Buffer> {
    const response = await fetch(`${this.uri}${path}`);
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return Buffer.from(await response.arrayBuffer());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once("close", resolve));
    this.#child.kill("SIGKILL");
    await ended;
  }
}

const JSON_HEADERS = { "content-type": "application/json" };
