// JSON in COCO's form: images, categories, and annotations that tie them. The categories of an image's
// annotations are its labels, boxes or not; so are an image's own category, tags and attributes. Where every
// image has at most one category of each supercategory, those are the tasks.
import { z } from "zod";
import { ExportBuilder, type LabelExport, notAnExport, splitNamed } from "./labelExport.ts";

/** The task of categories and of tags where the file names none. */
const CATEGORY_TASK = "category";
const TAG_TASK = "tags";

const id = z.union([z.number(), z.string()]);
const attributes = z.record(z.string(), z.unknown());
const image = z.looseObject({
  id,
  file_name: z.string(),
  split: z.string().optional(),
  category_id: id.nullish(),
  tags: z.array(z.unknown()).optional(),
  attributes: attributes.optional(),
  extra: z.looseObject({ user_tags: z.array(z.unknown()).optional() }).optional(),
});
const annotation = z.looseObject({
  image_id: id,
  category_id: id.optional(),
  attributes: attributes.optional(),
});
const category = z.looseObject({ id, name: z.string(), supercategory: z.string().nullish() });
const dataset = z.looseObject({
  images: z.array(image),
  annotations: z.array(annotation).default([]),
  categories: z.array(category).default([]),
});

/** Attributes that tools add to every annotation, about its shape. */
const SHAPE_ATTRIBUTES: ReadonlySet<string> = new Set([
  "occluded",
  "rotation",
  "track_id",
  "keyframe",
  "z_order",
]);

type Category = z.output<typeof category>;

/** Whether parsed JSON has COCO's form. */
export function isCoco(value: unknown): boolean {
  return typeof value === "object" && value !== null && "images" in value && Array.isArray(value.images);
}

/** Reads COCO's form. E_CSV_SHAPE where a part has not the form, E_LABEL for ids of nothing. */
export function readCoco(value: unknown, file: string): LabelExport {
  const parsed = dataset.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw notAnExport(file, `not in COCO's form: ${issue?.message}`, { path: issue?.path.join(".") ?? "" });
  }
  const { images, annotations, categories } = parsed.data;
  const builder = new ExportBuilder();
  const categoryOf = new Map(categories.map((one) => [String(one.id), one]));
  const nameOf = new Map(images.map((one) => [String(one.id), one.file_name]));
  for (const one of images) takeImage(builder, one);
  const chosen: Chosen[] = images.flatMap((one) =>
    one.category_id === undefined || one.category_id === null
      ? []
      : [
          {
            image: one.file_name,
            category: categoryOf.get(String(one.category_id)),
            place: `image ${one.id}`,
          },
        ],
  );
  for (const [index, one] of annotations.entries()) {
    const name = nameOf.get(String(one.image_id));
    const place = `annotation ${typeof one.id === "number" || typeof one.id === "string" ? one.id : index}`;
    if (name === undefined) builder.passOver("annotations of images that are not listed");
    else {
      takeAttributes(builder, name, one.attributes, place);
      if (one.category_id !== undefined)
        chosen.push({ image: name, category: categoryOf.get(String(one.category_id)), place });
    }
  }
  takeCategories(builder, chosen);
  return builder.finish("COCO's form");
}

interface Chosen {
  readonly image: string;
  readonly category: Category | undefined;
  readonly place: string;
}

function takeImage(builder: ExportBuilder, one: z.output<typeof image>): void {
  const { file_name: name, tags = [], extra } = one;
  builder.image(name, one.split === undefined ? undefined : splitNamed(one.split));
  const place = `image ${one.id}`;
  takeAttributes(builder, name, one.attributes, place);
  const names = [...tags, ...(extra?.user_tags ?? [])].flatMap(tagName);
  if (names.length > 0) builder.label({ image: name, task: TAG_TASK, names, adds: true, place });
}

/** A tag is a name, or an object with one. */
function tagName(tag: unknown): string[] {
  if (typeof tag === "string" || typeof tag === "number") return [String(tag)];
  if (typeof tag === "object" && tag !== null && "name" in tag) return [String(tag.name)];
  return [];
}

function takeAttributes(
  builder: ExportBuilder,
  name: string,
  given: Readonly<Record<string, unknown>> = {},
  place: string,
): void {
  for (const [task, value] of Object.entries(given)) {
    if (SHAPE_ATTRIBUTES.has(task)) continue;
    if (["string", "number", "boolean"].includes(typeof value))
      builder.label({ image: name, task, names: [String(value)], place });
    else builder.passOver(`attributes "${task}" that are no text or number`);
  }
}

function takeCategories(builder: ExportBuilder, chosen: readonly Chosen[]): void {
  const isTaskEach = supercategoriesAreTasks(chosen);
  for (const { image: name, category: one, place } of chosen) {
    if (one === undefined) builder.passOver("annotations of categories that are not listed");
    else {
      const task = isTaskEach ? (one.supercategory ?? CATEGORY_TASK) : CATEGORY_TASK;
      builder.label({ image: name, task, names: [one.name], adds: true, place });
    }
  }
}

/** Some image has several categories, and none has two of one supercategory. */
function supercategoriesAreTasks(chosen: readonly Chosen[]): boolean {
  const ofImages = new Map<string, Map<string, string>>();
  let hasSeveral = false;
  for (const { image: name, category: one } of chosen) {
    const group = one?.supercategory;
    if (one === undefined || !group) return false;
    const groups = ofImages.get(name) ?? new Map<string, string>();
    ofImages.set(name, groups);
    const known = groups.get(group);
    if (known !== undefined && known !== one.name) return false;
    groups.set(group, one.name);
    hasSeveral ||= groups.size > 1;
  }
  return hasSeveral;
}
