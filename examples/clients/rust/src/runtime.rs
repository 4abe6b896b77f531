//! ONNX Runtime's library: found by ORT_DYLIB_PATH, its telemetry off.
use crate::fault::{Fault, Result};
use ort::environment::Environment;
use std::{env, panic, path::Path, sync::Arc};

/// The name of the library where ORT_DYLIB_PATH does not say it: the system's loader looks for it.
const LIBRARY: &str = if cfg!(target_os = "windows") {
    "onnxruntime.dll"
} else if cfg!(target_os = "macos") {
    "libonnxruntime.dylib"
} else {
    "libonnxruntime.so"
};

/// Loads ONNX Runtime; once in a process. E_ORT_LOAD where its library is not there or too old.
pub fn environment() -> Result<Environment> {
    let path =
        env::var("ORT_DYLIB_PATH").ok().filter(|path| !path.is_empty()).unwrap_or_else(|| LIBRARY.into());
    let refuse = |what: String| {
        let hint = "name the library of ONNX Runtime 1.17 or newer in ORT_DYLIB_PATH";
        Fault::new("E_ORT_LOAD", format!("{what}: {hint}"))
    };
    let load = || -> std::result::Result<Environment, String> {
        let builder = ort::init_from(Path::new(&path)).map_err(|error| error.to_string())?;
        // Its warnings are about graphs, which a user can do nothing about; errors come back as such.
        let silent = Arc::new(|_: ort::logging::LogLevel, _: &str, _: &str, _: &str, _: &str| {});
        builder.with_telemetry(false).with_logger(silent).build().map_err(|error| error.to_string())
    };
    panic::catch_unwind(load).unwrap_or_else(|_| Err(format!("{path} is no ONNX Runtime"))).map_err(refuse)
}
