// manifest.json of a bundle, from bytes to what today's mttc knows of one: checked as far as it is used
// before it is believed, and brought up to date where an earlier version wrote it.
import { z } from "zod";
import {
  BUNDLE_FORMAT,
  BUNDLE_VERSION,
  RANKED_VERSION,
  type StoredManifest,
} from "../../compiler/bundle/manifest.ts";
import { type OlderManifest, upgradeManifest } from "../../compiler/bundle/olderManifest.ts";
import { MttcError } from "../../compiler/diagnostics.ts";
import { kindNamed } from "../../compiler/tasks/openTask.ts";

const tensor = {
  name: z.string(),
  dtype: z.string(),
  shape: z.array(z.union([z.number(), z.string()])),
};
const replaces = z.string().optional();
const task = z.string();
const value = z.looseObject({ formula: z.string() });

/** A tensor with its role, and what the trainer reads of that. */
const borderTensor = z.discriminatedUnion("role", [
  z.looseObject({ ...tensor, role: z.enum(["image", "features", "augmented"]) }),
  z.looseObject({ ...tensor, role: z.literal("state"), of: z.string().optional(), replaces }),
  z.looseObject({ ...tensor, role: z.literal("accumulator"), of: z.string().optional(), replaces }),
  z.looseObject({ ...tensor, role: z.literal("losses"), tasks: z.array(task), replaces }),
  z.looseObject({ ...tensor, role: z.literal("augment"), operations: z.array(z.looseObject({})) }),
  z.looseObject({ ...tensor, role: z.literal("label"), task, encoding: z.string() }),
  z.looseObject({ ...tensor, role: z.literal("mask"), rate: z.number(), stream: z.string() }),
  z.looseObject({ ...tensor, role: z.literal("draw"), draw: z.literal("task_orders"), stream: z.string() }),
  z.looseObject({ ...tensor, role: z.literal("scalar"), scalar: z.string(), value }),
  z.looseObject({ ...tensor, role: z.literal("figure"), task, figure: z.string() }),
  z.looseObject({ ...tensor, role: z.enum(["gram", "gradient_weights"]), tasks: z.array(task) }),
  z.looseObject({ ...tensor, role: z.literal("prediction"), task, prediction: z.string() }),
]);
const fileName = z.string().regex(/^[^/\\]+$/);

/** What of a manifest is looked at before it is believed; the compiler's own types say the rest. */
const common = {
  format: z.literal(BUNDLE_FORMAT),
  batchSize: z.int().positive(),
  state: z.array(z.looseObject({ ...tensor, group: z.string(), part: z.string() })),
  parameters: z.array(z.looseObject({ name: z.string(), shape: z.array(z.number()) })),
  files: z.record(fileName, z.object({ bytes: z.number(), sha256: z.string() })),
  compiled: z.object({ key: z.string(), sha256: z.string() }).optional(),
};
const olderTask = z.looseObject({ name: z.string(), classes: z.array(z.string()) });
const ofItsKind = z
  .looseObject({ name: z.string(), kind: z.string() })
  .refine(
    (entry) => kindNamed(entry.kind)?.facts.safeParse(entry).success,
    "no task of a kind that is known",
  );

function graphsOf<T extends z.ZodType>(entry: T) {
  return z.record(
    z.string(),
    z.looseObject({ file: fileName, inputs: z.array(entry), outputs: z.array(entry) }),
  );
}

const current = {
  ...common,
  accumulate: z.int().positive(),
  graphs: graphsOf(borderTensor),
  tasks: z.array(ofItsKind).min(1),
};

const schemas = {
  1: z.looseObject({
    ...common,
    version: z.literal(1),
    graphs: graphsOf(z.object(tensor)),
    tasks: z.array(olderTask).min(1),
  }),
  [BUNDLE_VERSION]: z.looseObject({ ...current, version: z.literal(BUNDLE_VERSION) }),
  [RANKED_VERSION]: z.looseObject({ ...current, version: z.literal(RANKED_VERSION), ranks: z.int().min(2) }),
} as const;

/** Reads `bytes` of the file `path`. E_BUNDLE where they are no manifest, or one of a version to come. */
export function parseManifest(bytes: Uint8Array, path: string): StoredManifest {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw damaged(path, "is not JSON", cause);
  }
  const { format, version } = z.looseObject({}).safeParse(json).data ?? {};
  if (format === BUNDLE_FORMAT && Number(version) > RANKED_VERSION) throw ofTheFuture(path, Number(version));
  const known = version === 1 || version === RANKED_VERSION ? version : BUNDLE_VERSION;
  const parsed = schemas[known].safeParse(json);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const place = issue?.path.join(".");
    const expected = `is not a ${BUNDLE_FORMAT} of version ${known}`;
    throw damaged(path, `${expected}: ${place}: ${issue?.message}`, parsed.error);
  }
  if (version !== 1) return json as StoredManifest;
  const { files, compiled } = json as StoredManifest;
  return { ...upgradeManifest(json as OlderManifest, path), files, ...(compiled && { compiled }) };
}

/** E_BUNDLE of a file that is not as it was compiled. */
export function damaged(file: string, message: string, cause?: unknown): MttcError {
  const hint = "compile it again: mttc compile SPEC -o DIR, or for a run: mttc train SPEC --resume";
  return new MttcError({ code: "E_BUNDLE", message, at: { file }, hint }, { cause });
}

function ofTheFuture(file: string, version: number): MttcError {
  const message = `is a bundle of version ${version}, this mttc reads ${RANKED_VERSION} and those before`;
  return new MttcError({ code: "E_BUNDLE", message, at: { file }, hint: "update mttc" });
}
