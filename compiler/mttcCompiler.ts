// The public API of mttc/compiler: text in, bytes out, wherever JavaScript runs.
export type { Bundle, Manifest, StoredManifest, Target } from "./bundle/manifest.ts";
export { type CompileOptions, compile } from "./compile.ts";
export { type CompiledText, compileText, type TextOptions } from "./compileText.ts";
export { type ErrorCode, type Fault, formatFault, type Location, MttcError } from "./diagnostics.ts";
export type { TaskClasses } from "./model/network.ts";
export { parseSpec, resolveSpec } from "./spec/parseSpec.ts";
export type { Spec, SpecInput } from "./spec/schema.ts";
export type { TaskDescription } from "./tasks/task.ts";
