//! manifest.json of a bundle, checked: everything that a driver goes by (CONTRACT.md). What this program
//! does not know is refused here, by name.
use super::augment::Operation;
use super::roles::input;
use super::schedule::Schedule;
use super::task_weights::Factor;
use crate::check::Checked;
use crate::fault::{Fault, Result, read_text};
use crate::reader::Form;
use serde_json::{Map, Value};
use std::collections::HashSet;
use std::path::Path;

const BUNDLE: &str = "E_BUNDLE";
const OUTPUT_ROLES: [&str; 8] =
    ["state", "accumulator", "losses", "figure", "prediction", "features", "gram", "gradient_weights"];
const VERSION: u64 = 2;
const MAX_BATCH: u64 = 1 << 20;
const MAX_SIDE: u64 = 65_536;
const MAX_NUMBERS: usize = 1 << 28;
const MAX_SEED: u64 = (1 << 53) - 1;
const MAX_ENTRIES: usize = 1_000_000;

pub struct Bundle {
    /// Rows of a step, and of a part of it.
    pub batch: usize,
    pub part: usize,
    pub tasks: Vec<Task>,
    pub form: Form,
    pub spec: Spec,
    pub state: Vec<StateEntry>,
    /// The graphs of a step, and the order in which they run, a round each.
    pub steps: Vec<Graph>,
    pub rounds: &'static [usize],
    /// Images -> features, where the graphs of a step take those.
    pub trunk: Option<Graph>,
    /// Goes into the metadata of a saved state as it is.
    pub checkpoint: Option<Map<String, Value>>,
}

pub struct Spec {
    pub seed: u64,
    pub epochs: u64,
    pub balance_probs: bool,
    pub balance_classes: bool,
    /// The column of paths.
    pub filepaths: String,
    pub missing: HashSet<String>,
    pub path_prefix: Option<Prefix>,
    pub path_suffix: String,
}

/// What is put before paths, or takes the place of what they begin with.
pub enum Prefix {
    Added(String),
    Replaced(Vec<(String, String)>),
}

pub struct Task {
    pub name: String,
    /// Columns of a label table.
    pub columns: Vec<String>,
    pub kind: TaskKind,
    /// Its weight is 0: it has no share of the factors of losses.
    pub is_idle: bool,
}

pub enum TaskKind {
    Classes(Vec<String>),
    Number,
    /// Tags in a cell, with what stands between them; without it a column for each tag.
    Tags {
        tags: Vec<String>,
        separator: Option<String>,
    },
}

pub struct StateEntry {
    pub name: String,
    pub dtype: Stored,
    pub shape: Vec<usize>,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Stored {
    F32,
    I64,
}

pub struct Graph {
    pub file: String,
    pub inputs: Vec<Input>,
    pub outputs: Vec<Output>,
}

pub struct Input {
    pub name: String,
    /// An axis of any size is 0.
    pub shape: Vec<usize>,
    pub role: Role,
}

pub struct Output {
    pub name: String,
    /// The state or sum whose next value it is.
    pub replaces: Option<String>,
    /// Whether it is a sum over the parts of a batch, which begins with zeros.
    pub is_sum: bool,
    /// The task and the name of a figure.
    pub figure: Option<(String, String)>,
}

pub enum Role {
    State,
    /// Of gradients or losses, over the parts of a batch.
    Sum,
    Image,
    Features,
    Augment(Vec<Operation>),
    Label {
        task: usize,
        missing: Missing,
    },
    Mask {
        stream: String,
        rate: f64,
    },
    /// Of each task an order of the others.
    TaskOrders {
        stream: String,
    },
    Scalar(Scalar),
}

/// What stands where a row has no label.
#[derive(Clone, Copy)]
pub enum Missing {
    Class(i64),
    Number(f32),
    Flag(u8),
}

pub enum Scalar {
    Schedule(Schedule),
    TaskWeight { value: f64, task: usize, factor: Factor },
    Weights(Weights, usize),
    InverseLabelled(usize),
    InverseWeight { task: usize, weights: Weights },
}

/// A weight for each class or tag.
#[derive(Clone)]
pub enum Weights {
    Constant(Vec<f64>),
    Balanced(usize),
    BalancedPositives,
}

/// The graphs of a step by purpose, and the order in which they run.
type Plan = (&'static [&'static str], &'static [usize]);

const WHOLE: Plan = (&["train"], &[0]);
const IN_PARTS: Plan = (&["grad", "apply"], &[0, 1]);
/// Where `grad` takes sums of losses. They are looked at once more after the update.
const BY_LOSSES: Plan = (&["losses", "grad", "apply", "factors"], &[0, 1, 2, 0, 3]);
/// Purposes of graphs that take no rows.
const ONCE: [&str; 2] = ["apply", "factors"];

impl Stored {
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::I64 => "I64",
        }
    }
}

