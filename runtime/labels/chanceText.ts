// A small chance, such as that of a batch without a label of some task, as people say it.

/** From here on a chance is worth a warning. */
export const LIKELY = 0.01;

/** A chance in words: 12 %, 1 in 3,400, never. */
export function chanceText(chance: number): string {
  if (chance <= 0) return "never";
  if (chance >= LIKELY) return `${Math.round(100 * chance)} %`;
  return chance < 1e-9 ? "< 1 in 10\u2079" : `1 in ${shortCount(1 / chance)}`;
}

function shortCount(value: number): string {
  const units = ["", " k", " M"];
  const power = Math.min(units.length - 1, Math.floor(Math.log10(value) / 3));
  return `${Math.round(value / 1000 ** power)}${units[power] ?? ""}`;
}
