// A bundle as the files that CONTRACT.md names, in memory: graphs, constants, initial state, manifest.
// runtime/runs/bundleDirectory.ts writes the same into a folder.
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { encodeSafetensors } from "../codec/safetensors.ts";
import type { TaskClasses } from "../model/network.ts";
import type { Spec } from "../spec/schema.ts";
import { openTasks } from "../tasks/openTask.ts";
import { type Bundle, MANIFEST_FILE, STATE_FILE, type StoredManifest } from "./manifest.ts";

/** How the metadata of a state that a driver saves begin. */
export const STATE_FORMAT = "mttc-state";
export const STATE_VERSION = 1;

/** What a bundle was compiled from, as far as a state depends on it. */
export interface CompiledFrom {
  readonly spec: Spec;
  readonly classes: TaskClasses;
  /** The models that the spec names; SHA-256 of each, hex. */
  readonly models: {
    readonly trunk?: { readonly hash: string } | undefined;
    readonly teacher?: { readonly hash: string } | undefined;
  };
  /** SHA-256 of the weights of `init_from`; undefined where it begins with drawn ones. */
  readonly initial: string | undefined;
}

/** The manifest's `checkpoint`: what a driver puts into the metadata of a state that it saves. */
export function stateMetadata({ spec, classes, models, initial }: CompiledFrom): Record<string, string> {
  const { trunk, teacher } = models;
  const experiment = {
    spec,
    models: { ...(trunk && { fcn: trunk.hash }), ...(teacher && { teacher: teacher.hash }) },
    tasks: openTasks(classes).map(({ description }) => description),
    initial: initial ?? null,
  };
  return { format: STATE_FORMAT, version: String(STATE_VERSION), experiment: JSON.stringify(experiment) };
}

/** SHA-256 of bytes, in hexadecimal digits. */
export function hashOfBytes(bytes: Uint8Array): string {
  return bytesToHex(sha256(bytes));
}

/** The manifest as text. */
export function manifestText(manifest: StoredManifest): string {
  return `${JSON.stringify(manifest, null, 1)}\n`;
}

/** All files of a bundle by name, the manifest last, and that manifest. */
export function bundleFiles(
  bundle: Bundle,
  checkpoint: Readonly<Record<string, string>>,
): { readonly manifest: StoredManifest; readonly files: Map<string, Uint8Array> } {
  const files = new Map(bundle.files);
  files.set(STATE_FILE, encodeSafetensors([...bundle.state.values()]));
  const described = [...files].map(([name, bytes]) => {
    return [name, { bytes: bytes.length, sha256: hashOfBytes(bytes) }] as const;
  });
  const manifest = { ...bundle.manifest, checkpoint, files: Object.fromEntries(described) };
  return { manifest, files: files.set(MANIFEST_FILE, new TextEncoder().encode(manifestText(manifest))) };
}
