// When two spellings are one class: numbers by their value ("1", "1.0" and 1.0), text by its letters in NFC.
// In: a label or a class name as people write it. Out: the key, which is also the shortest spelling.

/** Decimal places that are written out before an exponent is shorter, as JavaScript prints numbers. */
const PLAIN_DIGITS = 21;
const PLAIN_ZEROS = 6;

/**
 * The shortest decimal spelling of a number, computed on its digits, so that an id of twenty of them stays
 * what it is; undefined for text that is no decimal number.
 */
export function numberText(text: string): string | undefined {
  const parts = /^([+-]?)(?:(\d+)(?:\.(\d*))?|\.(\d+))(?:e([+-]?\d+))?$/i.exec(text);
  if (parts === null) return undefined;
  const [, sign = "", whole = "", fraction = parts[4] ?? "", , exponent = "0"] = parts;
  const padded = whole + fraction;
  const digits = padded.replace(/^0+/, "");
  // value = 0.digits * 10^point
  const point = whole.length + Number(exponent) - (padded.length - digits.length);
  const significant = digits.replace(/0+$/, "");
  if (significant === "") return "0";
  return (sign === "-" ? "-" : "") + decimalText(significant, point);
}

function decimalText(digits: string, point: number): string {
  if (point > Math.max(PLAIN_DIGITS, digits.length) || point <= -PLAIN_ZEROS) {
    const rest = digits.length > 1 ? `.${digits.slice(1)}` : "";
    return `${digits[0]}${rest}e${point > 0 ? "+" : ""}${point - 1}`;
  }
  if (point <= 0) return `0.${"0".repeat(-point)}${digits}`;
  if (point >= digits.length) return digits.padEnd(point, "0");
  return `${digits.slice(0, point)}.${digits.slice(point)}`;
}

/** Spellings with one key are one class; the key is how that class is spelled. */
export function classKey(label: string): string {
  return numberText(label) ?? label.normalize("NFC");
}
