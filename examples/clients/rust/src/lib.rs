//! Runs models that `mttc export` wrote and trains bundles that `mttc compile` wrote, through ONNX Runtime.
//!
//! [`Model`] opens an exported file and answers for images: see `src/bin/predict.rs`.
//! [`train::Trainer`] trains a bundle: see `src/bin/train.rs`.

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
pub mod train;
mod webp;

pub use answers::{Answer, Said, to_json};
pub use fault::{Fault, Result};
pub use metadata::{Kind, Metadata, Task};
pub use model::{Model, Prediction};
pub use reader::{Form, Pixels, read_image};
pub use runtime::environment;
