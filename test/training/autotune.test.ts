// Autotuning on ONNX Runtime's CPU: every candidate is run and timed, the fastest is compiled in, and what
// was measured is kept by device and version. Needs dist/runtime/ort/worker.js (`npm run build`).
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type CompileOptions, compile } from "../../compiler/compile.ts";
import type { Graph } from "../../compiler/ir/types.ts";
import { type FormCandidates, formCandidates } from "../../compiler/lower/candidates.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import { OrtHost } from "../../runtime/ort/ortHost.ts";
import { type AutotuneOptions, chooseForms, compileTuned } from "../../runtime/train/autotune.ts";
import { defaultFormCache, readFormCache, writeFormCache } from "../../runtime/train/formCache.ts";
import { compileForHost } from "../../runtime/train/hostCompilation.ts";
import { overlaid } from "../overlaid.ts";
import { numberedClasses } from "./tracedGraphs.ts";

const SPEC = resolveSpec({
  tasks: ["a"],
  fcn: { layers: [4, "p", 8] },
  train_fcn: true,
  task_layers: [],
  imshape: [8, 8],
  batch_size: 2,
});
const CLASSES = numberedClasses({ a: 3 });
let host: OrtHost;
let folder: string;

beforeAll(async () => {
  host = await OrtHost.start({ intraOpThreads: 1 });
  folder = mkdtempSync(join(tmpdir(), "mttc-autotune-"));
});
afterAll(async () => {
  await host.close();
  rmSync(folder, { recursive: true });
});

function candidates(): FormCandidates[] {
  const ready: Graph[] = [];
  compile(SPEC, CLASSES, { target: "cuda", ready: (graph) => ready.push(graph) });
  return formCandidates(ready, "cuda", OPS);
}

function options(name: string, more: Partial<AutotuneOptions> = {}): AutotuneOptions & { lines: string[] } {
  const lines: string[] = [];
  const note = (line: string) => void lines.push(line);
  return { host, target: "cuda", device: "test", cache: join(folder, `${name}.json`), note, lines, ...more };
}

describe("choosing forms", () => {
  test("measures every form of every shape once, and says so in one line", async () => {
    const first = options("once");
    const all = candidates();
    await chooseForms(all, first);
    const times = (await readFormCache(first.cache!)).get(`test, ONNX Runtime ${host.version}`)!;
    expect([...times.keys()]).toEqual(all.map(({ key }) => key));
    for (const { key, forms } of all) {
      expect(Object.keys(times.get(key)!)).toEqual([...forms.keys()]);
      for (const ms of Object.values(times.get(key)!)) expect(ms).toBeGreaterThan(0);
    }
    expect(first.lines).toEqual([expect.stringMatching(/^autotune: \d+ shapes of operators, \d+ measured/)]);
    const again = options("once");
    await chooseForms(all, again);
    expect(again.lines).toEqual([expect.stringMatching("all known")]);
  });

  test("takes the fastest, but the table's where another gains less than 5 %", async () => {
    const { cache, ...rest } = options("fastest");
    const [slow, near, ...others] = candidates();
    const timed = (candidate: FormCandidates, usual: number, other: number) => {
      const form = [...candidate.forms.keys()].find((name) => name !== candidate.usual)!;
      const rows = [...candidate.forms.keys()].map((name) => [name, name === form ? other : 2 * usual]);
      return {
        form,
        times: { ...Object.fromEntries(rows), [candidate.usual]: usual } as Record<string, number>,
      };
    };
    const [gain, noise] = [timed(slow!, 1, 0.5), timed(near!, 1, 0.97)];
    const section = `test, ONNX Runtime ${host.version}`;
    await writeFormCache(cache!, section, new Map([[slow!.key, gain.times]]));
    await writeFormCache(cache!, section, new Map([[near!.key, noise.times]]));
    const choices = await chooseForms([slow!, near!], { ...rest, cache });
    expect([...choices]).toEqual([[slow!.key, gain.form]]);
    expect(rest.lines[0]).toMatch(/all known; 1 take another form/);
    expect(others.length).toBeGreaterThan(0);
    // Another device, and another form than those that were measured, are measured anew.
    const elsewhere = options("fastest", { device: "another" });
    await chooseForms([slow!, near!], elsewhere);
    expect(elsewhere.lines[0]).toMatch("2 measured");
  });

  test("a form that is hopelessly slow is run twice", async () => {
    const [candidate] = candidates();
    const forms = [...candidate!.forms.keys()];
    const runs: number[] = [];
    const nothing = async (): Promise<void> => {};
    const step = async () => {
      runs[runs.length - 1]! += 1;
      // The first form is the fastest; the first run of each builds plans.
      return { outputs: new Map(), runMs: runs.length === 1 ? 1 : 100, returned: [] };
    };
    const stub = {
      ...{ version: host.version, allocate: nothing, free: nothing, write: nothing, step },
      ...{ closeGraph: nothing, unbind: nothing, bind: nothing, openGraph: async () => void runs.push(0) },
    } as unknown as OrtHost;
    await chooseForms([candidate!], { host: stub, target: "cuda", device: "stub" });
    expect(runs).toHaveLength(forms.length);
    expect(runs[0]).toBeGreaterThan(5);
    expect(runs.slice(1).every((count) => count === 2)).toBe(true);
  });

  test("leaves out a form that ONNX Runtime refuses", async () => {
    const [candidate] = candidates();
    const [form, graph] = [...candidate!.forms].find(([name]) => name !== candidate!.usual)!;
    // A graph without its inputs is one that cannot be loaded.
    const broken = { ...candidate!, forms: new Map([...candidate!.forms, [form, { ...graph, nodes: [] }]]) };
    const { cache, ...rest } = options("refused");
    const choices = await chooseForms([broken], { ...rest, cache });
    const times = (await readFormCache(cache!)).get(`test, ONNX Runtime ${host.version}`)!.get(broken.key)!;
    expect(times[form]).toBeNull();
    expect(choices.get(broken.key)).not.toBe(form);
  });
});

