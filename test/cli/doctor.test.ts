// `mttc doctor` wherever the tests run: every line is there, the CPU trains, what is missing has its command,
// and the exit code is 0. With a broken library it says so and still ends well.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import type { Finding } from "../../runtime/diagnosis/finding.ts";
import { examine } from "../../runtime/diagnosis/findings.ts";
import { CUDA_LIBRARIES } from "../../runtime/ort/cudaLibraries.ts";
import { runCli } from "./runCli.ts";

const folder = mkdtempSync(join(tmpdir(), "mttc-doctor-test-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const LINES = [
  "ONNX Runtime",
  "CUDA provider",
  "NVIDIA's driver",
  ...CUDA_LIBRARIES.map(({ file }) => file),
  "training on the CPU",
  "training on CUDA",
  "MPI",
  "mpiexec",
  "NCCL",
  "ranks",
];

test("names every thing that training needs, and what mends what is missing", async () => {
  const { stdout, stderr, code } = await runCli(folder, ["doctor", "--json"]);
  expect(stderr).toBe("");
  expect(code).toBe(0);
  const findings = JSON.parse(stdout) as Finding[];
  const whats = findings.map(({ what }) => what);
  expect(whats).toEqual(expect.arrayContaining(LINES));
  const cpu = findings.find(({ what }) => what === "training on the CPU");
  expect(cpu).toMatchObject({ state: "ok", found: expect.stringMatching(/^\d+ steps/) });
  for (const { what, state, found } of findings) {
    expect(found, what).not.toBe("");
    expect(["ok", "absent"], what).toContain(state);
  }
  const provider = findings.find(({ what }) => what === "CUDA provider");
  if (provider?.state === "absent") expect(provider.hint).toContain("mttc setup-cuda");
});

test("without MPI it says so, and what brings it; with a folder that holds none it names the folder", async () => {
  const bare = { XDG_CACHE_HOME: join(folder, "none"), PATH: folder, LD_LIBRARY_PATH: "" };
  const findingsIn = async (env: Readonly<Record<string, string>>) => {
    const { stdout, code } = await runCli(folder, ["doctor", "--json"], { env: { ...bare, ...env } });
    expect(code).toBe(0);
    const findings = JSON.parse(stdout) as Finding[];
    return (name: string) => findings.find(({ what }) => what === name);
  };
  const without = await findingsIn({ MTTC_MPI_DIR: "" });
  expect(without("mpiexec")).toMatchObject({ state: "absent", hint: expect.stringContaining("setup-mpi") });
  expect(without("ranks")).toMatchObject({ state: "absent", found: expect.stringContaining("mpiexec") });
  const wrong = await findingsIn({ MTTC_MPI_DIR: folder });
  expect(wrong("MPI")).toMatchObject({ state: "fault", found: expect.stringContaining(folder) });
});

test("as text: one line each, where training runs, and the commands", async () => {
  const { stdout, code } = await runCli(folder, ["doctor"]);
  expect(code).toBe(0);
  for (const what of LINES) expect(stdout).toContain(`\n${what}`);
  expect(stdout).toMatch(/\nTraining runs on the CPU( and CUDA)?\./);
});

test("a library that cannot be loaded is a finding, not a crash", async () => {
  const broken = join(folder, "libonnxruntime.so.1");
  writeFileSync(broken, "not a library");
  const findings = await examine({ libraryPath: broken, trialSeconds: 0 });
  const of = (name: string) => findings.find(({ what }) => what === name);
  expect(of("ONNX Runtime")).toMatchObject({ state: "fault", found: expect.stringContaining(broken) });
  expect(of("training on the CPU")?.state).toBe("fault");
});

test("a library that is not there ends the examination at once", async () => {
  const findings = await examine({ libraryPath: join(folder, "none.so") });
  expect(findings).toHaveLength(1);
  expect(findings[0]).toMatchObject({ what: "ONNX Runtime", state: "fault" });
});