impl StateEntry {
    pub fn bytes(&self) -> usize {
        self.shape.iter().product::<usize>() * if self.dtype == Stored::F32 { 4 } else { 8 }
    }
}

impl Bundle {
    /// Reads a bundle's manifest. E_FILE, E_BUNDLE.
    pub fn open(folder: &Path) -> Result<Self> {
        let path = folder.join("manifest.json");
        let text = read_text(&path)?;
        let json: Value = serde_json::from_str(&text).map_err(|error| Fault::new(BUNDLE, error).at(&path))?;
        parse(&Checked::root(&json, "manifest.json", BUNDLE)).map_err(|fault| fault.at(folder))
    }
}

fn parse(root: &Checked) -> Result<Bundle> {
    root.object()?;
    root.get("format").word(&["mttc-bundle"])?;
    root.get("version").int(VERSION, VERSION)?;
    let batch = root.get("batchSize").int(1, MAX_BATCH)?;
    let accumulate = root.get("accumulate");
    let parts = accumulate.int(1, batch)?;
    if batch % parts != 0 {
        return Err(accumulate.refuse(&format!("a divisor of the batch size {batch}")));
    }
    // A run's own bundle expects images that were augmented before.
    if root.get("augment").exists() {
        root.get("augment").get("loader").list(0, 0)?;
    }
    let tasks = root.get("tasks").list(1, 1_000)?.iter().map(task).collect::<Result<Vec<_>>>()?;
    let state =
        root.get("state").list(1, MAX_ENTRIES)?.iter().map(state_entry).collect::<Result<Vec<_>>>()?;
    let checkpoint = root.get("checkpoint");
    let mut bundle = Bundle {
        batch: batch as usize,
        part: (batch / parts) as usize,
        tasks,
        form: form(&root.get("preprocessing"))?,
        spec: spec(&root.get("spec"))?,
        state,
        steps: vec![],
        rounds: &[],
        trunk: None,
        checkpoint: if checkpoint.exists() { Some(checkpoint.object()?.clone()) } else { None },
    };
    choose_graphs(root, &mut bundle)?;
    Ok(bundle)
}

