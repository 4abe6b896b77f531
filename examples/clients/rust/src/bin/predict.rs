//! `predict [--pixels DIR] MODEL IMAGE...`: a line of JSON for each image.
use mttc_client::{Fault, Model, Result, environment, to_json};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

const USAGE: &str = "usage: predict [--pixels DIR] MODEL IMAGE...";
/// Something was refused.
const REFUSED: u8 = 2;

fn main() -> ExitCode {
    let arguments: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let (pixels, files) = match arguments.as_slice() {
        [flag, folder, files @ ..] if flag.as_os_str() == "--pixels" => (Some(folder.as_path()), files),
        files => (None, files),
    };
    let [model, images @ ..] = files else { return usage() };
    if images.is_empty() || model.as_os_str().as_encoded_bytes().starts_with(b"-") {
        return usage();
    }
    match run(pixels, model, images) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(REFUSED),
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

/// Predicts; gives the number of images that were refused.
fn run(pixels: Option<&Path>, model: &Path, images: &[PathBuf]) -> Result<usize> {
    let environment = environment()?;
    let mut model = Model::open(&environment, model)?;
    let mut refused = 0;
    for (i, image) in images.iter().enumerate() {
        match model.predict(image) {
            Ok(prediction) => {
                if let Some(folder) = pixels {
                    write(&folder.join(format!("{i}.raw")), &prediction.pixels.data)?;
                }
                let line = to_json(&image.to_string_lossy(), &prediction.answers);
                // Whoever reads the lines may have seen enough.
                if writeln!(io::stdout(), "{line}").is_err() {
                    break;
                }
            }
            Err(fault) if fault.code.starts_with("E_IMG") || fault.code == "E_FILE" => {
                eprintln!("error {fault}");
                refused += 1;
            }
            Err(fault) => return Err(fault),
        }
    }
    Ok(refused)
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).map_err(|error| Fault::new("E_FILE", format!("{}: {error}", path.display())))
}
