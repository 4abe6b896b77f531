//! `train BUNDLE TABLE OUT [--epochs N]`: trains and writes the state, which `mttc adopt` makes a run of.
//! `train --draws FILE`: what is drawn for cases in JSON, for the tests.
use mttc_client::train::{Report, Trainer, draw_cases};
use mttc_client::{Fault, Result, environment};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

const USAGE: &str = "usage: train BUNDLE TABLE OUT.safetensors [--epochs N]";
/// Something was refused.
const REFUSED: u8 = 2;

fn main() -> ExitCode {
    let arguments: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let done = match arguments.as_slice() {
        [flag, file] if flag.as_os_str() == "--draws" => draws(file),
        [bundle, table, out] => train(bundle, table, out, None),
        [bundle, table, out, flag, epochs] if flag.as_os_str() == "--epochs" => {
            match epochs.to_str().and_then(|epochs| epochs.parse().ok()) {
                Some(epochs @ 1..) => train(bundle, table, out, Some(epochs)),
                _ => return usage(),
            }
        }
        _ => return usage(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("error {fault}");
            ExitCode::from(REFUSED)
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::from(REFUSED)
}

fn draws(file: &Path) -> Result<()> {
    let text = fs::read_to_string(file).map_err(|error| Fault::new("E_FILE", error).at(file))?;
    println!("{}", draw_cases(&text)?);
    Ok(())
}

fn train(bundle: &Path, table: &Path, out: &Path, epochs: Option<u64>) -> Result<()> {
    check_output(out)?;
    let environment = environment()?;
    let mut trainer = Trainer::open(&environment, bundle, table)?;
    for epoch in 1..=epochs.unwrap_or(trainer.epochs()) {
        let report = trainer.train_epoch()?;
        println!("epoch {epoch}: {}", losses(&report));
    }
    trainer.save(out)
}

/// Mean losses of the labelled rows.
fn losses(report: &Report) -> String {
    let loss = |(task, figures): (&String, &std::collections::BTreeMap<String, f64>)| {
        let figure = |name: &str| figures.get(name).copied().unwrap_or(0.0);
        format!("{task} {:.4}", figure("loss_sum") / figure("count"))
    };
    report.iter().map(loss).collect::<Vec<_>>().join(", ")
}

/// What is there already is replaced only where it is a state of an earlier run.
fn check_output(out: &Path) -> Result<()> {
    let is_state = |bytes: &[u8]| bytes.get(8) == Some(&b'{');
    let is_folder = |parent: &Path| parent.as_os_str().is_empty() || parent.is_dir();
    let refuse = |code, what: &str| Err(Fault::new(code, what).at(out));
    match fs::metadata(out) {
        Ok(found) if !found.is_file() => refuse("E_FILE", "expected a file"),
        Ok(_) if !fs::read(out).is_ok_and(|bytes| is_state(&bytes)) => {
            refuse("E_RUN_EXISTS", "is there, and is no state")
        }
        Err(_) if !out.parent().is_some_and(is_folder) => refuse("E_FILE", "its folder is not there"),
        _ => Ok(()),
    }
}
