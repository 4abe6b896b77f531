// What this machine has for training: ONNX Runtime, its CUDA provider, NVIDIA's driver, devices and
// libraries, whether a step of training runs on each provider, and what several processes need. Everything
// that is missing is a finding, never an error. For `mttc doctor`.
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { readCudaDriver } from "../ort/cudaDriver.ts";
import {
  CUDA_LIBRARIES,
  loadCudaLibraries,
  missingProviderFiles,
  PROVIDER_FILES,
} from "../ort/cudaLibraries.ts";
import { OrtHost, type Provider } from "../ort/ortHost.ts";
import { locateForProvider } from "../ort/providerChoice.ts";
import { CUDA_PROVIDER } from "../setup/providerPackages.ts";
import { type Finding, faultFinding } from "./finding.ts";
import { rankFindings } from "./rankFindings.ts";
import { runTrial, type TrialOptions } from "./trialRun.ts";

export interface DoctorOptions {
  /** A libonnxruntime or its folder, in place of the one that training would find. */
  readonly libraryPath?: string | undefined;
  /** How long the trial on each provider takes; default 1. */
  readonly trialSeconds?: number;
}

/** Looks at everything, in the order in which things depend on each other. */
export async function examine(options: DoctorOptions = {}): Promise<Finding[]> {
  const { trialSeconds = 1 } = options;
  const core = attempt("ONNX Runtime", () =>
    locateForProvider({ kind: "auto", tf32: false }, options.libraryPath),
  );
  if ("finding" in core) return [core.finding];
  const libraryPath = core.value;
  const provider = await providerFinding(libraryPath);
  const driver = driverFindings();
  const libraries = libraryFindings();
  const cuda = [provider, ...driver, ...libraries];
  const lacks = cuda.filter(({ state }) => state !== "ok").map(({ what }) => what);
  const trial = (what: string, provider: Provider) =>
    trialFinding(what, { provider, libraryPath, seconds: trialSeconds });
  const onCuda = "training on CUDA";
  return [
    await coreFinding(libraryPath),
    ...cuda,
    await trial("training on the CPU", { kind: "cpu" }),
    lacks.length === 0
      ? await trial(onCuda, { kind: "cuda", device: 0, tf32: false })
      : { what: onCuda, state: "absent", found: `not tried without ${lacks.join(", ")}` },
    ...(await rankFindings(driver.filter(({ what }) => what.startsWith("device")).length)),
  ];
}

async function coreFinding(libraryPath: string): Promise<Finding> {
  const what = "ONNX Runtime";
  try {
    const host = await OrtHost.start({ libraryPath });
    await host.close();
    return { what, state: "ok", found: `${host.version}, ${host.libraryPath}` };
  } catch (error) {
    return faultFinding(what, error);
  }
}

async function providerFinding(core: string): Promise<Finding> {
  const what = "CUDA provider";
  const missing = missingProviderFiles(core);
  if (missing.length > 0)
    return {
      what,
      state: "absent",
      found: `${missing.join(", ")}: not in ${dirname(core)}`,
      hint: "`mttc setup-cuda` brings it, or set MTTC_ORT_DIR to a folder that has core and provider",
    };
  const file = join(dirname(core), PROVIDER_FILES[1]);
  return { what, state: "ok", found: `${await providerVersion(file)}, ${file}` };
}

/** The file does not say its version; its hash does, where it is one that setup-cuda knows. */
async function providerVersion(file: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(file), hash);
  const found = hash.digest("hex");
  const known = Object.values(CUDA_PROVIDER.packages)
    .flat()
    .find(({ files }) => files.some(({ sha256 }) => sha256 === found));
  return known?.title ?? "of a version that mttc does not know";
}

function driverFindings(): Finding[] {
  const what = "NVIDIA's driver";
  const driver = attempt(what, () => readCudaDriver());
  if ("finding" in driver) return [{ ...driver.finding, state: "absent" }];
  const { cudaVersion, devices } = driver.value;
  return [
    { what, state: "ok", found: `for CUDA ${cudaVersion} and older` },
    ...devices.map(
      ({ name, memoryBytes, capability }, i): Finding => ({
        what: `device ${i}`,
        state: "ok",
        found: `${name}, ${(memoryBytes / 2 ** 30).toFixed(0)} GiB, compute capability ${capability}`,
      }),
    ),
  ];
}

/** A library that is missing or cannot be loaded; the first of them carries one command for all. */
function libraryFindings(): Finding[] {
  const { loaded, faults } = loadCudaLibraries();
  // That of the driver is a finding of its own.
  const missing = faults.filter(({ code }) => code === "E_CUDA_LIBRARY");
  const names = missing.map(({ message }) => message.split(" ", 1)[0] ?? message);
  const wheels = new Set(CUDA_LIBRARIES.filter(({ file }) => names.includes(file)).map(({ wheel }) => wheel));
  const hint = `\`pip install ${[...wheels].join(" ")}\`, or set MTTC_CUDA_LIBS to the folders that hold them`;
  const found = new Map(loaded.map(({ file, path }) => [file, path]));
  return CUDA_LIBRARIES.map(({ file: what }): Finding => {
    const path = found.get(what);
    if (path !== undefined) return { what, state: "ok", found: path };
    const reason = missing[names.indexOf(what)]?.message.slice(what.length + 1) ?? "is missing";
    return { what, state: "absent", found: reason, ...(what === names[0] ? { hint } : {}) };
  });
}

async function trialFinding(what: string, options: TrialOptions): Promise<Finding> {
  try {
    const trial = await runTrial(options);
    const rate = (trial.steps / trial.seconds).toFixed(0);
    const falls = trial.lastLoss < trial.firstLoss;
    const losses = `loss ${trial.firstLoss.toFixed(3)} to ${trial.lastLoss.toFixed(3)}`;
    return {
      what,
      state: falls ? "ok" : "fault",
      found: `${trial.steps} steps of a tiny network, ${rate} a second, ${losses}`,
      hint: falls ? undefined : "the loss should fall: please report this with the lines above",
    };
  } catch (error) {
    return faultFinding(what, error);
  }
}

function attempt<T>(what: string, body: () => T): { readonly value: T } | { readonly finding: Finding } {
  try {
    return { value: body() };
  } catch (error) {
    return { finding: faultFinding(what, error) };
  }
}
