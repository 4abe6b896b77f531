//! The loop: batches in the order of an epoch, inputs by their roles, outputs that replace the state.
use super::augment::columns;
use super::bundle::{Bundle, Graph, Input, Missing, Role, Scalar};
use super::order::{Balance, epoch_order};
use super::state::{State, read_state, tensor_of, write_state};
use super::stream::Stream;
use super::table::{Labels, Table, read_table};
use super::task_weights::{Factor, LossPair, average_factors, random_factors, task_orders};
use crate::fault::{Fault, Result, check_file, read_file};
use crate::reader::read_image;
use ort::environment::Environment;
use ort::session::{Session, SessionInputValue};
use ort::value::DynValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

/// Images that the trunk is given at once.
const TRUNK_BATCH: usize = 32;

/// A bundle's graphs and state, and the rows that it trains on.
pub struct Trainer {
    bundle: Bundle,
    table: Table,
    state: State,
    steps: Vec<(Graph, Session)>,
    /// Of each row, uint8 images or float32 features.
    inputs: Rows,
    steps_per_epoch: u64,
    /// Steps that are done.
    done: u64,
    /// Of each epoch that is done the mean loss of each task; NaN where none was labelled.
    losses: Vec<Vec<f64>>,
}

enum Rows {
    Images(Vec<Vec<u8>>),
    Features(Vec<Vec<f32>>),
}

/// What an epoch summed up: of each task its figures, over the labelled rows that were shown.
pub type Report = BTreeMap<String, BTreeMap<String, f64>>;

/// Where a step is: its number, the epoch, its first place in it, the rows that it shows.
struct Place<'a> {
    step: u64,
    epoch: u32,
    first: usize,
    rows: &'a [usize],
}

impl Trainer {
    /// Opens a bundle and reads a table with its images. E_FILE, E_BUNDLE, E_ST_*, E_CSV_*, E_LABEL,
    /// E_IMG_*, E_MODEL_PARSE.
    pub fn open(environment: &Environment, folder: &Path, table: &Path) -> Result<Self> {
        let bundle = Bundle::open(folder)?;
        let state = read_state(&folder.join("state.safetensors"), &bundle.state)?;
        let table = read_table(table, &bundle)?;
        let mut bundle = bundle;
        let mut steps = vec![];
        for graph in std::mem::take(&mut bundle.steps) {
            let session = open_graph(environment, folder, &graph)?;
            steps.push((graph, session));
        }
        let read = |path: &std::path::PathBuf| {
            Ok(read_image(&read_file(path)?, &bundle.form).map_err(|fault| fault.at(path))?.data)
        };
        let images = table.paths.iter().map(read).collect::<Result<Vec<_>>>()?;
        let inputs = match &bundle.trunk {
            Some(trunk) => {
                let session = open_graph(environment, folder, trunk)?;
                Rows::Features(features(trunk, session, &images, &bundle, &state)?)
            }
            None => Rows::Images(images),
        };
        let steps_per_epoch = table.paths.len().div_ceil(bundle.batch) as u64;
        Ok(Self { bundle, table, state, steps, inputs, steps_per_epoch, done: 0, losses: vec![] })
    }

    /// Epochs that the experiment asks for.
    pub fn epochs(&self) -> u64 {
        self.bundle.spec.epochs
    }

    /// Trains the next epoch.
    pub fn train_epoch(&mut self) -> Result<Report> {
        let epoch = (self.done / self.steps_per_epoch) as u32 + 1;
        let batch = self.bundle.batch;
        let spec = &self.bundle.spec;
        let groups = self.table.labels.iter().map(|labels| labels.groups.as_slice()).collect();
        let balance = Balance { probs: spec.balance_probs, classes: spec.balance_classes };
        let order = epoch_order(&groups, balance, spec.seed, epoch, self.steps_per_epoch as usize * batch);
        let mut report = Report::new();
        for (i, rows) in order.chunks_exact(batch).enumerate() {
            let place = Place { step: self.done, epoch, first: i * batch, rows };
            self.step(&place, &mut report)?;
            self.done += 1;
        }
        let mean = |name: &String| {
            let sum = |figure: &str| report.get(name).and_then(|of| of.get(figure)).copied().unwrap_or(0.0);
            sum("loss_sum") / sum("count")
        };
        self.losses.push(self.bundle.tasks.iter().map(|task| mean(&task.name)).collect());
        Ok(report)
    }

