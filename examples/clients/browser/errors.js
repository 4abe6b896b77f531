// @ts-check
// What a client says of bad input: a code of mttc's catalogue, and a sentence.

/** A fault of a file that was given, never one of this program. */
export class ClientError extends Error {
  /**
   * @param {string} code of mttc's catalogue: E_MODEL_META, E_IMG_FORMAT ...
   * @param {string} message what is wrong, and what was expected
   * @param {unknown} [cause]
   */
  constructor(code, message, cause) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = code;
    this.code = code;
  }
}

/** A fault as a worker sends it; what is none of ours is ONNX Runtime's. @param {unknown} error */
export function faultOf(error) {
  if (error instanceof ClientError) return { code: error.code, message: error.message };
  return { code: "E_ORT", message: firstLineOf(error) };
}

/** The first line of what went wrong. @param {unknown} error */
export function firstLineOf(error) {
  const text = error instanceof Error ? error.message : String(error);
  return text.split("\n", 1)[0] ?? text;
}