/// The graphs that a run takes: those on features where the trunk gives features of images as they are.
fn choose_graphs(root: &Checked, bundle: &mut Bundle) -> Result<()> {
    let graphs = root.get("graphs").entries()?;
    let mut every = vec![];
    for (_, graph) in &graphs {
        every.extend(graph.get("inputs").list(0, MAX_ENTRIES)?);
    }
    let has_role = |graph: &Checked, role: &str| -> Result<bool> {
        let inputs = graph.get("inputs").list(0, MAX_ENTRIES)?;
        Ok(inputs.iter().any(|input| input.get("role").raw() == Some(&role.into())))
    };
    let find = |purpose: &str, input: &str| -> Result<Option<&Checked>> {
        for (_, graph) in &graphs {
            if graph.get("purpose").text()? == purpose && has_role(graph, input)? {
                return Ok(Some(graph));
            }
        }
        Ok(None)
    };
    let is_whole = bundle.part == bundle.batch;
    let learning = if is_whole { "train" } else { "grad" };
    let takes_features = !root.get("augment").exists() && find(learning, "features")?.is_some();
    let (rows, trunk) = match (takes_features, find("trunk", "image")?) {
        (true, Some(trunk)) => ("features", Some(trunk)),
        _ => ("image", None),
    };
    let get = |purpose: &str| {
        let missing = || Fault::new(BUNDLE, format!("no graph with the purpose {purpose:?}"));
        find(purpose, if ONCE.contains(&purpose) { "state" } else { rows })?.ok_or_else(missing)
    };
    let (purposes, rounds) = match (is_whole, has_role(get(learning)?, "losses")?) {
        (true, _) => WHOLE,
        (false, false) => IN_PARTS,
        (false, true) => BY_LOSSES,
    };
    for purpose in purposes {
        bundle.steps.push(graph(get(purpose)?, &every, bundle)?);
    }
    check_sums(&bundle.steps)?;
    bundle.rounds = rounds;
    bundle.trunk = trunk.map(|trunk| graph(trunk, &every, bundle)).transpose()?;
    Ok(())
}

/// Sums that a graph takes must be its own, or those of a graph before it.
fn check_sums(steps: &[Graph]) -> Result<()> {
    let mut made = HashSet::new();
    for Graph { file, inputs, outputs } in steps {
        let own = outputs.iter().filter(|output| output.is_sum);
        made.extend(own.filter_map(|output| output.replaces.as_deref()));
        for Input { name, role, .. } in inputs {
            if matches!(role, Role::Sum) && !made.contains(name.as_str()) {
                return Err(Fault::new(BUNDLE, format!("{file}: no graph makes the sum {name:?}")));
            }
        }
    }
    Ok(())
}

fn task(entry: &Checked) -> Result<Task> {
    let name = entry.get("name").text()?.to_owned();
    let columns = entry.get("columns");
    let own = if columns.exists() { columns.names(10_000)? } else { vec![name.clone()] };
    let kind = entry.get("kind");
    let kind = match if kind.exists() { kind.word(&["classes", "number", "tags"])? } else { "classes" } {
        "classes" => TaskKind::Classes(entry.get("classes").names(1_000_000)?),
        "number" => TaskKind::Number,
        _ => {
            let separator = if columns.exists() { None } else { Some(entry.get("separator").text()?.into()) };
            let tags = entry.get("tags").names(10_000)?;
            if separator.is_none() && tags.len() != own.len() {
                return Err(columns.refuse("a column for each tag"));
            }
            TaskKind::Tags { tags, separator }
        }
    };
    let is_idle = entry.get("weight").raw().and_then(Value::as_f64) == Some(0.0);
    Ok(Task { name, columns: own, kind, is_idle })
}

fn form(rules: &Checked) -> Result<Form> {
    let side = |key| Ok(rules.get(key).int(1, MAX_SIDE)? as usize);
    let (height, width) = (side("height")?, side("width")?);
    let channels = rules.get("channels").int(1, 16)? as usize;
    if height * width * channels > MAX_NUMBERS {
        return Err(rules.refuse("images that fit into memory"));
    }
    let dtype = rules.get("dtype").word(&["uint8", "uint16", "float32"])?;
    let greyscale = rules.get("greyscale").bool()?;
    Ok(Form { height, width, channels, greyscale, dtype, any_size: false, cmyk: None })
}