describe("a tuned compilation", () => {
  test("is the usual one but for the forms that were measured to be faster", async () => {
    const compileWith = (more: object) => compile(SPEC, CLASSES, { target: "cuda", ...more });
    const usual = compileWith({});
    const [first] = candidates().filter(({ key }) => key.startsWith("ConvWeightGrad"));
    const times = [...first!.forms.keys()].map((form) => [form, form === "swappedConv" ? 1e-9 : 1]);
    const tuning = options("tuned");
    const section = `test, ONNX Runtime ${host.version}`;
    await writeFormCache(tuning.cache!, section, new Map([[first!.key, Object.fromEntries(times)]]));
    const tuned = await compileTuned(compileWith, tuning);
    const { forms, ...manifest } = tuned.manifest;
    expect(manifest).toEqual(usual.manifest);
    expect(forms).toMatchObject({ [first!.key]: "swappedConv" });
    expect(Buffer.compare(tuned.files.get("train.onnx")!, usual.files.get("train.onnx")!)).not.toBe(0);
    expect(tuned.state).toEqual(usual.state);
  });
});

describe("a compilation for a host", () => {
  const compileWith = (more: CompileOptions) => compile(SPEC, CLASSES, more);

  test("on the CPU measures nothing unless it is asked to", async () => {
    const { bundle, notes } = await compileForHost(host, compileWith);
    expect(bundle.manifest.target).toBe("cpu");
    expect(bundle.manifest.forms).toBeUndefined();
    expect(notes).toEqual([]);
    const cache = join(folder, "host.json");
    const tuned = await compileForHost(host, compileWith, { autotune: true, cache });
    expect(tuned.bundle.manifest.target).toBe("cpu");
    expect(tuned.notes).toEqual([expect.stringMatching(/^autotune: \d+ shapes/)]);
    expect([...(await readFormCache(cache)).keys()]).toEqual([
      expect.stringMatching(/threads, ONNX Runtime \d/),
    ]);
  });

  test("on CUDA measures, unless it is asked not to, and tells of nodes without kernels", async () => {
    // The host runs on the CPU; the forms for CUDA run there too.
    const cuda = overlaid(host, { provider: { kind: "cuda", device: 0, tf32: true } });
    const cache = join(folder, "cuda.json");
    const faulty: typeof compileWith = (more) => {
      for (let i = 0; i < 7; i++) more.warn?.({ code: "E_CUDA_KERNEL", message: `node ${i}` });
      return compileWith(more);
    };
    const deviceName = () => "a device";
    const { bundle, notes } = await compileForHost(cuda, faulty, { cache, deviceName });
    expect(bundle.manifest.target).toBe("cuda");
    expect(notes).toEqual([
      expect.stringMatching(/^autotune: /),
      ...[0, 1, 2, 3, 4].map((i) => `node ${i} [E_CUDA_KERNEL]`),
      expect.stringMatching(/^2 more nodes have no kernel there: mttc compile --target cuda/),
    ]);
    expect([...(await readFormCache(cache)).keys()]).toEqual([expect.stringMatching(/^a device, ONNX/)]);
    const untuned = await compileForHost(cuda, compileWith, { cache, deviceName, autotune: false });
    expect(untuned.bundle.manifest.target).toBe("cuda");
    expect(untuned.notes).toEqual([]);
  });
});

describe("the file of measurements", () => {
  test.each([
    ["damaged", "{"],
    ["of another format", '{"format":"other","version":1,"times":{}}'],
    ["of another version", '{"format":"mttc-forms","version":2,"times":{"a":{"k":{"f":1}}}}'],
    ["a list", "[]"],
  ])("counts as empty where it is %s, and is written anew", async (name, text) => {
    const path = join(folder, `${name}.json`);
    writeFileSync(path, text);
    expect((await readFormCache(path)).size).toBe(0);
    await writeFormCache(path, "device", new Map([["key", { form: 1 }]]));
    expect((await readFormCache(path)).get("device")?.get("key")).toEqual({ form: 1 });
  });

  test("keeps what others wrote, and leaves entries out that are none", async () => {
    const path = join(folder, "kept.json");
    await writeFormCache(path, "one", new Map([["key", { form: 1, other: null }]]));
    await writeFormCache(path, "two", new Map([["key", { form: 2 }]]));
    await writeFormCache(path, "one", new Map([["more", { form: 3 }]]));
    const file = JSON.parse(readFileSync(path, "utf8"));
    file.times.two.key.form = "fast";
    writeFileSync(path, JSON.stringify(file));
    const cache = await readFormCache(path);
    expect([...cache.get("one")!.keys()]).toEqual(["key", "more"]);
    expect(cache.get("two")!.size).toBe(0);
  });

  test("lies in the user's cache folder", () => {
    expect(defaultFormCache({ XDG_CACHE_HOME: "/cache" })).toBe("/cache/mttc/forms.json");
    expect(defaultFormCache({})).toMatch(/\.cache\/mttc\/forms\.json$/);
  });
});
