//! Trains a bundle of `mttc compile` as compiler/bundle/CONTRACT.md says. What a tensor is for stands in
//! the manifest; no name is taken apart.

mod augment;
mod bundle;
mod draws;
mod order;
mod roles;
mod schedule;
mod state;
mod stream;
mod table;
mod task_weights;
mod trainer;

pub use draws::draw_cases;
pub use trainer::{Report, Trainer};
