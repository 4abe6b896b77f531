//! Reads models that `mttc export` wrote, in any program in Rust.
//!
//! [`Model`] opens a file and answers for images, through ONNX Runtime and the crate `ort`: see
//! `src/bin/predict.rs`.

mod answers;
mod check;
mod colour;
mod decode;
mod fault;
mod jpeg;
mod metadata;
mod model;
mod reader;
mod resize;
mod runtime;

pub use answers::{Answer, Said, to_json};
pub use fault::{Fault, Result};
pub use metadata::{Kind, Metadata, Task};
pub use model::{Model, Prediction};
pub use reader::{Form, Pixels, read_image};
pub use runtime::environment;
