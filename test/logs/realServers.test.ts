// The real TensorBoard and the real MLflow read back what a run logged, through their own interfaces. Needs a
// Python with the packages of requirements.txt beside this file; .ci/run has one.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { pythonWith } from "../python.ts";
import { LoggedFolder, STEPS } from "./loggedRun.ts";
import { PythonServer } from "./pythonServer.ts";

const tensorboard = pythonWith("tensorboard");
const mlflow = pythonWith("mlflow", "flask", "flask_cors", "sqlalchemy", "alembic");
if (!tensorboard || !mlflow)
  console.warn("No Python with the packages of test/logs/requirements.txt: the real servers are not asked.");

const PNG = readFileSync(join(import.meta.dirname, "..", "fixtures", "logs", "square.png"));
const EMBEDDING = {
  name: "fcn",
  epoch: 1,
  vectors: Float32Array.of(0.5, -1, 2, 3, 4, 5),
  width: 2,
  rows: { columns: ["file", "species"], values: ["a", "b", "c"].map((name) => [name, "cat"]) },
};
const json = <T>(value: unknown): T => value as T;

/** A run of three epochs, killed within the second and gone on with. */
async function logRun(
  run: LoggedFolder,
  log_to: Parameters<LoggedFolder["open"]>[0]["log_to"],
): Promise<void> {
  const first = await run.open({ log_to });
  first.picture({ name: "kernels", epoch: 0, png: PNG });
  run.train(first);
  first.embedding(EMBEDDING);
  run.train(first, 3);
  expect(await first.finish("interrupted")).toEqual([]);
  const second = await run.open({ log_to });
  run.train(second);
  run.train(second);
  expect(await second.finish("finished")).toEqual([]);
}

describe.skipIf(!tensorboard)("TensorBoard", () => {
  const run = new LoggedFolder();
  let server: PythonServer;

  beforeAll(async () => {
    await logRun(run, ["tensorboard"]);
    const logdir = join(run.directory, "..");
    const args = ["-m", "tensorboard.main", "--logdir", logdir, "--host", "127.0.0.1", "--port", "0"];
    server = await PythonServer.start(tensorboard ?? "", args, logdir);
    await vi.waitFor(async () => expect(await server.json("/data/runs")).toEqual(["first", "first/steps"]), {
      timeout: 60_000,
      interval: 500,
    });
  });
  afterAll(async () => {
    await server?.[Symbol.asyncDispose]();
    run[Symbol.dispose]();
  });

  const scalars = async (name: string, tag: string): Promise<[number, number][]> => {
    const query = new URLSearchParams({ run: name, tag });
    const rows = json<[number, number, number][]>(await server.json(`/data/plugin/scalars/scalars?${query}`));
    return rows.map(([, step, value]) => [step, Number(value.toFixed(6))]);
  };

  test("shows figures of epochs and by step, each once", async () => {
    expect(await scalars("first", "val/accuracy/species")).toEqual([
      [STEPS, 0],
      [2 * STEPS, 0.5],
      [3 * STEPS, 0.666667],
    ]);
    expect((await scalars("first/steps", "lr")).map(([step]) => step)).toEqual([2, 4, 6, 8, 10, 12]);
    expect(await scalars("first", "val/mae/größe (m)")).toHaveLength(3);
  });

  test("shows pictures, notes and the spec", async () => {
    const list = json<{ step: number; query: string }[]>(
      await server.json("/data/plugin/images/images?run=first&tag=kernels&sample=0"),
    );
    expect(list.map(({ step }) => step)).toEqual([0]);
    expect((await server.bytes(`/data/plugin/images/individualImage?${list[0]?.query}`)).equals(PNG)).toBe(
      true,
    );
    const notes = json<{ text: string }[]>(await server.json("/data/plugin/text/text?run=first&tag=notes"));
    expect(notes.at(-1)?.text).toContain("<strong>first</strong> try");
    const spec = json<{ text: string }[]>(await server.json("/data/plugin/text/text?run=first&tag=spec"));
    expect(spec.at(-1)?.text).toContain("batch_size: 64");
  });

  test("lists hyperparameters beside figures", async () => {
    const experiment = json<{ hparamInfos: { name: string }[]; metricInfos: { name: { tag: string } }[] }>(
      await server.json("/data/plugin/hparams/experiment", {}),
    );
    const names = experiment.hparamInfos.map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(["lr", "batch_size", "optimizer"]));
    const tags = experiment.metricInfos.map(({ name }) => name.tag);
    expect(tags).toEqual(expect.arrayContaining(["val/macro_recall/species"]));
    const groups = json<{ sessionGroups: { hparams: Record<string, unknown> }[] }>(
      await server.json("/data/plugin/hparams/session_groups", {
        startIndex: 0,
        sliceSize: 10,
        allowedStatuses: ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"],
        colParams: ["lr", "batch_size", "batchnorm"].map((hparam) => ({ hparam })),
      }),
    );
    expect(groups.sessionGroups.map(({ hparams }) => hparams)).toMatchObject([
      { lr: 0.001, batch_size: 64, batchnorm: false },
    ]);
  });

  test("has the vectors in its projector", async () => {
    expect(await server.json("/data/plugin/projector/runs")).toEqual(["first"]);
    const tensor = await server.bytes("/data/plugin/projector/tensor?run=first&name=fcn");
    const numbers = new Float32Array(
      tensor.buffer.slice(tensor.byteOffset, tensor.byteOffset + tensor.length),
    );
    expect([...numbers]).toEqual([...EMBEDDING.vectors]);
    const table = (await server.bytes("/data/plugin/projector/metadata?run=first&name=fcn")).toString();
    expect(table).toBe("file\tspecies\na\tcat\nb\tcat\nc\tcat\n");
  });

  test("its reader in Python sees the same", () => {
    const script = join(import.meta.dirname, "readEvents.py");
    const folders = [run.directory, join(run.directory, "steps")];
    const { stdout, stderr } = spawnSync(tensorboard ?? "", [script, ...folders], { encoding: "utf8" });
    const found = JSON.parse(stdout || JSON.stringify({ stderr })) as Record<
      string,
      Record<string, [number, number][]>
    >;
    expect(found[folders[0] ?? ""]?.epoch).toEqual([
      [4, 1],
      [8, 2],
      [12, 3],
    ]);
    expect(found[folders[1] ?? ""]?.lr?.map(([step]) => step)).toEqual([2, 4, 6, 8, 10, 12]);
  });
});

