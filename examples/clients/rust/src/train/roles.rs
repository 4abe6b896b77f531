//! What an input of a graph is for (CONTRACT.md, "Roles"), and that it can be filled.
use super::augment::{OPERATIONS, Operation};
use super::bundle::{Bundle, Input, Missing, Role, Scalar, TaskKind, Weights, input_shape};
use super::schedule::Schedule;
use super::task_weights::Factor;
use crate::check::Checked;
use crate::fault::Result;

const ROLES: [&str; 10] =
    ["state", "accumulator", "losses", "image", "features", "augment", "label", "mask", "draw", "scalar"];
const SCALARS: [&str; 4] = ["learning_rate", "task_weight", "class_weights", "inverse_count"];

/// An input; `every` are the inputs of all graphs, which it may name.
pub fn input(entry: &Checked, every: &[Checked], bundle: &Bundle) -> Result<Input> {
    let shape = input_shape(entry)?;
    let role = match entry.get("role").word(&ROLES)? {
        "state" => Role::State,
        "accumulator" | "losses" => typed(entry, "float32", Role::Sum)?,
        "image" => Role::Image,
        "features" => typed(entry, "float32", Role::Features)?,
        "augment" => typed(entry, "float32", augment(entry)?)?,
        "label" => label(entry, bundle)?,
        "mask" => {
            entry.get("draw").word(&["scaled_bernoulli"])?;
            let stream = entry.get("stream").string()?.to_owned();
            typed(entry, "float32", Role::Mask { stream, rate: entry.get("rate").number(0.0, 0.999_999)? })?
        }
        "draw" => {
            entry.get("draw").word(&["task_orders"])?;
            let tasks = bundle.tasks.len();
            if shape != [tasks, tasks - 1] {
                return Err(entry.get("shape").refuse(&format!("[{tasks}, {}]", tasks - 1)));
            }
            typed(entry, "int64", Role::TaskOrders { stream: entry.get("stream").string()?.to_owned() })?
        }
        _ => typed(entry, "float32", Role::Scalar(scalar(entry, &shape, every, bundle)?))?,
    };
    let rows = shape.first().copied();
    let is_of_rows = matches!(role, Role::Label { .. } | Role::Mask { .. } | Role::Augment(_));
    if is_of_rows && rows != Some(bundle.part) {
        return Err(entry.get("shape").refuse(&format!("{} rows", bundle.part)));
    }
    Ok(Input { name: entry.get("name").text()?.into(), shape, role })
}

fn typed(entry: &Checked, dtype: &'static str, role: Role) -> Result<Role> {
    entry.get("dtype").word(&[dtype])?;
    Ok(role)
}

fn augment(entry: &Checked) -> Result<Role> {
    let operations = entry.get("operations").list(1, 100)?;
    let operations = operations.iter().map(|operation| {
        Ok(Operation {
            name: operation.get("name").word(&OPERATIONS)?.into(),
            strength: operation.get("strength").number(-1e9, 1e9)?,
            stream: operation.get("stream").string()?.into(),
        })
    });
    Ok(Role::Augment(operations.collect::<Result<_>>()?))
}

fn task_of(entry: &Checked, bundle: &Bundle) -> Result<usize> {
    let name = entry.get("task");
    let text = name.text()?;
    bundle.tasks.iter().position(|task| task.name == text).ok_or_else(|| name.refuse("the name of a task"))
}

fn label(entry: &Checked, bundle: &Bundle) -> Result<Role> {
    let task = task_of(entry, bundle)?;
    let encoding = entry.get("encoding");
    let missing = entry.get("missing");
    let missing = match (encoding.word(&["class_index", "number", "flags"])?, &bundle.tasks[task].kind) {
        ("class_index", TaskKind::Classes(_)) => {
            entry.get("dtype").word(&["int64"])?;
            Missing::Class(missing.number(-1e9, -1.0)? as i64)
        }
        ("number", TaskKind::Number) => {
            entry.get("dtype").word(&["float32"])?;
            Missing::Number(if missing.word(&["nan"]).is_ok() {
                f32::NAN
            } else {
                missing.number(-1e30, 1e30)? as f32
            })
        }
        ("flags", TaskKind::Tags { .. }) => {
            entry.get("dtype").word(&["uint8"])?;
            Missing::Flag(missing.int(2, 255)? as u8)
        }
        _ => return Err(encoding.refuse("the encoding of the task's kind")),
    };
    Ok(Role::Label { task, missing })
}

fn scalar(entry: &Checked, shape: &[usize], every: &[Checked], bundle: &Bundle) -> Result<Scalar> {
    let value = entry.get("value");
    match entry.get("scalar").word(&SCALARS)? {
        "task_weight" => Ok(Scalar::TaskWeight {
            value: value.get("value").number(-1e30, 1e30)?,
            task: task_of(entry, bundle)?,
            factor: factor(&value)?,
        }),
        "class_weights" => Ok(Scalar::Weights(weights(entry, shape)?, task_of(entry, bundle)?)),
        "inverse_count" => {
            let task = task_of(entry, bundle)?;
            if value.get("formula").word(&["inverse_labelled", "inverse_weight"])? == "inverse_labelled" {
                return Ok(Scalar::InverseLabelled(task));
            }
            let name = value.get("weights");
            let named = every.iter().find(|other| other.get("name").raw() == name.raw());
            let named = named.ok_or_else(|| name.refuse("the name of an input"))?;
            Ok(Scalar::InverseWeight { task, weights: weights(named, &input_shape(named)?)? })
        }
        _ => Ok(Scalar::Schedule(Schedule::parse(&value)?)),
    }
}

fn factor(value: &Checked) -> Result<Factor> {
    Ok(match value.get("formula").word(&["constant", "dynamic_average", "random_softmax"])? {
        "constant" => Factor::Constant,
        "dynamic_average" => Factor::Average { temperature: value.get("temperature").number(1e-9, 1e9)? },
        _ => Factor::Random { stream: value.get("stream").string()?.to_owned() },
    })
}

fn weights(entry: &Checked, shape: &[usize]) -> Result<Weights> {
    let value = entry.get("value");
    let count = shape.first().copied().unwrap_or(1);
    Ok(match value.get("formula").word(&["constant", "balanced", "balanced_positives"])? {
        "constant" => Weights::Constant(value.get("value").numbers(count, 0.0, 1e30)?),
        "balanced" => Weights::Balanced(count),
        _ => Weights::BalancedPositives,
    })
}
