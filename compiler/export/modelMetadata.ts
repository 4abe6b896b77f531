// What an exported ONNX file says about itself: one JSON object under the key "mttc" of the model's
// metadata_props. Written by exportGraphs.ts, read by whoever serves the file: size and channels of the
// images and how they are read, tasks, class names, where the model comes from. The parts of a split export
// have a key each ("mttc.trunk", "mttc.head.species"), so that tools that join files can keep them all.
import { z } from "zod";
import { MttcError } from "../diagnostics.ts";
import { kindNamed, openTask } from "../tasks/openTask.ts";
import type { Task } from "../tasks/task.ts";
import { readingSchema } from "./imageReading.ts";

/** The key of metadata_props that holds the object. */
export const METADATA_KEY = "mttc";
export const METADATA_FORMAT = "mttc-model";
/** Before version 2 all tasks were of classes, before 3 images were of one size. Files take the lowest. */
const METADATA_VERSION = 3;
/** Keys of parts begin so. */
const PART_PREFIX = `${METADATA_KEY}.`;

const size = z.int().min(1).max(65_536);

/** A heat map that a file draws. */
const heatmapSchema = z.object({
  /** Name of the output, float32 [N, height, width], from 0 to 1. */
  output: z.string(),
  /** Where it was taken. */
  layer: z.string(),
  height: size,
  width: size,
  /** What it explains, where that is not the answer. */
  class: z.string().optional(),
});

/** What a file says of a heat map that it draws. */
export type Heatmap = Readonly<z.output<typeof heatmapSchema>>;

/** A task that a file serves: the name of its output, its kind and the facts of that (`classes` of classes). */
export const servedTaskSchema = z
  .looseObject({
    ...{ name: z.string(), output: z.string(), kind: z.string().optional() },
    heatmap: heatmapSchema.optional(),
  })
  .superRefine(({ output: _, heatmap: __, ...entry }, check) => {
    const kind = kindNamed(entry.kind);
    const issues = kind?.facts.safeParse(entry).error?.issues ?? [];
    if (!kind) check.addIssue({ code: "custom", path: ["kind"], message: `no kind of tasks: ${entry.kind}` });
    for (const { path, message } of issues) check.addIssue({ code: "custom", path, message });
  });

/** What a file says of a task that it serves. */
export type ServedTask = Readonly<z.output<typeof servedTaskSchema>>;

/** The task that a file serves. */
export function taskOfServed({ name, output: _, heatmap: __, ...facts }: ServedTask): Task {
  return openTask({ task: name, ...facts });
}

const metadataSchema = z.object({
  format: z.literal(METADATA_FORMAT),
  version: z.int().min(1).max(METADATA_VERSION),
  producer: z.string(),
  /**
   * model: images -> probabilities of all tasks; task: images -> those of one; trunk: images -> features;
   * shared: features -> shared_features; head: (shared_)features -> probabilities of one task.
   */
  kind: z.enum(["model", "task", "trunk", "shared", "head"]),
  /** The tasks whose answers (float32 [N,width]) the file gives, each with the name of its output. */
  tasks: z.array(servedTaskSchema),
  /**
   * What `image` holds: [N,height,width,channels] of `dtype`, RGB, the bands of a TIFF or (greyscale) one
   * channel repeated; the graph divides by `norm` itself.
   */
  preprocessing: z.object({
    height: size,
    width: size,
    channels: z.int().min(1).max(16),
    greyscale: z.boolean(),
    norm: z.number(),
    layout: z.literal("NHWC"),
    dtype: z.enum(["uint8", "uint16", "float32"]),
    /**
     * Who resizes: absent, the caller. "graph": `image` is uint8 [1,H,W,3], RGB of any size, and `height` and
     * `width` are what the graph makes of it.
     */
    resize: z.literal("graph").optional(),
  }),
  /** How an image file becomes `image`; exports by mttc before this key do not say it, and read alike. */
  reading: readingSchema.optional(),
  /** Where the model comes from. */
  origin: z
    .object({
      /** Version of mttc that exported it. */
      mttc: z.string(),
      /** Name of the run's folder. */
      run: z.string().optional(),
      /** Epochs that it was trained. */
      epoch: z.int().min(0).optional(),
      /** When its checkpoint was saved, ISO 8601. */
      date: z.string().optional(),
    })
    .optional(),
});

/** The metadata of an exported file. */
export type ModelMetadata = Readonly<z.infer<typeof metadataSchema>>;
export type ModelKind = ModelMetadata["kind"];
/** Where an export comes from. */
export type ModelOrigin = NonNullable<ModelMetadata["origin"]>;
/** What a caller decides; format and version are this file's. */
export type MetadataContent = Omit<ModelMetadata, "format" | "version">;

/** The object as it is written. */
export function fullMetadata(content: MetadataContent): ModelMetadata {
  const isPlain = content.tasks.every(({ kind }) => kindNamed(kind) === kindNamed(undefined));
  const isAnySize = content.preprocessing.resize !== undefined;
  return { format: METADATA_FORMAT, version: isAnySize ? METADATA_VERSION : isPlain ? 1 : 2, ...content };
}

/** The entries of metadata_props. */
export function encodeMetadata(content: MetadataContent): Record<string, string> {
  const { kind, tasks } = content;
  const part = kind === "head" ? `head.${tasks[0]?.name}` : kind;
  const key = kind === "model" || kind === "task" ? METADATA_KEY : `${PART_PREFIX}${part}`;
  return { [key]: JSON.stringify(fullMetadata(content)) };
}

/**
 * Reads metadata_props; `file` is for messages. Parts that a tool has joined into one file, trunk and heads,
 * are a whole model. E_MODEL_META where they are missing or not understood.
 */
export function readMetadata(
  props: readonly { readonly key: string; readonly value: string }[],
  file: string,
): ModelMetadata {
  const whole = props.find(({ key }) => key === METADATA_KEY);
  if (whole) return readEntry(whole, file);
  const parts = props.filter(({ key }) => key.startsWith(PART_PREFIX)).map((entry) => readEntry(entry, file));
  const trunk = parts.find(({ kind }) => kind === "trunk");
  const tasks = parts.flatMap((part) => (part.kind === "head" ? part.tasks : []));
  if (trunk && tasks.length > 0) return { ...trunk, kind: "model", tasks };
  return parts[0] ?? refuse(`the model has no metadata "${METADATA_KEY}"`, file);
}

function readEntry({ key, value }: { key: string; value: string }, file: string): ModelMetadata {
  let json: unknown;
  try {
    json = JSON.parse(value);
  } catch (cause) {
    return refuse(`the metadata "${key}" is not JSON`, file, cause);
  }
  const parsed = metadataSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  return refuse(`the metadata "${key}" is not usable: ${issue?.path.join(".")}: ${issue?.message}`, file);
}

function refuse(message: string, file: string, cause?: unknown): never {
  const hint = "only files that `mttc export` wrote know their image size and classes";
  throw new MttcError({ code: "E_MODEL_META", message, at: { file }, hint }, { cause });
}
