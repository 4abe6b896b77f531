//! From the numbers that a model gives for an image to answers, as `mttc predict` has them.
use crate::fault::{Fault, Result};
use crate::metadata::{Kind, Task};
use serde_json::{Value, json};

/// Probabilities, and their sum, may be off by what float16 and other providers round.
const SLACK: f32 = 0.01;

/// What a model says of an image for a task.
#[derive(Debug)]
pub struct Answer {
    pub task: String,
    pub kind: &'static str,
    pub said: Said,
    /// The model's output.
    pub numbers: Vec<f32>,
}

#[derive(Debug)]
pub enum Said {
    /// A class; unsure where its probability is smaller than the file asks.
    Class { name: String, unsure: bool },
    /// Tags, the most probable first.
    Tags(Vec<String>),
    /// Numbers in the unit of the training labels, and how far the truth lies from each at most, nine times
    /// of ten.
    Numbers { within: Option<Vec<f64>> },
}

/// The answer that a task's numbers give. E_MODEL_META where they cannot be what the task promises.
pub fn answer(task: &Task, numbers: Vec<f32>) -> Result<Answer> {
    let refuse =
        |what: &str| Fault::new("E_MODEL_META", format!("task {:?}: the model gives {what}", task.name));
    if numbers.len() != task.kind.width() {
        return Err(refuse(&format!("{} numbers in place of {}", numbers.len(), task.kind.width())));
    }
    if !numbers.iter().all(|number| number.is_finite()) {
        return Err(refuse("numbers that are not finite"));
    }
    let is_share = |number: &f32| (-SLACK..=1.0 + SLACK).contains(number);
    if !matches!(task.kind, Kind::Number { .. }) && !numbers.iter().all(is_share) {
        return Err(refuse("numbers that are no probabilities"));
    }
    let said = match &task.kind {
        Kind::Classes { classes, unsure_below } => {
            let sum: f32 = numbers.iter().sum();
            if (sum - 1.0).abs() > SLACK {
                return Err(refuse(&format!("probabilities that sum to {sum}")));
            }
            let best =
                (0..numbers.len()).fold(0, |best, i| if numbers[i] > numbers[best] { i } else { best });
            let unsure = unsure_below.is_some_and(|below| f64::from(numbers[best]) < below);
            Said::Class { name: classes[best].clone(), unsure }
        }
        Kind::Tags { tags, thresholds } => {
            let mut given: Vec<usize> =
                (0..tags.len()).filter(|&i| f64::from(numbers[i]) >= thresholds[i]).collect();
            given.sort_by(|&a, &b| numbers[b].total_cmp(&numbers[a]));
            Said::Tags(given.into_iter().map(|i| tags[i].clone()).collect())
        }
        Kind::Number { radius, .. } => Said::Numbers { within: radius.clone() },
    };
    Ok(Answer { task: task.name.clone(), kind: task.kind.name(), said, numbers })
}

/// A line of JSON for an image: `{"image": path, "tasks": [{"task", "kind", "answer", "numbers", ...},
/// ...]}`.
pub fn to_json(image: &str, answers: &[Answer]) -> Value {
    json!({ "image": image, "tasks": answers.iter().map(task_json).collect::<Vec<_>>() })
}

fn task_json(answer: &Answer) -> Value {
    let numbers: Vec<Value> = answer.numbers.iter().map(|&number| shortest(number)).collect();
    let said = match &answer.said {
        Said::Class { name, .. } => json!(name),
        Said::Tags(tags) => json!(tags),
        Said::Numbers { .. } => json!(numbers),
    };
    let mut line = json!({ "task": answer.task, "kind": answer.kind, "answer": said, "numbers": numbers });
    match &answer.said {
        Said::Class { unsure: true, .. } => line["unsure"] = json!(true),
        Said::Numbers { within: Some(within) } => line["within"] = json!(within),
        _ => {}
    }
    line
}

/// The shortest decimal that is read back as the same float32.
fn shortest(number: f32) -> Value {
    let digits: f64 = format!("{number:e}").parse().unwrap_or_else(|_| number.into());
    json!(digits)
}
