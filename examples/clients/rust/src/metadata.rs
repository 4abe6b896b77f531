//! What a file that `mttc export` wrote says of itself (docs/predict.md). A model may come from anybody:
//! nothing of it is believed before it is checked here.
use crate::check::Checked;
use crate::fault::{Fault, Result};
use crate::reader::Form;
use std::collections::HashSet;

const NEWEST_VERSION: u64 = 3;
const MAX_SIDE: u64 = 65_536;
const MAX_CHANNELS: u64 = 16;
/// Numbers of one image.
const MAX_NUMBERS: u64 = 1 << 28;
const MAX_TASKS: usize = 1_000;
/// Characters of the JSON.
const MAX_TEXT: usize = 1 << 26;
const META: &str = "E_MODEL_META";

/// The metadata of a whole model.
#[derive(Debug)]
pub struct Metadata {
    pub tasks: Vec<Task>,
    /// What an image must become.
    pub form: Form,
}

/// A task that the file serves.
#[derive(Debug)]
pub struct Task {
    pub name: String,
    /// Name of its output, float32 [N, width].
    pub output: String,
    pub kind: Kind,
}

#[derive(Debug)]
pub enum Kind {
    /// One class of these; an answer with a smaller probability than `unsure_below` is unsure.
    Classes { classes: Vec<String>, unsure_below: Option<f64> },
    /// Those of these tags whose probability reaches their threshold.
    Tags { tags: Vec<String>, thresholds: Vec<f64> },
    /// So many numbers; the truth lies within `radius` of each, nine times of ten.
    Number { width: usize, radius: Option<Vec<f64>> },
}

impl Kind {
    /// Numbers of the output of an image.
    pub fn width(&self) -> usize {
        match self {
            Self::Classes { classes, .. } => classes.len(),
            Self::Tags { tags, .. } => tags.len(),
            Self::Number { width, .. } => *width,
        }
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::Classes { .. } => "classes",
            Self::Tags { .. } => "tags",
            Self::Number { .. } => "number",
        }
    }
}

impl Metadata {
    /// Checks the JSON text of the key "mttc". E_MODEL_META where it is not what a whole model says.
    pub fn parse(text: &str) -> Result<Self> {
        if text.len() > MAX_TEXT {
            return Err(Fault::new(
                META,
                format!("the metadata has {} bytes, the limit is {MAX_TEXT}", text.len()),
            ));
        }
        let json = serde_json::from_str(text)
            .map_err(|e| Fault::new(META, format!("the metadata is not JSON: {e}")))?;
        let root = Checked::root(&json, "the metadata", META);
        root.object()?;
        root.get("format").word(&["mttc-model"])?;
        root.get("version").int(1, NEWEST_VERSION)?;
        // Parts of a split export are no whole models.
        root.get("kind").word(&["model", "task"])?;
        let tasks = root.get("tasks").list(1, MAX_TASKS)?.iter().map(task).collect::<Result<Vec<_>>>()?;
        distinct("the names of tasks", tasks.iter().map(|task| &task.name))?;
        distinct("the outputs of tasks", tasks.iter().map(|task| &task.output))?;
        Ok(Self { tasks, form: form(&root)? })
    }
}

fn task(entry: &Checked) -> Result<Task> {
    let kind = entry.get("kind");
    let kind = if kind.exists() { kind.word(&["classes", "tags", "number"])? } else { "classes" };
    let kind = match kind {
        "classes" => classes(entry)?,
        "tags" => tags(entry)?,
        _ => number(entry)?,
    };
    Ok(Task { name: entry.get("name").text()?.into(), output: entry.get("output").text()?.into(), kind })
}

fn classes(entry: &Checked) -> Result<Kind> {
    let unsure = entry.get("unsure");
    let unsure_below = if unsure.exists() { Some(unsure.get("below").number(0.0, 1.0)?) } else { None };
    Ok(Kind::Classes { classes: entry.get("classes").names(1_000_000)?, unsure_below })
}

fn tags(entry: &Checked) -> Result<Kind> {
    let tags = entry.get("tags").names(10_000)?;
    let thresholds = entry.get("thresholds");
    let given = if thresholds.exists() { Some(thresholds.numbers(tags.len(), 0.0, 1.0)?) } else { None };
    let thresholds = given.unwrap_or_else(|| vec![0.5; tags.len()]);
    Ok(Kind::Tags { tags, thresholds })
}

fn number(entry: &Checked) -> Result<Kind> {
    let width = entry.get("mean").list(1, 1_000)?.len();
    let interval = entry.get("interval");
    let radius = || interval.get("radius").numbers(width, 0.0, f64::MAX);
    Ok(Kind::Number { width, radius: if interval.exists() { Some(radius()?) } else { None } })
}

fn form(root: &Checked) -> Result<Form> {
    let rules = root.get("preprocessing");
    rules.object()?;
    let side = |key| Ok(rules.get(key).int(1, MAX_SIDE)? as usize);
    let channels = rules.get("channels").int(1, MAX_CHANNELS)? as usize;
    let (height, width) = (side("height")?, side("width")?);
    if height as u64 * width as u64 * channels as u64 > MAX_NUMBERS {
        return Err(Fault::new(META, format!("images of {height}x{width}x{channels} are beyond any memory")));
    }
    rules.get("layout").word(&["NHWC"])?;
    let resize = rules.get("resize");
    let reading = root.get("reading");
    if reading.exists() {
        reading.get("version").int(1, 1)?;
    }
    let cmyk = reading.get("cmyk");
    Ok(Form {
        height,
        width,
        channels,
        greyscale: rules.get("greyscale").bool()?,
        dtype: rules.get("dtype").word(&["uint8", "uint16", "float32"])?,
        any_size: resize.exists() && resize.word(&["graph"])? == "graph",
        cmyk: if cmyk.exists() { Some(crate::colour::cmyk_grid(&cmyk)?) } else { None },
    })
}

fn distinct<'a>(what: &str, names: impl Iterator<Item = &'a String>) -> Result<()> {
    let mut seen = HashSet::new();
    match { names }.find(|name| !seen.insert(name.as_str())) {
        Some(twice) => Err(Fault::new(META, format!("{what} are not distinct: {twice:?}"))),
        None => Ok(()),
    }
}
