//! Numbers that are a function of the step (CONTRACT.md, "Schedules").
use crate::check::Checked;
use crate::fault::Result;
use std::f64::consts::PI;

/// The largest is `value`; the share of it at step t after `warmup` steps of rising.
#[derive(Debug, Clone)]
pub struct Schedule {
    value: f64,
    warmup: f64,
    shape: Shape,
}

#[derive(Debug, Clone)]
enum Shape {
    Constant,
    Exponential {
        steps: f64,
        rate: f64,
    },
    Staircase {
        steps: f64,
        rate: f64,
    },
    Cosine {
        steps: f64,
        least: f64,
    },
    CosineRestarts {
        steps: f64,
        growth: f64,
    },
    /// Without `steps` of the whole run.
    OneCycle {
        steps: Option<f64>,
        rise: f64,
        start: f64,
        end: f64,
    },
}

const FORMULAS: [&str; 7] =
    ["constant", "warmup", "exponential", "staircase", "cosine", "cosine_restarts", "one_cycle"];
const MOST: f64 = 9e15;

impl Schedule {
    /// A formula of the manifest; one that is not known is refused.
    pub fn parse(entry: &Checked) -> Result<Self> {
        let number = |key: &str, least: f64| entry.get(key).number(least, MOST);
        let steps = || number("steps", 1.0);
        let shape = match entry.get("formula").word(&FORMULAS)? {
            "exponential" => Shape::Exponential { steps: steps()?, rate: number("rate", 0.0)? },
            "staircase" => Shape::Staircase { steps: steps()?, rate: number("rate", 0.0)? },
            "cosine" => Shape::Cosine { steps: steps()?, least: number("least", 0.0)? },
            "cosine_restarts" => Shape::CosineRestarts { steps: steps()?, growth: number("growth", 1.0)? },
            "one_cycle" => Shape::OneCycle {
                steps: if entry.get("steps").word(&["run"]).is_ok() { None } else { Some(steps()?) },
                rise: number("rise", 0.0)?,
                start: number("start", f64::MIN_POSITIVE)?,
                end: number("end", f64::MIN_POSITIVE)?,
            },
            _ => Shape::Constant,
        };
        let warmup = if entry.get("warmup").exists() { number("warmup", 0.0)? } else { 0.0 };
        Ok(Self { value: entry.get("value").number(-f64::MAX, f64::MAX)?, warmup, shape })
    }

    /// The number at a step of a run of so many steps.
    pub fn at(&self, step: u64, run: u64) -> f64 {
        let step = step as f64;
        let t = step - self.warmup;
        if t < 0.0 { self.value * step / self.warmup } else { self.value * self.shape.share(t, run as f64) }
    }
}

impl Shape {
    fn share(&self, mut t: f64, run: f64) -> f64 {
        let half = |x: f64| (1.0 + (PI * x).cos()) / 2.0;
        match *self {
            Self::Constant => 1.0,
            Self::Exponential { steps, rate } => rate.powf(t / steps),
            Self::Staircase { steps, rate } => rate.powf((t / steps).floor()),
            Self::Cosine { steps, least } => least + (1.0 - least) * half((t / steps).min(1.0)),
            Self::CosineRestarts { steps: mut period, growth } => {
                while t >= period {
                    t -= period;
                    period *= growth;
                }
                half(t / period)
            }
            Self::OneCycle { steps, rise, start, end } => {
                let (low, all) = (1.0 / start, steps.unwrap_or(run));
                let (last, peak) = (low / end, rise * all - 1.0);
                if t <= peak {
                    1.0 + (low - 1.0) * half(t / peak)
                } else {
                    last + (1.0 - last) * half(((t - peak) / (all - 1.0 - peak)).min(1.0))
                }
            }
        }
    }
}
