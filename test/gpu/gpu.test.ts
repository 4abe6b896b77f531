// The script behind `npm run gpu`, run small on the CPU: every section is measured, every bound holds, and the
// report says so in JSON and in Markdown. What a device says is in reports/.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { runProgram } from "../cli/runCli.ts";
import { PROJECT_ROOT } from "../projectRoot.ts";
import type { GpuReport } from "./gpuReport.ts";

const folder = mkdtempSync(join(tmpdir(), "mttc-gpu-test-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("measures every section on the CPU and writes the report", { timeout: 300_000 }, async () => {
  const script = join(PROJECT_ROOT, "dist", "test", "gpu", "gpu.js");
  const args = [script, "--ep", "cpu", "--quick", "--output", folder];
  const { code, stdout, stderr } = await runProgram(process.execPath, args, { cwd: PROJECT_ROOT });
  expect(code, stderr).toBe(0);
  const [json = ""] = readdirSync(folder).filter((name) => /^cpu-.*\.json$/.test(name));
  const report = JSON.parse(readFileSync(join(folder, json), "utf8")) as GpuReport;
  expect(report.format).toBe("mttc-gpu-report");
  expect(report.commit).toMatch(/^[0-9a-f]{40}$/);
  expect(new Set(report.placements.map(({ experiment }) => experiment))).toContain("two-heads");
  // The device's spelling of the step differs from the CPU's, so something is compared at all.
  expect(Math.max(...report.parity.map(({ distance }) => distance))).toBeGreaterThan(0);
  for (const { what, found, bound } of report.parity) expect(found, what).toBeLessThanOrEqual(bound);
  expect(report.forms.length).toBeGreaterThan(0);
  for (const { what, imagesPerSecond, failure } of [...report.rates, ...report.augmentation])
    expect(imagesPerSecond, `${what}: ${failure}`).toBeGreaterThan(0);
  for (const { trafficBytes } of report.rates) expect(trafficBytes).toBeGreaterThan(1e6);
  expect(report.graphs.map(({ what, proof }) => [what, proof])).toEqual(
    ["two-heads", "resnet"].map((name) => [name, "CUDA graphs: off: the run is on the CPU"]),
  );
  expect(report.loader.map(({ epoch }) => epoch)).toEqual([1, 2, 1, 2]);
  for (const { imagesPerSecond, waitShare } of report.loader) {
    expect(imagesPerSecond).toBeGreaterThan(0);
    expect(waitShare).toBeLessThan(1);
  }
  expect(stdout).toBe(
    `${readFileSync(join(folder, json.replace(".json", ".md")), "utf8")}\n${written(json)}`,
  );
});

test("measures one section alone, and says what was not asked for", { timeout: 120_000 }, async () => {
  const script = join(PROJECT_ROOT, "dist", "test", "gpu", "gpu.js");
  const output = join(folder, "rates");
  const some = ["--only", "rates", "--batches", "4", "--precisions", "tf32", "--no-autotune"];
  const args = [script, "--ep", "cpu", "--quick", "--output", output, ...some];
  const { code, stderr } = await runProgram(process.execPath, args, { cwd: PROJECT_ROOT });
  expect(code, stderr).toBe(0);
  const [json = ""] = readdirSync(output).filter((name) => /^cpu-.*\.json$/.test(name));
  const report = JSON.parse(readFileSync(join(output, json), "utf8")) as GpuReport;
  expect(report.rates.map(({ precision, batch }) => [precision, batch])).toEqual([
    ["tf32", 4],
    ["tf32", 4],
  ]);
  expect([report.parity, report.forms]).toEqual([[], []]);
  expect(report.left).toMatchObject({ agreement: "not asked for", torch: "not asked for" });
});

function written(json: string): string {
  return `Written to ${join(folder, json.replace(".json", ""))}.json and .md\n`;
}