describe.skipIf(!mlflow)("MLflow", () => {
  const run = new LoggedFolder();
  let server: PythonServer;
  let kept: {
    info: { run_id: string; status: string; experiment_id: string; run_name: string };
    data: { params: { key: string; value: string }[]; tags: { key: string; value: string }[] };
  };

  beforeAll(async () => {
    const script = join(import.meta.dirname, "mlflowServer.py");
    server = await PythonServer.start(mlflow ?? "", [script, join(run.directory, "..")], run.directory);
    // Its first answer waits for the tables of its database.
    await server.json("/api/2.0/mlflow/experiments/get-by-name?experiment_name=Default");
    const settings = { tracking_uri: server.uri, experiment_name: "animals & more", run_name: "try" };
    await logRun(run, [{ mlflow: settings }]);
    const query = { experiment_name: settings.experiment_name };
    const { experiment } = json<{ experiment: { experiment_id: string } }>(
      await server.json(`/api/2.0/mlflow/experiments/get-by-name?${new URLSearchParams(query)}`),
    );
    const { runs } = json<{ runs: (typeof kept)[] }>(
      await server.json("/api/2.0/mlflow/runs/search", { experiment_ids: [experiment.experiment_id] }),
    );
    expect(runs).toHaveLength(1);
    kept = runs[0] as typeof kept;
  });
  afterAll(async () => {
    await server?.[Symbol.asyncDispose]();
    run[Symbol.dispose]();
  });

  const history = async (metric_key: string): Promise<[number, number][]> => {
    const query = new URLSearchParams({ run_id: kept.info.run_id, metric_key });
    const { metrics } = json<{ metrics: { step: number; value: number }[] }>(
      await server.json(`/api/2.0/mlflow/metrics/get-history?${query}`),
    );
    return metrics.map(({ step, value }): [number, number] => [step, value]).sort((a, b) => a[0] - b[0]);
  };

  test("has one run, finished, with params and notes", () => {
    expect([kept.info.status, kept.info.run_name]).toEqual(["FINISHED", "try"]);
    const params = Object.fromEntries(kept.data.params.map(({ key, value }) => [key, value]));
    expect(params).toMatchObject({ lr: "0.001", batch_size: "64", "fcn.layers": "[4]" });
    const tags = Object.fromEntries(kept.data.tags.map(({ key, value }) => [key, value]));
    expect(tags["mlflow.note.content"]).toBe("**first** try");
  });

  test("has figures of epochs and by step, each once", async () => {
    expect(await history("val/accuracy/species")).toEqual([
      [1, 0],
      [2, 0.5],
      [3, 1 - 1 / 3],
    ]);
    expect((await history("step/lr")).map(([step]) => step)).toEqual([2, 4, 6, 8, 10, 12]);
    expect(await history("val/mae/größe _m_")).toHaveLength(3);
  });

  test("has the picture, the spec and the vectors as artifacts", async () => {
    const { run_id } = kept.info;
    const list = async (path: string): Promise<string[]> => {
      const query = new URLSearchParams({ run_id, ...(path === "" ? {} : { path }) });
      const { files } = json<{ files: { path: string }[] }>(
        await server.json(`/api/2.0/mlflow/artifacts/list?${query}`),
      );
      return files.map((file) => file.path);
    };
    expect(await list("")).toEqual(expect.arrayContaining(["pictures", "projector", "spec.yml"]));
    expect(await list("projector/fcn")).toEqual(["projector/fcn/metadata.tsv", "projector/fcn/tensors.tsv"]);
    const query = new URLSearchParams({ path: "pictures/kernels-epoch-0000.png", run_uuid: run_id });
    expect((await server.bytes(`/get-artifact?${query}`)).equals(PNG)).toBe(true);
  });
});
