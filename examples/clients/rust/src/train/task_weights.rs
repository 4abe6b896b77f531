//! What a step draws for tasks, and what their losses are multiplied with (CONTRACT.md, "Task orders" and
//! "Weights of tasks").
use super::stream::Stream;

/// Mean losses of a task over the last epoch and over the one before it; NaN where there is none.
pub type LossPair = (f64, f64);

/// What a task's weight is multiplied with.
pub enum Factor {
    Constant,
    Average { temperature: f64 },
    Random { stream: String },
}

/// Of each task the places of the others in a drawn order, row-major.
pub fn task_orders(seed: u64, stream: &str, step: u32, tasks: usize) -> Vec<i64> {
    let mut numbers = Stream::new(seed, stream, step, 0);
    let mut order = |task: usize| {
        let mut places: Vec<i64> =
            (0..tasks).filter(|&place| place != task).map(|place| place as i64).collect();
        for last in (1..places.len()).rev() {
            places.swap(last, numbers.below(last + 1));
        }
        places
    };
    (0..tasks).flat_map(|task| order(task)).collect()
}

/// Factors by `dynamic_average`, of each task.
pub fn average_factors(losses: &[LossPair], temperature: f64) -> Vec<f64> {
    shares(losses.iter().map(|(last, before)| last / before / temperature).collect(), 1.0)
}

/// Factors by `random_softmax`, of each task; `present`: whether it has a label in the logical batch.
pub fn random_factors(seed: u64, stream: &str, step: u32, present: &[bool]) -> Vec<f64> {
    let drawn = |(t, &here): (usize, &bool)| {
        if here { Stream::new(seed, stream, step, t as u32).normal() } else { f64::NAN }
    };
    shares(present.iter().enumerate().map(drawn).collect(), 0.0)
}

/// K e / sum(e) of the K numbers that are finite, e the exponential of each; `other` for those that are not.
fn shares(numbers: Vec<f64>, other: f64) -> Vec<f64> {
    let known: Vec<f64> = numbers.iter().copied().filter(|number| number.is_finite()).collect();
    // The largest has the exponential 1: none overflows.
    let most = known.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = known.iter().map(|number| (number - most).exp()).sum();
    let share = |number: f64| {
        if number.is_finite() { known.len() as f64 * (number - most).exp() / sum } else { other }
    };
    numbers.into_iter().map(share).collect()
}
