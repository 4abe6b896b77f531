// CVAT's XML of images (CVAT for images 1.1): the tags of an image are labels of the task "label", the
// attributes of its tags are tasks of their own. Read as a stream: memory is that of the labels.
import { createReadStream } from "node:fs";
import sax from "sax";
import { MttcError } from "../../compiler/diagnostics.ts";
import { ExportBuilder, type LabelExport, notAnExport, splitNamed } from "./labelExport.ts";

const TAG_TASK = "label";
const SHAPES: ReadonlySet<string> = new Set([
  "box",
  "polygon",
  "polyline",
  "points",
  "mask",
  "cuboid",
  "ellipse",
  "skeleton",
]);

/** Reads an annotations.xml. E_CSV_SHAPE with its line for XML that is broken or not CVAT's. */
export async function readCvat(file: string): Promise<LabelExport> {
  const reader = new CvatReader(file);
  const decoder = new TextDecoder("utf-8", { fatal: true });
  for await (const piece of createReadStream(file)) reader.write(decodeText(decoder, file, piece));
  reader.write(decodeText(decoder, file));
  return reader.finish();
}

function decodeText(decoder: InstanceType<typeof TextDecoder>, file: string, piece?: Uint8Array): string {
  try {
    return piece ? decoder.decode(piece, { stream: true }) : decoder.decode();
  } catch (cause) {
    throw new MttcError(notAnExport(file, "the XML is not UTF-8 text").faults, { cause });
  }
}

/** Follows the elements of the file. */
class CvatReader {
  readonly #file: string;
  readonly #parser = sax.parser(true);
  readonly #builder = new ExportBuilder();
  /** Names of the elements that are open. */
  readonly #open: string[] = [];
  /** Attributes of tags by name, with the labels that have them: two labels may each have a "colour". */
  readonly #found: {
    readonly image: string;
    readonly label: string;
    name: string;
    text: string;
    line: number;
  }[] = [];
  #image: string | undefined;
  #label: string | undefined;
  #isCvat = false;

  constructor(file: string) {
    this.#file = file;
    this.#parser.onerror = (error) => this.#refuse(error.message.split("\n")[0] ?? "broken XML");
    this.#parser.onopentag = ({ name, attributes }) =>
      this.#begin(name, attributes as Record<string, string>);
    this.#parser.onclosetag = () => this.#end();
    this.#parser.ontext = (text) => this.#text(text);
    this.#parser.oncdata = (text) => this.#text(text);
  }

  write(text: string): void {
    this.#parser.write(text);
  }

  finish(): LabelExport {
    if (this.#open.length > 0 || !this.#isCvat) this.#refuse("the XML ends too early, or is not CVAT's");
    const labelsOf = new Map<string, Set<string>>();
    for (const { name, label } of this.#found)
      labelsOf.set(name, (labelsOf.get(name) ?? new Set()).add(label));
    for (const { image, label, name, text, line } of this.#found) {
      const task = (labelsOf.get(name)?.size ?? 0) > 1 ? `${label} ${name}` : name;
      this.#builder.label({ image, task, names: [text.trim()], place: `line ${line}` });
    }
    return this.#builder.finish("CVAT's XML of images");
  }

  #begin(name: string, attributes: Readonly<Record<string, string>>): void {
    const parent = this.#open.at(-1);
    this.#open.push(name);
    if (parent === undefined) this.#isCvat = name === "annotations";
    if (!this.#isCvat) this.#refuse(`expected CVAT's <annotations>, found <${name}>`);
    if (name === "track" && parent === "annotations")
      this.#refuse('this is CVAT\'s form for videos; export it as "CVAT for images 1.1"');
    if (name === "image" && parent === "annotations") {
      this.#image = attributes.name ?? this.#refuse("an image without a name");
      this.#builder.image(this.#image, splitNamed(attributes.subset ?? ""));
    } else if (this.#image !== undefined && parent === "image") this.#beginShape(name, attributes);
    else if (name === "attribute" && this.#label !== undefined && this.#image !== undefined) {
      const { line } = this.#parser;
      this.#found.push({
        image: this.#image,
        label: this.#label,
        name: attributes.name ?? "",
        text: "",
        line: line + 1,
      });
    }
  }

  #beginShape(name: string, attributes: Readonly<Record<string, string>>): void {
    if (SHAPES.has(name)) this.#builder.passOver(`shapes: ${name}`);
    if (name !== "tag") return;
    this.#label = attributes.label ?? this.#refuse("a tag without a label");
    const place = `line ${this.#parser.line + 1}`;
    const image = this.#image ?? "";
    this.#builder.label({ image, task: TAG_TASK, names: [this.#label], adds: true, place });
  }

  #end(): void {
    const name = this.#open.pop();
    if (name === "image") this.#image = undefined;
    if (name === "tag") this.#label = undefined;
  }

  #text(text: string): void {
    const last = this.#found.at(-1);
    if (this.#open.at(-1) === "attribute" && this.#label !== undefined && last !== undefined)
      last.text += text;
  }

  #refuse(message: string): never {
    throw notAnExport(this.#file, message, { line: this.#parser.line + 1 });
  }
}
