// Installing what mttc brings (the CUDA provider, MPI, NCCL): what is not the pinned file is never installed,
// whatever the package manager brought, and a failed try leaves the folder as it was.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { zipSync } from "fflate";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { MttcError } from "../../compiler/diagnostics.ts";
import { locateOrtLibrary } from "../../runtime/ort/library.ts";
import {
  installedPackage,
  installPackage,
  type RunProgram,
  refuseForeignFiles,
} from "../../runtime/setup/installPackage.ts";
import type { Component, PinnedPackage } from "../../runtime/setup/pinnedPackage.ts";
import { CUDA_PROVIDER } from "../../runtime/setup/providerPackages.ts";
import { MPI_LIBRARY, NCCL_LIBRARY } from "../../runtime/setup/rankPackages.ts";

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

function wheel(changes: Partial<PinnedPackage> = {}): PinnedPackage {
  return {
    title: "a wheel",
    command: ["fetch"],
    format: ".whl",
    archiveSha256: sha256(WHEEL),
    downloadBytes: WHEEL.length,
    files: [{ path: "capi/lib.so", name: "libonnxruntime.so.1", sha256: sha256(LIBRARY) }],
    ...changes,
  };
}

/** A package manager that writes the wheel. */
const bring: RunProgram = async (_command, into) => writeFileSync(join(into, "a-1.whl"), WHEEL);

function install(packages: readonly PinnedPackage[], run: RunProgram = bring, steps: string[] = []) {
  return installPackage({
    component: CUDA_PROVIDER,
    packages,
    folder,
    run,
    onStep: (message) => steps.push(message),
  });
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
    beside: { "libonnxruntime.so.1": () => locateOrtLibrary() },
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
  const error = await refusal(
    installPackage({ component: CUDA_PROVIDER, packages, folder, onStep: () => undefined }),
  );
  expect(error.message).toContain("mttc-no-such-program cannot be run");
  expect(error.message).toContain("exit code 3: refused");
});

test("a program may be run once it is installed, also where the earlier one may not", async () => {
  const program = { path: "capi/other.so", name: "bin/mpiexec", sha256: sha256(new Uint8Array(9)) };
  const files = [
    { ...program, isProgram: true },
    { path: "capi/lib.so", name: "lib/libmpi_abi.so.1", sha256: sha256(LIBRARY) },
  ];
  const modeOf = (name: string): string => (statSync(join(folder, name)).mode & 0o111).toString(8);
  for (let times = 0; times < 2; times++) {
    await install([wheel({ files })]);
    expect(modeOf("bin/mpiexec")).not.toBe("0");
    expect(modeOf("lib/libmpi_abi.so.1")).toBe("0");
    chmodSync(join(folder, "bin/mpiexec"), 0o600);
  }
});

test("a package is known as there when every file is as pinned, and its programs may be run", async () => {
  const program = { path: "capi/other.so", name: "bin/run", sha256: sha256(new Uint8Array(9)) };
  const library = { path: "capi/lib.so", name: "lib/a.so", sha256: sha256(LIBRARY) };
  const own = join(root, "core");
  writeFileSync(own, "core");
  const packed = wheel({
    files: [{ ...program, isProgram: true }, library],
    beside: { "core.so": () => own },
  });
  const found = () => installedPackage(folder, [wheel({ title: "another" }), packed]);
  expect(await found()).toBeUndefined();
  const damage = [
    () => chmodSync(join(folder, "bin/run"), 0o600),
    () => writeFileSync(join(folder, "lib/a.so"), "another library"),
    () => rmSync(join(folder, "lib/a.so")),
    () => rmSync(join(folder, "core.so")),
  ];
  for (const harm of damage) {
    await install([packed]);
    expect(await found()).toBe(packed);
    harm();
    expect(await found()).toBeUndefined();
  }
});

test("what goes wrong has the code of what was to be brought", async () => {
  const options = { component: MPI_LIBRARY, folder, onStep: () => undefined };
  const packages = [wheel({ command: ["mttc-no-such-program"] })];
  const unfetched = await refusal(installPackage({ ...options, packages }));
  expect(unfetched.code).toBe("E_MPI_SETUP");
  expect(unfetched.message).toContain("MTTC_MPI_DIR");
  const changed = [wheel({ archiveSha256: "0" })];
  const wrong = await refusal(installPackage({ ...options, packages: changed, run: bring }));
  expect(wrong.code).toBe("E_MPI_SETUP");
  const empty = await refusal(installPackage({ ...options, packages: [wheel()], run: async () => {} }));
  expect(empty.message).toContain("no .whl file arrived");
});

describe("a folder", () => {
  const COMPONENTS: readonly Component[] = [CUDA_PROVIDER, MPI_LIBRARY, NCCL_LIBRARY];
  const write = (name: string): void => {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), "");
  };

  test("of the component's own files is replaced; so is one that is not there", async () => {
    for (const component of COMPONENTS) {
      await refuseForeignFiles(folder, component);
      const packages = Object.values(component.packages).flat();
      for (const { files, beside = {} } of packages)
        for (const name of [...files.map((file) => file.name), ...Object.keys(beside)]) write(name);
      await refuseForeignFiles(folder, component);
      rmSync(folder, { recursive: true });
    }
  });

  test("that holds anything else, however deep, is refused by the names of it", async () => {
    for (const component of COMPONENTS)
      for (const name of ["notes.txt", "lib/libfoo.so", "bin/bash", "lib/mpich/deep/notes"]) {
        write(name);
        const error = await refusal(refuseForeignFiles(folder, component));
        expect(error.code).toBe("E_RUN_EXISTS");
        expect(error.message).toContain(name);
        rmSync(folder, { recursive: true });
      }
  });

  test("that is a file is refused", async () => {
    mkdirSync(dirname(folder), { recursive: true });
    writeFileSync(folder, "");
    for (const component of COMPONENTS)
      expect((await refusal(refuseForeignFiles(folder, component))).code).toMatch(/^E_/);
  });
});

test("every known package is pinned by version and by the SHA-256 of each file", () => {
  const marks = [
    [CUDA_PROVIDER, "libonnxruntime_providers_cuda.so"],
    [MPI_LIBRARY, "bin/mpiexec"],
    [NCCL_LIBRARY, "lib/libnccl.so.2"],
  ] as const;
  for (const [component, file] of marks)
    for (const from of Object.values(component.packages).flat()) {
      expect(from.command.at(-1)).toMatch(/[@=]\d+\.\d+\.\d+$/);
      for (const hash of [from.archiveSha256, ...from.files.map(({ sha256 }) => sha256)])
        expect(hash).toMatch(/^[0-9a-f]{64}$/);
      expect(from.files.some(({ name }) => name === file)).toBe(true);
    }
});
