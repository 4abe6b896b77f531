// Names and values as MLflow takes them: keys of letters, digits and a few signs, at most 250 characters,
// values of params at most 500 (what every store holds), requests with at most 1000 metrics, 100 params or
// tags and 1 MB. Source: mlflow/utils/validation.py and MLflow's page of its REST API.

export const MAX_METRICS = 1000;
export const MAX_PARAMS = 100;
/** Of the body of a request, in bytes; MLflow ends at a million. */
const MAX_BODY_BYTES = 900_000;
const MAX_KEY = 250;
const MAX_PARAM_VALUE = 500;
const MAX_TAG_VALUE = 5000;

/** A key that MLflow takes; the same for the same name. */
export function mlflowKey(name: string): string {
  const plain = name.replace(/[^/\w.\- \p{L}\p{N}]/gu, "_").replace(/(^|\/)\.{1,2}(?=\/|$)/g, "$1_");
  const path = plain
    .split("/")
    .filter((part) => part !== "")
    .join("/");
  return path.length <= MAX_KEY ? path : path.slice(0, MAX_KEY);
}

/**
 * Keys for names, in which no two are one: of those that MLflow's letters make alike, later ones get a
 * number.
 */
export class MlflowKeys {
  readonly #keys = new Map<string, string>();
  readonly #taken = new Set<string>();

  of(name: string): string {
    const known = this.#keys.get(name);
    if (known !== undefined) return known;
    const plain = mlflowKey(name);
    let key = plain;
    for (let count = 2; this.#taken.has(key); count++) key = `${plain.slice(0, MAX_KEY - 4)}_${count}`;
    this.#keys.set(name, key);
    this.#taken.add(key);
    return key;
  }
}

/** A param's value; a long one is cut, which its end shows. */
export function paramValue(value: string | number | boolean): string {
  return cut(String(value), MAX_PARAM_VALUE);
}

export function tagValue(value: string): string {
  return cut(value, MAX_TAG_VALUE);
}

function cut(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most - 3)}...`;
}

/** Lists of at most `most` items, whose JSON stays below the size of a request. */
export function batches<T>(items: readonly T[], most: number): T[][] {
  const made: T[][] = [];
  let [batch, bytes]: [T[], number] = [[], 0];
  for (const item of items) {
    const size = Buffer.byteLength(JSON.stringify(item)) + 1;
    if (batch.length > 0 && (batch.length === most || bytes + size > MAX_BODY_BYTES)) {
      made.push(batch);
      [batch, bytes] = [[], 0];
    }
    batch.push(item);
    bytes += size;
  }
  return batch.length > 0 ? [...made, batch] : made;
}
