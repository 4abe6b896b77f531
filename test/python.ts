// Python for the few tests that compare with its packages; `npm test` needs none, and says what it skips.
import { spawnSync } from "node:child_process";

/**
 * A Python that has all of the packages: that of MTTC_PYTHON, else python3. Undefined where there is none,
 * and a test that then skips says so.
 */
export function pythonWith(...packages: string[]): string | undefined {
  const python = process.env.MTTC_PYTHON ?? "python3";
  const script = packages.map((name) => `import ${name}`).join("; ");
  return spawnSync(python, ["-c", script], { stdio: "ignore" }).status === 0 ? python : undefined;
}
