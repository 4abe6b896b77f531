// Axes of charts, and numbers as short as they can be read.

export const MUTED = "var(--muted)";
const GRID = "var(--grid)";
const LABEL = { color: MUTED, fontSize: 11 } as const;

/** An axis of numbers; with a name where it has one, which then stands along it. */
export function valueAxis(name?: string, nameGap = 22): object {
  return {
    type: "value",
    ...(name === undefined ? {} : { name, nameLocation: "middle", nameGap }),
    nameTextStyle: LABEL,
    axisLabel: { ...LABEL, formatter: tickText, hideOverlap: true },
    axisLine: { show: name !== undefined, onZero: false, lineStyle: { color: MUTED } },
    axisTick: { show: false },
    splitLine: { lineStyle: { color: GRID } },
    splitNumber: 4,
  };
}

/** An axis of names. */
export function nameAxis(name: string, names: readonly string[]): object {
  return {
    ...valueAxis(name),
    ...{ type: "category", data: names, splitLine: { show: false } },
    axisLabel: { ...LABEL, hideOverlap: true },
  };
}

const DIGITS = 3;
const DECIMALS = 3;
const [MANY, FEW] = [1e4, 1e-3];
/** Ticks are round numbers: what lies beyond these digits is rounding. */
const TICK_DIGITS = 10;

/** 0.0125, 12, 3.2e-5: three digits, for captions. */
export function numberText(value: number): string {
  if (!Number.isFinite(value)) return "-";
  return isPlain(value) ? String(Number(value.toPrecision(DIGITS))) : shortExponent(value, DIGITS - 1);
}

/** A number of an axis, with all of its digits. */
function tickText(value: number): string {
  const exact = Number(value.toPrecision(TICK_DIGITS));
  return isPlain(exact) ? String(exact) : shortExponent(exact, DIGITS);
}

/** 0.500, 12.250, 1.23e+5: in columns the points stand below each other. */
export function cellText(value: number): string {
  if (!Number.isFinite(value)) return "-";
  return isPlain(value) || Math.abs(value) < FEW ? value.toFixed(DECIMALS) : shortExponent(value, DIGITS - 1);
}

function isPlain(value: number): boolean {
  const size = Math.abs(value);
  return size === 0 || (size >= FEW && size < MANY);
}

function shortExponent(value: number, decimals: number): string {
  return value.toExponential(decimals).replace(/\.?0+e/, "e");
}