    /// Writes the state as a file that `mttc adopt` takes. E_FILE, E_DIVERGED.
    pub fn save(&self, path: &Path) -> Result<()> {
        write_state(path, &self.bundle, &self.state, self.done, self.steps_per_epoch)
    }

    /// A whole step: its rounds over the same batch. The figures of the first are those of the step.
    fn step(&mut self, place: &Place, report: &mut Report) -> Result<()> {
        for (i, &which) in self.bundle.rounds.iter().enumerate() {
            let mut repeated = Report::new();
            self.round(which, place, if i == 0 { report } else { &mut repeated })?;
        }
        Ok(())
    }

    /// Runs a graph on each part of the batch, its sums from zeros on; without rows once.
    fn round(&mut self, which: usize, place: &Place, report: &mut Report) -> Result<()> {
        let (graph, _) = &self.steps[which];
        for sum in graph.outputs.iter().filter(|output| output.is_sum).flat_map(|output| &output.replaces) {
            self.state.remove(sum);
        }
        let has_rows = graph.inputs.iter().any(|input| matches!(input.role, Role::Image | Role::Features));
        let parts = if has_rows { self.bundle.batch / self.bundle.part } else { 1 };
        (0..parts).try_for_each(|part| self.run(which, place, part, report))
    }

    /// Runs a graph, takes its next state over and adds its figures up.
    fn run(&mut self, which: usize, place: &Place, part: usize, report: &mut Report) -> Result<()> {
        let failed = |error: ort::Error| Fault::new("E_ORT", error);
        let Self { bundle, table, state, steps, inputs, steps_per_epoch, losses, .. } = self;
        let (graph, session) = &mut steps[which];
        let run_steps = bundle.spec.epochs * *steps_per_epoch;
        let feeder = Feeder { bundle, table, inputs, losses, place, part, run_steps };
        let mut feeds: Vec<(Cow<str>, SessionInputValue)> = Vec::with_capacity(graph.inputs.len());
        for input in &graph.inputs {
            let is_kept = matches!(input.role, Role::State | Role::Sum);
            let known = is_kept.then(|| state.get(&input.name)).flatten();
            let value = match known {
                Some(value) => value.into(),
                None => feeder.value(input).map_err(failed)?.into(),
            };
            feeds.push((Cow::from(input.name.as_str()), value));
        }
        let mut results = session.run(feeds).map_err(|error| failed(error).at(Path::new(&graph.file)))?;
        for output in &graph.outputs {
            let missing = || Fault::new("E_BUNDLE", format!("{} gives no {:?}", graph.file, output.name));
            let value = results.remove(&output.name).ok_or_else(missing)?;
            if let Some((task, figure)) = &output.figure {
                let number =
                    value.try_extract_tensor::<f32>().map_err(failed)?.1.first().copied().unwrap_or(0.0);
                *report.entry(task.clone()).or_default().entry(figure.clone()).or_default() +=
                    f64::from(number);
            }
            if let Some(replaced) = &output.replaces {
                state.insert(replaced.clone(), value);
            }
        }
        Ok(())
    }
}

fn open_graph(environment: &Environment, folder: &Path, graph: &Graph) -> Result<Session> {
    let path = folder.join(&graph.file);
    check_file(&path)?;
    let open = || Session::builder(environment)?.commit_from_file(&path);
    open().map_err(|error: ort::Error| Fault::new("E_MODEL_PARSE", error).at(&path))
}

