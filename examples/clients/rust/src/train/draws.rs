//! What is drawn, for whoever compares it: cases in JSON -> answers in JSON
//! (test/clients/trainers/drawCases.ts).
use super::augment::{OPERATIONS, Operation, columns};
use super::order::{Balance, epoch_order};
use super::schedule::Schedule;
use super::stream::Stream;
use super::task_weights::{average_factors, random_factors, task_orders};
use super::trainer::draw_mask;
use crate::check::Checked;
use crate::fault::{Fault, Result};
use serde_json::{Value, json};

const MOST: u64 = 1 << 53;
const MANY: usize = 1 << 20;

/// The answers to all cases, in their order.
pub fn draw_cases(text: &str) -> Result<Value> {
    let cases: Value = serde_json::from_str(text).map_err(|error| Fault::new("E_FILE", error))?;
    let cases = Checked::root(&cases, "the cases", "E_FILE");
    let each = |key: &str, draw: fn(&Checked) -> Result<Value>| -> Result<Vec<Value>> {
        cases.get(key).list(0, MANY)?.iter().map(draw).collect()
    };
    Ok(json!({
        "streams": each("streams", streams)?,
        "augment": each("augment", augment)?,
        "schedules": each("schedules", schedules)?,
        "masks": each("masks", masks)?,
        "orders": each("orders", orders)?,
        "taskOrders": each("taskOrders", orders_of_tasks)?,
        "averages": each("averages", averages)?,
        "randomFactors": each("randomFactors", factors)?,
    }))
}

fn int(case: &Checked, key: &str) -> Result<u64> {
    case.get(key).int(0, MOST)
}

fn streams(case: &Checked) -> Result<Value> {
    let [seed, time, index] = ["seed", "time", "index"].map(|key| int(case, key));
    let stream = |purpose| -> Result<Stream> {
        Ok(Stream::new(seed.clone()?, purpose, time.clone()? as u32, index.clone()? as u32))
    };
    let purpose = case.get("purpose").string()?;
    let (mut words, mut numbers) = (stream(purpose)?, stream(purpose)?);
    let words: Vec<u32> = (0..int(case, "words")?).map(|_| words.word()).collect();
    let numbers: Vec<f64> = (0..int(case, "numbers")?).map(|_| numbers.uniform()).collect();
    Ok(json!({ "words": words, "numbers": numbers }))
}

fn augment(case: &Checked) -> Result<Value> {
    let stream = case.get("stream").string()?;
    let operation = Operation {
        name: case.get("name").word(&OPERATIONS)?.into(),
        strength: case.get("strength").number(-1e9, 1e9)?,
        stream: stream.into(),
    };
    let (seed, epoch, first) = (int(case, "seed")?, int(case, "epoch")? as u32, int(case, "first")?);
    let size = (int(case, "height")? as usize, int(case, "width")? as usize);
    let rows = first..first + int(case, "samples")?;
    let row = |i: u64| columns(&operation, Stream::new(seed, stream, epoch, i as u32), size);
    let numbers: Vec<f32> = rows.flat_map(row).map(|number| number as f32).collect();
    Ok(json!(numbers))
}

fn schedules(case: &Checked) -> Result<Value> {
    let (schedule, run) = (Schedule::parse(&case.get("value"))?, int(case, "run")?);
    Ok(json!((0..int(case, "steps")?).map(|step| schedule.at(step, run)).collect::<Vec<_>>()))
}

fn masks(case: &Checked) -> Result<Value> {
    let shape = case.get("shape").list(4, 4)?;
    let count: u64 = shape.iter().map(|size| size.int(1, MOST)).collect::<Result<Vec<_>>>()?.iter().product();
    let (seed, step) = (int(case, "seed")?, int(case, "step")? as u32);
    let rate = case.get("rate").number(0.0, 1.0)?;
    let mask = draw_mask(seed, case.get("stream").string()?, step, rate, count as usize);
    Ok(json!(mask.collect::<Vec<f32>>()))
}

fn orders(case: &Checked) -> Result<Value> {
    let group = |group: &Checked| Ok(group.raw().and_then(Value::as_u64).map(|group| group as usize));
    let columns = case.get("groups").list(1, MANY)?;
    let columns = columns.iter().map(|column| column.list(1, MANY)?.iter().map(group).collect());
    let columns: Vec<Vec<Option<usize>>> = columns.collect::<Result<_>>()?;
    let groups = columns.iter().map(Vec::as_slice).collect();
    let flag = |key: &str| case.get(key).bool();
    let balance = Balance { probs: flag("balance_probs")?, classes: flag("balance_classes")? };
    let places = columns[0].len().next_multiple_of(int(case, "batchSize")? as usize);
    Ok(json!(epoch_order(&groups, balance, int(case, "seed")?, int(case, "epoch")? as u32, places)))
}

fn orders_of_tasks(case: &Checked) -> Result<Value> {
    let (step, tasks) = (int(case, "step")? as u32, int(case, "tasks")? as usize);
    Ok(json!(task_orders(int(case, "seed")?, case.get("stream").string()?, step, tasks)))
}

fn averages(case: &Checked) -> Result<Value> {
    let loss = |loss: &Checked| loss.raw().and_then(Value::as_f64).unwrap_or(f64::NAN);
    let pair = |pair: &Checked| pair.list(2, 2).map(|pair| (loss(&pair[0]), loss(&pair[1])));
    let losses = case.get("losses").list(1, MANY)?.iter().map(pair).collect::<Result<Vec<_>>>()?;
    Ok(json!(average_factors(&losses, case.get("temperature").number(0.0, 1e9)?)))
}

fn factors(case: &Checked) -> Result<Value> {
    let present = case.get("present").list(1, MANY)?.iter().map(Checked::bool).collect::<Result<Vec<_>>>()?;
    let (seed, step) = (int(case, "seed")?, int(case, "step")? as u32);
    Ok(json!(random_factors(seed, case.get("stream").string()?, step, &present)))
}
