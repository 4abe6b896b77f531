// The process in which a model that mttc does not trust is opened and run; see modelProcess.ts.
import { type HostTensor, OrtHost, type OrtOptions } from "../ort/ortHost.ts";
import { serveProcess } from "../threads/processServer.ts";
import type { ModelService } from "./modelProcess.ts";

const GRAPH = "model";

class ModelServer implements ModelService {
  #host: OrtHost | undefined;

  async open(bytes: Uint8Array, options: OrtOptions): Promise<{ note: string | undefined }> {
    this.#host = await OrtHost.start(options);
    await this.#host.openGraph(GRAPH, { bytes });
    return { note: this.#host.note };
  }

  async run(image: HostTensor, outputs: readonly string[]): Promise<Map<string, HostTensor>> {
    return (await this.#host?.run(GRAPH, { image }, outputs)) ?? new Map();
  }

  async close(): Promise<void> {
    await this.#host?.close();
  }
}

serveProcess<ModelService>(new ModelServer());