/// What the trunk gives for each image, in batches that the graph takes; the last is filled up.
fn features(
    trunk: &Graph,
    mut session: Session,
    images: &[Vec<u8>],
    bundle: &Bundle,
    state: &State,
) -> Result<Vec<Vec<f32>>> {
    let failed = |error: ort::Error| Fault::new("E_ORT", error).at(Path::new(&trunk.file));
    let rows =
        trunk.inputs.iter().find(|input| matches!(input.role, Role::Image)).map_or(0, |input| input.shape[0]);
    let rows = if rows == 0 { TRUNK_BATCH.min(images.len()) } else { rows };
    let mut found = Vec::with_capacity(images.len());
    for batch in images.chunks(rows) {
        let filled = batch.iter().chain(std::iter::repeat(&batch[0])).take(rows);
        let pixels: Vec<u8> = filled.flatten().copied().collect();
        let mut feeds: Vec<(Cow<str>, SessionInputValue)> = vec![];
        for input in &trunk.inputs {
            let known = state.get(&input.name).filter(|_| matches!(input.role, Role::State));
            let value = match known {
                Some(value) => value.into(),
                None => tensor_of(image_shape(bundle, rows), pixels.clone()).map_err(failed)?.into(),
            };
            feeds.push((Cow::from(input.name.as_str()), value));
        }
        let results = session.run(feeds).map_err(failed)?;
        let (_, numbers) = results[0].try_extract_tensor::<f32>().map_err(failed)?;
        let each = numbers.len() / rows;
        found.extend(numbers.chunks_exact(each.max(1)).take(batch.len()).map(<[f32]>::to_vec));
    }
    Ok(found)
}

fn image_shape(bundle: &Bundle, rows: usize) -> Vec<usize> {
    let form = &bundle.form;
    vec![rows, form.height, form.width, form.channels]
}

/// Fills the inputs of a run.
struct Feeder<'a> {
    bundle: &'a Bundle,
    table: &'a Table,
    inputs: &'a Rows,
    losses: &'a [Vec<f64>],
    place: &'a Place<'a>,
    /// The micro-batch.
    part: usize,
    run_steps: u64,
}

