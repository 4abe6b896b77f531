//! An exported model: opened, compared with what it says of itself, and asked about images.
use crate::answers::{Answer, answer};
use crate::fault::{Fault, Result, check_file, read_file};
use crate::metadata::Metadata;
use crate::reader::{Pixels, read_image};
use ort::environment::Environment;
use ort::session::Session;
use ort::value::{Outlet, Tensor, TensorElementType};
use std::path::Path;

const INPUT: &str = "image";
const KEY: &str = "mttc";
const META: &str = "E_MODEL_META";

/// A model that is ready to answer.
pub struct Model {
    pub metadata: Metadata,
    session: Session,
}

/// What a model says of an image, and the pixels that it was given.
pub struct Prediction {
    pub answers: Vec<Answer>,
    pub pixels: Pixels,
}

impl Model {
    /// Opens a file of `mttc export`. E_FILE, E_MODEL_PARSE, E_MODEL_META.
    pub fn open(environment: &Environment, path: &Path) -> Result<Self> {
        check_file(path)?;
        let open = || Session::builder(environment)?.commit_from_file(path);
        let session = open().map_err(|error: ort::Error| Fault::new("E_MODEL_PARSE", error).at(path))?;
        let metadata = checked_metadata(&session).map_err(|fault| fault.at(path))?;
        Ok(Self { metadata, session })
    }

    /// Reads an image file and asks the model. E_FILE, E_IMG_*; E_MODEL_META where the model's numbers
    /// cannot be what its tasks promise.
    pub fn predict(&mut self, path: &Path) -> Result<Prediction> {
        let bytes = read_file(path)?;
        let pixels = read_image(&bytes, &self.metadata.form).map_err(|fault| fault.at(path))?;
        let answers = self.answer(&pixels)?;
        Ok(Prediction { answers, pixels })
    }

    /// Asks the model about pixels.
    pub fn answer(&mut self, pixels: &Pixels) -> Result<Vec<Answer>> {
        let shape = [1, pixels.height, pixels.width, pixels.channels].map(|side| side as i64);
        let failed = |error: ort::Error| Fault::new("E_ORT", error);
        let image = Tensor::from_array((shape, pixels.data.clone())).map_err(failed)?;
        let outputs = self.session.run(ort::inputs! { INPUT => image }).map_err(failed)?;
        let task_answer = |task| {
            let task: &crate::Task = task;
            let value = outputs.get(&task.output).and_then(|value| value.try_extract_tensor::<f32>().ok());
            let numbers = value.map(|(_, numbers)| numbers.to_vec());
            answer(task, numbers.ok_or_else(|| Fault::new(META, format!("no output {:?}", task.output)))?)
        };
        self.metadata.tasks.iter().map(task_answer).collect()
    }
}

/// The metadata, compared with what the session takes and gives.
fn checked_metadata(session: &Session) -> Result<Metadata> {
    let entries = session.metadata().map_err(|error| Fault::new(META, error))?;
    let part = || entries.custom_keys().ok()?.into_iter().find(|key| key.starts_with("mttc."));
    let text = entries.custom(KEY).ok_or_else(|| match part() {
        Some(part) => Fault::new(META, format!("a part of a split export ({part:?}), not a whole model")),
        None => Fault::new(META, format!("no metadata {KEY:?}: it is not a file that mttc export wrote")),
    })?;
    let metadata = Metadata::parse(&text)?;
    let form = &metadata.form;
    let sides = if form.any_size { [None, None] } else { [Some(form.height), Some(form.width)] };
    let [image] = session.inputs() else {
        return Err(Fault::new(META, format!("{} inputs, expected one, {INPUT:?}", session.inputs().len())));
    };
    if image.name() != INPUT {
        return Err(Fault::new(META, format!("the input is {:?}, expected {INPUT:?}", image.name())));
    }
    let dtype = match form.dtype {
        "uint8" => TensorElementType::Uint8,
        "uint16" => TensorElementType::Uint16,
        _ => TensorElementType::Float32,
    };
    compare(image, dtype, &[Some(1), sides[0], sides[1], Some(form.channels)])?;
    for task in &metadata.tasks {
        let output = session.outputs().iter().find(|output| output.name() == task.output);
        let missing = || Fault::new(META, format!("task {:?} has no output {:?}", task.name, task.output));
        compare(
            output.ok_or_else(missing)?,
            TensorElementType::Float32,
            &[Some(1), Some(task.kind.width())],
        )?;
    }
    Ok(metadata)
}

/// Sizes that the file leaves open fit.
fn compare(found: &Outlet, dtype: TensorElementType, shape: &[Option<usize>]) -> Result<()> {
    let sizes = found.dtype().tensor_shape().map(|sizes| sizes.to_vec()).unwrap_or_default();
    let fits = |(size, wanted): (&i64, &Option<usize>)| {
        *size < 0 || wanted.is_none_or(|wanted| wanted as i64 == *size)
    };
    let is_same = sizes.len() == shape.len() && sizes.iter().zip(shape).all(fits);
    if is_same && found.dtype().tensor_type() == Some(dtype) {
        return Ok(());
    }
    let wanted: Vec<String> =
        shape.iter().map(|size| size.map_or("any".into(), |size| size.to_string())).collect();
    let message = format!(
        "the metadata has {:?} as {dtype} [{}], the file as {}",
        found.name(),
        wanted.join(","),
        found.dtype()
    );
    Err(Fault::new(META, message))
}