fn spec(entry: &Checked) -> Result<Spec> {
    let words = entry.get("missing").list(0, 10_000)?;
    let word = |word: &Checked| {
        word.raw().map_or(String::new(), |raw| raw.as_str().map_or(raw.to_string(), str::to_owned))
    };
    let prefix = entry.get("path_prefix");
    let suffix = entry.get("path_suffix");
    let path_prefix = match prefix.raw() {
        None | Some(Value::Null) => None,
        Some(Value::String(added)) => Some(Prefix::Added(added.clone())),
        Some(_) => {
            let pairs = prefix.entries()?;
            let pairs = pairs.iter().map(|(from, to)| Ok(((*from).clone(), to.string()?.to_owned())));
            Some(Prefix::Replaced(pairs.collect::<Result<_>>()?))
        }
    };
    Ok(Spec {
        seed: entry.get("seed").int(0, MAX_SEED)?,
        epochs: entry.get("epochs").int(1, u32::MAX.into())?,
        balance_probs: entry.get("balance_probs").bool()?,
        balance_classes: entry.get("balance_classes").bool()?,
        filepaths: entry.get("filepaths").text()?.into(),
        missing: words.iter().map(word).collect(),
        path_prefix,
        path_suffix: if matches!(suffix.raw(), None | Some(Value::Null)) {
            String::new()
        } else {
            suffix.string()?.into()
        },
    })
}

fn state_entry(entry: &Checked) -> Result<StateEntry> {
    let dtype =
        if entry.get("dtype").word(&["float32", "int64"])? == "int64" { Stored::I64 } else { Stored::F32 };
    Ok(StateEntry { name: entry.get("name").text()?.into(), dtype, shape: shape(entry, false)? })
}

/// Sizes of a tensor, within bounds; an axis of any size is 0.
fn shape(entry: &Checked, may_be_free: bool) -> Result<Vec<usize>> {
    let shape = entry.get("shape");
    let size = |size: &Checked| {
        if may_be_free && size.raw().is_some_and(Value::is_string) {
            Ok(0)
        } else {
            size.int(1, u32::MAX.into())
        }
    };
    let sizes = shape.list(0, 8)?.iter().map(|each| Ok(size(each)? as usize)).collect::<Result<Vec<_>>>()?;
    let all = sizes.iter().try_fold(1usize, |all, &size| all.checked_mul(size.max(1)));
    if all.is_none_or(|all| all > 1 << 31) {
        return Err(shape.refuse("a tensor that fits into memory"));
    }
    Ok(sizes)
}

fn graph(entry: &Checked, every: &[Checked], bundle: &Bundle) -> Result<Graph> {
    let file = entry.get("file").text()?;
    if Path::new(file).file_name() != Some(file.as_ref()) {
        return Err(Fault::new(BUNDLE, format!("the file {file:?} is not in the bundle's folder")));
    }
    let inputs = entry.get("inputs").list(0, MAX_ENTRIES)?;
    let outputs = entry.get("outputs").list(1, MAX_ENTRIES)?;
    let inputs = inputs.iter().map(|entry| input(entry, every, bundle));
    let inputs = inputs.collect::<Result<Vec<_>>>()?;
    let known: HashSet<&str> = bundle.state.iter().map(|state| state.name.as_str()).collect();
    let outputs = outputs.iter().map(|entry| output(entry, &known)).collect::<Result<Vec<_>>>()?;
    for Input { name, role, .. } in &inputs {
        if matches!(role, Role::State) && !known.contains(name.as_str()) {
            return Err(Fault::new(BUNDLE, format!("{file}: the state {name:?} is not there")));
        }
    }
    Ok(Graph { file: file.into(), inputs, outputs })
}

fn output(entry: &Checked, known: &HashSet<&str>) -> Result<Output> {
    let role = entry.get("role").word(&OUTPUT_ROLES)?;
    if role == "state" && !known.contains(entry.get("replaces").text()?) {
        return Err(entry.get("replaces").refuse("a tensor of the state"));
    }
    let text = |key: &str| -> Result<Option<String>> {
        let value = entry.get(key);
        if value.exists() { Ok(Some(value.text()?.into())) } else { Ok(None) }
    };
    let figure = if role == "figure" { text("task")?.zip(text("figure")?) } else { None };
    let is_sum = matches!(role, "accumulator" | "losses");
    Ok(Output { name: entry.get("name").text()?.into(), replaces: text("replaces")?, is_sum, figure })
}

pub(super) fn input_shape(entry: &Checked) -> Result<Vec<usize>> {
    shape(entry, true)
}