impl Feeder<'_> {
    fn value(&self, input: &Input) -> ort::Result<DynValue> {
        let shape = input.shape.clone();
        match &input.role {
            Role::Image | Role::Features => self.pixels(shape),
            Role::Augment(operations) => tensor_of(shape, self.augment(operations)),
            Role::Label { task, missing } => self.labels(shape, &self.table.labels[*task], *missing),
            Role::Mask { stream, rate } => {
                let all = draw_mask(
                    self.bundle.spec.seed,
                    stream,
                    self.place.step as u32,
                    *rate,
                    self.size_of(&shape),
                );
                tensor_of(shape.clone(), all.skip(self.part * size(&shape)).take(size(&shape)).collect())
            }
            Role::TaskOrders { stream } => {
                let step = self.place.step as u32;
                tensor_of(shape, task_orders(self.bundle.spec.seed, stream, step, self.bundle.tasks.len()))
            }
            Role::Scalar(scalar) => tensor_of(
                shape,
                self.scalar(scalar).into_iter().map(|number| number as f32).collect::<Vec<_>>(),
            ),
            // The state is given as it is; sums begin with zeros.
            Role::State | Role::Sum => tensor_of(shape.clone(), vec![0f32; size(&shape)]),
        }
    }

    /// Rows of the table that this micro-batch shows.
    fn rows(&self) -> &[usize] {
        &self.place.rows[self.part * self.bundle.part..][..self.bundle.part]
    }

    /// Numbers of the whole logical batch.
    fn size_of(&self, shape: &[usize]) -> usize {
        size(shape) / self.bundle.part * self.bundle.batch
    }

    fn pixels(&self, shape: Vec<usize>) -> ort::Result<DynValue> {
        match self.inputs {
            Rows::Images(images) => {
                let rows = self.rows().iter().flat_map(|&row| &images[row]).copied().collect();
                tensor_of::<u8>(image_shape(self.bundle, self.bundle.part), rows)
            }
            Rows::Features(features) => {
                tensor_of::<f32>(shape, self.rows().iter().flat_map(|&row| &features[row]).copied().collect())
            }
        }
    }

    fn augment(&self, operations: &[super::augment::Operation]) -> Vec<f32> {
        let (seed, form) = (self.bundle.spec.seed, &self.bundle.form);
        let first = self.place.first + self.part * self.bundle.part;
        let row = |i: usize| {
            operations.iter().flat_map(move |operation| {
                let stream = Stream::new(seed, &operation.stream, self.place.epoch, i as u32);
                columns(operation, stream, (form.height, form.width))
            })
        };
        (first..first + self.bundle.part).flat_map(row).map(|number| number as f32).collect()
    }

    fn labels(&self, shape: Vec<usize>, labels: &Labels, missing: Missing) -> ort::Result<DynValue> {
        let rows = self.rows().iter();
        let cells = rows.flat_map(|&row| &labels.cells[row * labels.width..][..labels.width]);
        match missing {
            Missing::Class(none) => {
                tensor_of(shape, cells.map(|cell| cell.map_or(none, |cell| cell as i64)).collect())
            }
            Missing::Number(none) => {
                tensor_of(shape, cells.map(|cell| cell.map_or(none, |cell| cell as f32)).collect())
            }
            Missing::Flag(none) => {
                tensor_of(shape, cells.map(|cell| cell.map_or(none, |cell| cell as u8)).collect())
            }
        }
    }

    fn scalar(&self, scalar: &Scalar) -> Vec<f64> {
        let groups =
            |task: usize| self.place.rows.iter().filter_map(move |&row| self.table.labels[task].groups[row]);
        let inverse = |total: f64| vec![if total > 0.0 { 1.0 / total } else { 0.0 }];
        match scalar {
            Scalar::Schedule(schedule) => vec![schedule.at(self.place.step, self.run_steps)],
            Scalar::TaskWeight { value, task, factor } => vec![value * self.factor(factor, *task)],
            Scalar::Weights(weights, task) => weights.of(&self.table.labels[*task]),
            Scalar::InverseLabelled(task) => inverse(groups(*task).count() as f64),
            Scalar::InverseWeight { task, weights } => {
                // As the graph has them, in float32.
                let weights: Vec<f32> =
                    weights.of(&self.table.labels[*task]).into_iter().map(|weight| weight as f32).collect();
                inverse(groups(*task).map(|class| weights.get(class).copied().map_or(0.0, f64::from)).sum())
            }
        }
    }
}

impl Feeder<'_> {
    /// What the weight of a task is multiplied with.
    fn factor(&self, factor: &Factor, task: usize) -> f64 {
        let tasks = 0..self.bundle.tasks.len();
        let is_idle = |task: usize| self.bundle.tasks[task].is_idle;
        match factor {
            Factor::Constant => 1.0,
            Factor::Average { temperature } => {
                let loss = |task: usize, earlier: usize| {
                    let epoch = self.losses.len().checked_sub(earlier).filter(|_| !is_idle(task));
                    epoch.map_or(f64::NAN, |epoch| self.losses[epoch][task])
                };
                let pairs: Vec<LossPair> = tasks.map(|task| (loss(task, 1), loss(task, 2))).collect();
                average_factors(&pairs, *temperature)[task]
            }
            Factor::Random { stream } => {
                let has_label = |task: usize| {
                    let groups = &self.table.labels[task].groups;
                    !is_idle(task) && self.place.rows.iter().any(|&row| groups[row].is_some())
                };
                let present: Vec<bool> = tasks.map(has_label).collect();
                random_factors(self.bundle.spec.seed, stream, self.place.step as u32, &present)[task]
            }
        }
    }
}

fn size(shape: &[usize]) -> usize {
    shape.iter().product()
}

/// The mask of dropout of a whole logical batch.
pub fn draw_mask(seed: u64, stream: &str, step: u32, rate: f64, count: usize) -> impl Iterator<Item = f32> {
    let mut words = Stream::new(seed, stream, step, 0);
    let (bound, kept) = (rate * (1u64 << 32) as f64, (1.0 / (1.0 - rate)) as f32);
    (0..count).map(move |_| if f64::from(words.word()) < bound { 0.0 } else { kept })
}
