// JSON that is an array -> the text of its elements with their lines, piece by piece: memory is one
// element's, however long the array. What an element holds is for others to read.
import { MAX_RECORD_CHARACTERS } from "./delimitedText.ts";

/** What a reader reports; lines count from 1. */
export interface ElementSink {
  element(text: string, line: number): void;
  /** What breaks the array; nothing after it is read. */
  malformed(message: string, line: number): void;
  /** An element over MAX_RECORD_CHARACTERS; must throw. */
  tooLong(line: number): never;
}

/** Where the scan is: before the array, in an element, in a string of one, behind the array, or given up. */
type Place = "before" | "element" | "string" | "after" | "broken";

/** Takes text piece by piece. */
export class JsonArrayReader {
  readonly #sink: ElementSink;
  #text = "";
  /** Where the element begins in the text, and where the next character to look at stands. */
  #start = 0;
  #position = 0;
  #place: Place = "before";
  /** Brackets that are open within the element. */
  #depth = 0;
  #isEscaped = false;
  #line = 1;
  #elementLine = 1;
  #elements = 0;

  constructor(sink: ElementSink) {
    this.#sink = sink;
  }

  push(text: string): void {
    this.#text += text;
    for (; this.#position < this.#text.length; this.#position++) {
      if (this.#look(this.#text[this.#position] ?? "")) continue;
      if (this.#place === "broken") break;
      const text = this.#text.slice(this.#start, this.#position);
      this.#finish(text, this.#text[this.#position] === "]");
      this.#start = this.#position + 1;
    }
    this.#text = this.#place === "element" || this.#place === "string" ? this.#text.slice(this.#start) : "";
    [this.#start, this.#position] = [0, this.#text.length];
    if (this.#text.length > MAX_RECORD_CHARACTERS) this.#sink.tooLong(this.#elementLine);
  }

  end(): void {
    if (this.#place !== "after" && this.#place !== "broken")
      this.#sink.malformed("the array is never closed", this.#line);
  }

  /** Follows one character; false where an element ends with it, or the array is broken. */
  #look(character: string): boolean {
    if (character === "\n") this.#line++;
    switch (this.#place) {
      case "string":
        if (this.#isEscaped) this.#isEscaped = false;
        else if (character === "\\") this.#isEscaped = true;
        else if (character === '"') this.#place = "element";
        return true;
      case "element":
        return this.#lookInElement(character);
      case "broken":
        return false;
      default:
        return this.#lookOutside(character);
    }
  }

  #lookInElement(character: string): boolean {
    if (character === '"') this.#place = "string";
    else if (character === "{" || character === "[") this.#depth++;
    else if (this.#depth > 0 && (character === "}" || character === "]")) this.#depth--;
    else return this.#depth > 0 || (character !== "," && character !== "]");
    return true;
  }

  #lookOutside(character: string): boolean {
    if (/\s/.test(character)) return true;
    if (this.#place === "before" && character === "[") {
      this.#place = "element";
      this.#elementLine = this.#line;
      this.#start = this.#position + 1;
      return true;
    }
    this.#sink.malformed(`unexpected ${JSON.stringify(character)} outside of the array`, this.#line);
    this.#place = "broken";
    return false;
  }

  #finish(written: string, isLast: boolean): void {
    const text = written.trim();
    const isEmptyArray = text === "" && isLast && this.#elements === 0;
    if (isLast) this.#place = "after";
    const blankLines = written.slice(0, written.indexOf(text)).split("\n").length - 1;
    if (text !== "") this.#sink.element(text, this.#elementLine + blankLines);
    else if (!isEmptyArray) {
      this.#sink.malformed("an element is missing", this.#line);
      this.#place = "broken";
    }
    this.#elements++;
    this.#elementLine = this.#line;
  }
}
