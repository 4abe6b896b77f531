// The Python that PyTorch's side runs in: that of MTTC_PYTHON, else a venv that is made once in
// node_modules' cache by the ordinary pip; and torchvision's networks as ONNX files, exported once.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import { PROJECT_ROOT } from "../../projectRoot.ts";
import { pythonWith } from "../../python.ts";
import { PEER_NETS, type PeerNet, peerSpec, trunksOf } from "./peerNets.ts";

const PACKAGES = ["torch==2.15.0", "torchvision==0.29.2", "onnx==1.23.2", "onnxscript==0.7.2"];
const CACHE = join(PROJECT_ROOT, "node_modules", ".cache", "mttc-peers");
export const PEERS_FOLDER = join(PROJECT_ROOT, "test", "bench", "peers");
/** Side that trunks are exported at; mttc builds them for other sizes, too. */
const EXPORT_SIDE = 128;

/** Folder of what is made once: venv, exported trunks, photographs. */
export function peerCache(): string {
  return CACHE;
}

/** Path of a Python with PyTorch; makes the venv where there is none. */
export function peerPython(): string {
  if (process.env.MTTC_PYTHON !== undefined) {
    const python = pythonWith("torch", "torchvision", "onnx", "onnxscript");
    if (python === undefined)
      throw new Error(`MTTC_PYTHON lacks one of torch, torchvision, onnx and onnxscript`);
    return python;
  }
  const venv = join(CACHE, "venv");
  const [python, whole] = [join(venv, "bin", "python"), join(venv, "whole")];
  if (existsSync(whole)) return python;
  process.stderr.write(`Making a venv with ${PACKAGES.join(", ")} in ${venv}\n`);
  run("python3", "-m", "venv", venv);
  run(python, "-m", "pip", "install", "--quiet", ...PACKAGES);
  writeFileSync(whole, "");
  return python;
}

/**
 * Folder with the trunks of `nets`, exported where they are not there yet, and every net's spec. Python is
 * asked for only then.
 */
export function peerModels(python: () => string, nets: readonly PeerNet[]): string {
  const folder = join(CACHE, "models");
  mkdirSync(folder, { recursive: true });
  for (const net of PEER_NETS) writeFileSync(join(folder, `${net.name}.yml`), stringify(peerSpec(net, ".")));
  const missing = trunksOf(nets).filter((trunk) => !existsSync(join(folder, `${trunk}.onnx`)));
  if (missing.length === 0) return folder;
  process.stderr.write(`Exporting ${missing.join(", ")} to ${folder}\n`);
  const wanted = missing.map((trunk) => `${trunk}:${EXPORT_SIDE}`);
  run(python(), "-W", "ignore", join(PEERS_FOLDER, "export_trunks.py"), folder, ...wanted);
  return folder;
}

function run(program: string, ...args: string[]): void {
  execFileSync(program, args, { stdio: ["ignore", "ignore", "inherit"] });
}
