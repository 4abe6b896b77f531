// What `npm pack` would publish: the program and its types, no tests, examples or source maps; and native parts
// that npm may leave out without failing the installation.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { locateOrtLibrary } from "../../runtime/ort/library.ts";
import { PROJECT_ROOT } from "../projectRoot.ts";
import { faultsOf } from "../spec/faultsOf.ts";

interface Packed {
  readonly files: readonly { readonly path: string }[];
}

const PAGES = ["README.md", "LICENSE", "docs/compiler.md", "compiler/bundle/CONTRACT.md"];
const manifest = JSON.parse(readFileSync(join(PROJECT_ROOT, "package.json"), "utf8"));

describe("the package", () => {
  const { stdout } = spawnSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], {
    cwd: PROJECT_ROOT,
    encoding: "utf8",
    shell: process.platform === "win32",
  });
  const [{ files } = { files: [] }] = JSON.parse(stdout) as Packed[];
  const paths = files.map(({ path }) => path);

  test("holds the program, its types and its documents", () => {
    for (const path of ["cli/mttc.cjs", "dist/cli/main.js", "dist/runtime/mttc.d.ts", ...PAGES])
      expect(paths).toContain(path);
    for (const entry of Object.values<{ types: string; default: string }>(manifest.exports))
      expect(paths).toEqual(expect.arrayContaining([entry.types.slice(2), entry.default.slice(2)]));
  });

  test("holds the clients that `mttc client` writes, as git has them", () => {
    const listed = spawnSync("git", ["ls-files", "examples/clients"], {
      cwd: PROJECT_ROOT,
      encoding: "utf8",
    });
    // npm never takes these along.
    const expected = listed.stdout
      .trimEnd()
      .split("\n")
      .filter((path) => !path.endsWith("/.gitignore"));
    expect(expected.length).toBeGreaterThan(20);
    expect(paths.filter((path) => path.startsWith("examples/")).toSorted()).toEqual(expected.toSorted());
  });

  test("holds nothing else", () => {
    const foreign = /\.map$|(^|\/)test\/|^examples\/(?!clients\/)|\.onnx$|\.h5$/;
    expect(paths.filter((path) => foreign.test(path))).toEqual([]);
  });
});

test("no script of ours runs where the package is installed", () => {
  for (const script of ["preinstall", "install", "postinstall"])
    expect(manifest.scripts[script]).toBeUndefined();
});

test("without onnxruntime-node the error says how it is installed, at the pinned version", () => {
  const version = manifest.optionalDependencies["onnxruntime-node"];
  const [fault] = faultsOf(() => locateOrtLibrary(undefined, { platform: "plan9", arch: "x64" }));
  expect(fault).toMatchObject({ code: "E_ORT_LOAD" });
  expect(fault?.hint).toContain(`ONNXRUNTIME_NODE_INSTALL=skip npm install onnxruntime-node@${version}`);
});
