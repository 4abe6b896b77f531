//! States of training: safetensors files (CONTRACT.md, "State and checkpoints").
use super::bundle::{Bundle, StateEntry, Stored};
use crate::check::Checked;
use crate::fault::{Fault, Result, file_fault, read_file};
use ort::value::{DynValue, Tensor};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::{fs, path::Path};

const HEADER: &str = "E_ST_HEADER";
const LAYOUT: &str = "E_ST_LAYOUT";
/// The key that is no tensor.
const METADATA: &str = "__metadata__";

/// Tensors by name, as ONNX Runtime holds them.
pub type State = HashMap<String, DynValue>;

/// Reads the state that a bundle starts from; it must be that of the manifest. E_FILE, E_ST_HEADER,
/// E_ST_LAYOUT.
pub fn read_state(path: &Path, entries: &[StateEntry]) -> Result<State> {
    let bytes = read_file(path)?;
    tensors(&bytes, entries).map_err(|fault| fault.at(path))
}

fn tensors(bytes: &[u8], entries: &[StateEntry]) -> Result<State> {
    let bad = |what: &str| Fault::new(HEADER, what);
    let (length, rest) = bytes.split_first_chunk().ok_or_else(|| bad("no header"))?;
    let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
    let (header, data) =
        rest.split_at_checked(length).ok_or_else(|| bad("the header is longer than the file"))?;
    let json: Value = serde_json::from_slice(header).map_err(|error| bad(&error.to_string()))?;
    let root = Checked::root(&json, "the header", HEADER);
    let names: Vec<&String> = root.object()?.keys().filter(|name| *name != METADATA).collect();
    if names != entries.iter().map(|entry| &entry.name).collect::<Vec<_>>() {
        return Err(bad("its tensors are not those of the manifest, in its order"));
    }
    let mut end = 0;
    let mut state = State::new();
    for entry in entries {
        let found = root.get(&entry.name);
        let begin = end;
        end += entry.bytes();
        if !entry.is_written_as(&found)? || found.get("data_offsets").raw() != Some(&json!([begin, end])) {
            return Err(Fault::new(LAYOUT, format!("tensor {:?} is not as the manifest says", entry.name)));
        }
        let body = data.get(begin..end).ok_or_else(|| Fault::new(LAYOUT, "the data is cut short"))?;
        state.insert(entry.name.clone(), entry.tensor(body)?);
    }
    if end == data.len() { Ok(state) } else { Err(Fault::new(LAYOUT, "there is more data than tensors")) }
}

/// Writes a state after so many steps, whole or not at all. E_FILE; E_DIVERGED where a number is not
/// finite.
pub fn write_state(
    path: &Path,
    bundle: &Bundle,
    state: &State,
    steps: u64,
    steps_per_epoch: u64,
) -> Result<()> {
    let mut header = Map::new();
    if let Some(checkpoint) = &bundle.checkpoint {
        let mut metadata = checkpoint.clone();
        metadata.insert("steps".into(), json!(steps.to_string()));
        metadata.insert("steps_per_epoch".into(), json!(steps_per_epoch.to_string()));
        metadata
            .insert("driver".into(), json!(concat!("mttc examples rust, ort ", env!("CARGO_PKG_VERSION"))));
        header.insert(METADATA.into(), Value::Object(metadata));
    }
    let mut data = vec![];
    for entry in &bundle.state {
        let begin = data.len();
        entry.append(&state[&entry.name], &mut data)?;
        let (dtype, offsets) = (entry.dtype.name(), [begin, data.len()]);
        header.insert(
            entry.name.clone(),
            json!({ "dtype": dtype, "shape": entry.shape, "data_offsets": offsets }),
        );
    }
    let mut text = Value::Object(header).to_string();
    text.extend(std::iter::repeat_n(' ', text.len().next_multiple_of(8) - text.len()));
    let bytes = [&(text.len() as u64).to_le_bytes(), text.as_bytes(), &data].concat();
    let partial = path.with_added_extension("partial");
    let written = fs::write(&partial, bytes).and_then(|()| fs::rename(&partial, path));
    written.map_err(|error| file_fault(path, &error))
}

impl StateEntry {
    fn is_written_as(&self, found: &Checked) -> Result<bool> {
        let shape = found.get("shape").raw() == Some(&json!(self.shape));
        Ok(found.get("dtype").text()? == self.dtype.name() && shape)
    }

    fn tensor(&self, bytes: &[u8]) -> Result<DynValue> {
        let failed = |error: ort::Error| Fault::new("E_ORT", error);
        let shape = self.shape.clone();
        match self.dtype {
            Stored::F32 => {
                let numbers = bytes.as_chunks().0.iter().map(|word| f32::from_le_bytes(*word)).collect();
                tensor_of::<f32>(shape, numbers)
            }
            Stored::I64 => {
                let numbers = bytes.as_chunks().0.iter().map(|word| i64::from_le_bytes(*word)).collect();
                tensor_of::<i64>(shape, numbers)
            }
        }
        .map_err(failed)
    }

    fn append(&self, value: &DynValue, data: &mut Vec<u8>) -> Result<()> {
        let failed = |error: ort::Error| Fault::new("E_ORT", error);
        match self.dtype {
            Stored::F32 => {
                let (_, numbers) = value.try_extract_tensor::<f32>().map_err(failed)?;
                if !numbers.iter().all(|number| number.is_finite()) {
                    return Err(Fault::new("E_DIVERGED", format!("{:?} is not finite", self.name)));
                }
                data.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
            }
            Stored::I64 => {
                let (_, numbers) = value.try_extract_tensor::<i64>().map_err(failed)?;
                data.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
            }
        }
        Ok(())
    }
}

/// A tensor that ONNX Runtime takes as it is.
pub fn tensor_of<T>(shape: Vec<usize>, numbers: Vec<T>) -> ort::Result<DynValue>
where
    T: ort::value::PrimitiveTensorElementType + std::fmt::Debug + Clone + 'static,
{
    Ok(Tensor::from_array((shape, numbers))?.into_dyn())
}
