// Installing the CUDA provider: what is not the pinned file is never installed, whatever the package manager
// brought, and a failed try leaves the folder as it was.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { zipSync } from "fflate";
import { afterEach, beforeEach, expect, test } from "vitest";
import { MttcError } from "../../compiler/diagnostics.ts";
import { installProvider, type RunProgram } from "../../runtime/setup/installProvider.ts";
import { PROVIDER_PACKAGES, type ProviderPackage } from "../../runtime/setup/providerPackages.ts";

const LIBRARY = new TextEncoder().encode("a library");
const WHEEL = zipSync({ "capi/lib.so": LIBRARY, "capi/other.so": new Uint8Array(9) });

let root: string;
let folder: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "mttc-setup-"));
  folder = join(root, "cache", "provider");
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function wheel(changes: Partial<ProviderPackage> = {}): ProviderPackage {
  return {
    title: "a wheel",
    command: ["fetch"],
    format: ".whl",
    archiveSha256: sha256(WHEEL),
    downloadBytes: WHEEL.length,
    hasCore: true,
    files: [{ path: "capi/lib.so", name: "libonnxruntime.so.1", sha256: sha256(LIBRARY) }],
    ...changes,
  };
}

/** A package manager that writes the wheel. */
const bring: RunProgram = async (_command, into) => writeFileSync(join(into, "a-1.whl"), WHEEL);

function install(packages: readonly ProviderPackage[], run: RunProgram = bring, steps: string[] = []) {
  return installProvider({ packages, folder, run, onStep: (message) => steps.push(message) });
}

async function refusal(promise: Promise<unknown>): Promise<MttcError> {
  const error: unknown = await promise.then(
    () => undefined,
    (cause: unknown) => cause,
  );
  if (error instanceof MttcError) return error;
  throw new Error(`expected an MttcError, found ${error}`);
}

test("the libraries of a wheel stand in the folder, and nothing else does", async () => {
  const installed = await install([wheel()]);
  expect(installed).toEqual({ folder, title: "a wheel", files: ["libonnxruntime.so.1"] });
  expect(readdirSync(folder)).toEqual(["libonnxruntime.so.1"]);
  expect(new Uint8Array(readFileSync(join(folder, "libonnxruntime.so.1")))).toEqual(LIBRARY);
  expect(readdirSync(join(root, "cache"))).toEqual(["provider"]);
});

test("the libraries of an npm package stand beside the core of onnxruntime-node", async () => {
  const source = join(root, "package");
  mkdirSync(source);
  writeFileSync(join(source, "lib.so"), LIBRARY);
  const archive = join(root, "a-1.tgz");
  execFileSync("tar", ["-czf", archive, "-C", root, "package"]);
  const bytes = readFileSync(archive);
  const npm = wheel({
    format: ".tgz",
    archiveSha256: sha256(bytes),
    hasCore: false,
    files: [{ path: "package/lib.so", name: "libprovider.so", sha256: sha256(LIBRARY) }],
  });
  const unpack: RunProgram = async ([program, ...args], into) => {
    if (program === "fetch") writeFileSync(join(into, "a-1.tgz"), bytes);
    else execFileSync(program, args, { cwd: into });
  };
  await install([npm], unpack);
  expect(readdirSync(folder).sort()).toEqual(["libonnxruntime.so.1", "libprovider.so"]);
  expect(readFileSync(join(folder, "libonnxruntime.so.1")).subarray(1, 4).toString()).toBe("ELF");
});

test("another archive, or another library inside, is E_CUDA_SETUP and changes nothing", async () => {
  await install([wheel()]);
  const other = sha256(new Uint8Array(1));
  const file = { path: "capi/lib.so", name: "libonnxruntime.so.1", sha256: other };
  for (const changed of [wheel({ archiveSha256: other }), wheel({ files: [file] })]) {
    // A second package is not tried: what arrived was not what it should be.
    const error = await refusal(install([changed, wheel()]));
    expect(error.code).toBe("E_CUDA_SETUP");
    expect(error.message).toContain(other);
    expect(new Uint8Array(readFileSync(join(folder, "libonnxruntime.so.1")))).toEqual(LIBRARY);
    expect(readdirSync(join(root, "cache"))).toEqual(["provider"]);
  }
});

test("a package that cannot be fetched gives way to the next; none: every reason is said", async () => {
  const steps: string[] = [];
  const offline: RunProgram = async (command, into) => {
    if (command[0] === "pip") throw new Error("pip ended with exit code 1: no route");
    await bring(command, into);
  };
  await install([wheel({ title: "first", command: ["pip"] }), wheel({ title: "second" })], offline, steps);
  expect(steps[1]).toContain("second");
  rmSync(folder, { recursive: true });
  const error = await refusal(
    install([wheel({ title: "first" }), wheel({ title: "second" })], async () => {
      throw new Error("no route");
    }),
  );
  expect(error.faults.map(({ message }) => message)).toEqual(["first: no route", "second: no route"]);
  expect(error.faults.at(-1)?.hint).toContain("MTTC_ORT_DIR");
  expect(existsSync(folder)).toBe(false);
  expect(readdirSync(join(root, "cache"))).toEqual([]);
});

test("a program that is not there, or fails, is a reason and no crash", async () => {
  const packages = [
    wheel({ command: ["mttc-no-such-program"] }),
    wheel({ command: ["node", "-e", "console.error('refused'); process.exit(3)"] }),
  ];
  const error = await refusal(installProvider({ packages, folder, onStep: () => undefined }));
  expect(error.message).toContain("mttc-no-such-program cannot be run");
  expect(error.message).toContain("exit code 3: refused");
});

test("every known package is pinned by version and by the SHA-256 of each library", () => {
  for (const from of Object.values(PROVIDER_PACKAGES).flat()) {
    expect(from.command.at(-1)).toMatch(/[@=]\d+\.\d+\.\d+$/);
    for (const hash of [from.archiveSha256, ...from.files.map(({ sha256 }) => sha256)])
      expect(hash).toMatch(/^[0-9a-f]{64}$/);
    expect(from.files.some(({ name }) => name === "libonnxruntime_providers_cuda.so")).toBe(true);
  }
});
