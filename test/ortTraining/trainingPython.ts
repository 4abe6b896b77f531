// A Python with a release of ONNX Runtime Training for the tests that run its artifacts: made once below
// node_modules/.cache, of PyPI's wheels. Tests that ask for none need none (MTTC_CLIENTS=1 asks).
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { TRIES_TOOLCHAINS } from "../clients/client.ts";
import { PROJECT_ROOT } from "../projectRoot.ts";

/** Releases of PyPI's onnxruntime-training-cpu that are tried. */
export const TRIED_RELEASES = { "1.17": "1.17.3", "1.18": "1.18.0", "1.19": "1.19.2" } as const;
/** The wheels are of these Pythons; 1.17's of none later than 3.11. */
const PYTHONS = ["python3.11", "python3.10", "python3.9", "python3.8"];
/** Of the packages that the wheel names the one that training needs, and a reader of images. */
const PACKAGES = ["numpy<2", "pillow<12"];
const INSTALL_MS = 240_000;

/** A Python's path, or why there is none. */
export type TrainingPython = { readonly python: string } | { readonly missing: string };

/** The Python of a release of ONNX Runtime Training. */
export async function trainingPython(release: keyof typeof TRIED_RELEASES): Promise<TrainingPython> {
  if (!TRIES_TOOLCHAINS) return { missing: "MTTC_CLIENTS=1 tries it" };
  const cache = join(PROJECT_ROOT, "node_modules", ".cache", "ort-training");
  const place = join(cache, `${TRIED_RELEASES[release]}-images`);
  if (existsSync(place)) return { python: join(place, "bin", "python") };
  const base = PYTHONS.find(
    (name) => spawnSync(name, ["-c", "import venv"], { stdio: "ignore" }).status === 0,
  );
  if (base === undefined) return { missing: `none of ${PYTHONS.join(", ")}` };
  await mkdir(cache, { recursive: true });
  const fresh = `${place}-${process.pid}`;
  const wheel = `onnxruntime-training-cpu==${TRIED_RELEASES[release]}`;
  const python = join(fresh, "bin", "python");
  for (const [program, args] of [
    [base, ["-m", "venv", fresh]],
    [python, ["-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:", wheel, ...PACKAGES]],
  ] as const) {
    const { status, stderr } = spawnSync(program, args, { encoding: "utf8", timeout: INSTALL_MS });
    if (status === 0) continue;
    await rm(fresh, { recursive: true, force: true });
    return { missing: `${wheel} cannot be had: ${stderr?.trim().split("\n").at(-1)}` };
  }
  await rename(fresh, place);
  return { python: join(place, "bin", "python") };
}
