// What an exported ONNX file says about itself: one JSON object under the key "mttc" of the model's
// metadata_props. Written by exportGraphs.ts, read by whoever serves the file: size and channels of the
// images, tasks, class names.
import { z } from "zod";
import { MttcError } from "../diagnostics.ts";

/** The key of metadata_props that holds the object. */
export const METADATA_KEY = "mttc";
export const METADATA_FORMAT = "mttc-model";
const METADATA_VERSION = 1;

const size = z.int().min(1).max(65_536);

const metadataSchema = z.object({
  format: z.literal(METADATA_FORMAT),
  version: z.literal(METADATA_VERSION),
  producer: z.string(),
  /**
   * model: images -> probabilities of all tasks; task: images -> those of one; trunk: images -> features;
   * shared: features -> shared_features; head: (shared_)features -> probabilities of one task.
   */
  kind: z.enum(["model", "task", "trunk", "shared", "head"]),
  /** The tasks whose probabilities (float32 [N,classes]) the file gives, each with the name of its output. */
  tasks: z.array(
    z.object({ name: z.string(), output: z.string(), classes: z.array(z.string()).min(1).max(1_000_000) }),
  ),
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
  }),
});

/** The metadata of an exported file. */
export type ModelMetadata = Readonly<z.infer<typeof metadataSchema>>;
export type ModelKind = ModelMetadata["kind"];
/** What a caller decides; format and version are this file's. */
export type MetadataContent = Omit<ModelMetadata, "format" | "version">;

/** The entries of metadata_props. */
export function encodeMetadata(content: MetadataContent): Record<string, string> {
  const metadata: ModelMetadata = { format: METADATA_FORMAT, version: METADATA_VERSION, ...content };
  return { [METADATA_KEY]: JSON.stringify(metadata) };
}

/** Reads metadata_props; `file` is for messages. E_MODEL_META where they are missing or not understood. */
export function readMetadata(
  props: readonly { readonly key: string; readonly value: string }[],
  file: string,
): ModelMetadata {
  const text = props.find(({ key }) => key === METADATA_KEY)?.value;
  const fail = (message: string, cause?: unknown): never => {
    const hint = "only files that `mttc export` wrote know their image size and classes";
    throw new MttcError({ code: "E_MODEL_META", message, at: { file }, hint }, { cause });
  };
  if (text === undefined) return fail(`the model has no metadata "${METADATA_KEY}"`);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    return fail(`the metadata "${METADATA_KEY}" is not JSON`, cause);
  }
  const parsed = metadataSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  return fail(`the metadata "${METADATA_KEY}" is not usable: ${issue?.path.join(".")}: ${issue?.message}`);
}
