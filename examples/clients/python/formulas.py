"""Numbers of a step that a formula gives, as compiler/bundle/CONTRACT.md says, in float64."""
import math, sys
from streams import normal

def scheduled(value, step, run):
    """A number as a function of the step, by its formula, in a run of so many steps."""
    formula, v, warmup, d = value["formula"], value["value"], value.get("warmup", 0), value.get("steps", 1)
    t, d, half = step - warmup, run if d == "run" else d, lambda share: (1 + math.cos(math.pi * share)) / 2
    if t < 0: return v * step / warmup
    if formula in ("constant", "warmup"): return v
    if formula in ("exponential", "staircase"): return v * value["rate"] ** (t // d if formula[0] == "s" else t / d)
    if formula == "cosine": return v * (value["least"] + (1 - value["least"]) * half(min(t / d, 1)))
    while formula == "cosine_restarts" and t >= d: t, d = t - d, d * value["growth"]
    if formula == "cosine_restarts": return v * half(t / d)
    if formula != "one_cycle": sys.exit(f"this driver does not know the formula {formula}")
    low, peak = 1 / value["start"], value["rise"] * d - 1
    if t <= peak: return v * (1 + (low - 1) * half(t / peak))
    return v * (low / value["end"] + (1 - low / value["end"]) * half(min((t - peak) / (d - 1 - peak), 1)))

def shares(numbers, other):
    """K e / sum(e) of the K numbers that are finite, e the exponential of each; `other` for the rest."""
    known = [number for number in numbers if math.isfinite(number)]
    powers = [math.exp(n - max(known)) if math.isfinite(n) else None for n in numbers]
    total = sum(power for power in powers if power is not None)
    return [other if power is None else len(known) * power / total for power in powers]

def average_factors(losses, temperature):
    """Factors of tasks by the means of their losses over the last epoch and the one before, nan for none."""
    return shares([last / before / temperature if before else math.nan for last, before in losses], 1)

def random_factors(present, *stream):
    """Factors of tasks by chance, of those that have a label in the batch."""
    return shares([normal(*stream, place) if here else math.nan for place, here in enumerate(present)], 0)
