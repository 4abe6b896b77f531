// evaluate.onnx of a bundle in ONNX Runtime, and the weights that it reads: no optimizer, no second set of
// tensors. Batches of images in, outputs of tasks out.

import { join } from "node:path";
import { type GraphEntry, type Manifest, withRole } from "../../compiler/bundle/manifest.ts";
import { tasksOf } from "../../compiler/bundle/manifestTasks.ts";
import { need } from "../../compiler/diagnostics.ts";
import type { Task } from "../../compiler/tasks/task.ts";
import type { Batch } from "../batches/loader.ts";
import type { BufferSpec, OrtHost, Placement } from "../ort/ortHost.ts";
import { fallenNodes } from "../ort/placement.ts";
import { providerTraits } from "../ort/provider.ts";
import { type Scoring, type WantedOutput, wantedOutputs } from "./scoring.ts";

const GRAPH = "evaluate";

export class EvaluationDevice {
  /** What the provider's device leaves to the CPU: a line for the user. */
  readonly fallback: string | undefined;
  readonly #host: OrtHost;
  readonly #tasks: readonly Task[];
  readonly #graph: GraphEntry;

  private constructor(host: OrtHost, manifest: Manifest, fallback: string | undefined) {
    this.fallback = fallback;
    this.#host = host;
    this.#tasks = tasksOf(manifest);
    this.#graph = graphOf(manifest);
  }

  /** Names of the state tensors that evaluations read. */
  static stateOf(manifest: Manifest): ReadonlySet<string> {
    return new Set(withRole(graphOf(manifest).inputs, "state").map(({ name }) => name));
  }

  /** Opens the graph of the bundle in `directory` with weights by name: those of `stateOf`. E_ORT. */
  static async open(
    host: OrtHost,
    directory: string,
    manifest: Manifest,
    weights: ReadonlyMap<string, Uint8Array>,
  ): Promise<EvaluationDevice> {
    const { file, inputs, outputs } = graphOf(manifest);
    const onDevice = providerTraits(host.provider).memory !== null;
    await host.openGraph(GRAPH, { path: join(directory, file) }, { recordPlacement: onDevice });
    const placements = onDevice ? await host.placements(GRAPH) : [];
    const buffers = [...inputs, ...outputs].map(
      ({ name, dtype, shape }): BufferSpec => ({
        id: name,
        dtype,
        shape: shape.map(Number),
        place: "device",
      }),
    );
    await host.allocate(buffers);
    await host.write(Object.fromEntries(weights));
    const byName = (entries: GraphEntry["inputs"]) =>
      Object.fromEntries(entries.map(({ name }) => [name, name]));
    await host.bind(GRAPH, GRAPH, { inputs: byName(inputs), outputs: byName(outputs) });
    return new EvaluationDevice(
      host,
      manifest,
      fallbackOf(placements, fallenNodes(host.provider, placements)),
    );
  }

  /** What is scored or served of each task, float32 [batch, width], of one batch. */
  async evaluate(
    input: Parameters<Scoring["device"]["evaluate"]>[0],
    wanted: WantedOutput,
  ): ReturnType<Scoring["device"]["evaluate"]> {
    const { inputs } = this.#graph;
    const read = wantedOutputs(this.#graph, this.#tasks, wanted);
    const images = imagesOf(input);
    const writes = Object.fromEntries(withRole(inputs, "image").map(({ name }) => [name, images]));
    const reads = read.map(({ name }) => name);
    const { outputs, returned } = await this.#host.step(GRAPH, { writes, reads });
    const found = read.map(
      ({ name, task }) => [task, need(outputs.get(name), name).data as Float32Array] as const,
    );
    return { outputs: new Map(found), inputBuffer: returned[0] };
  }
}

function imagesOf(input: Parameters<Scoring["device"]["evaluate"]>[0]): Batch["images"] | Uint8Array {
  return need("images" in input ? input.images : undefined, "place for features");
}

function fallbackOf(placements: readonly Placement[], fallen: readonly Placement[]): string | undefined {
  if (fallen.length === 0) return undefined;
  return `${fallen.length} of ${placements.length} nodes of evaluate run on the CPU, such as ${fallen[0]?.node}`;
}

function graphOf(manifest: Manifest): GraphEntry {
  return need(manifest.graphs[GRAPH], "graph");
}
