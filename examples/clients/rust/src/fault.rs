//! What is wrong with a file that was given: a code of mttc's catalogue, and a sentence.
use std::{fmt, fs, io, path::Path};

/// A fault of the input, never of this program. Shown as `E_CODE: message`, in one line.
#[derive(Debug, Clone)]
pub struct Fault {
    pub code: &'static str,
    pub message: String,
}

pub type Result<T, E = Fault> = std::result::Result<T, E>;

impl Fault {
    pub fn new(code: &'static str, message: impl fmt::Display) -> Self {
        Self { code, message: message.to_string() }
    }

    /// The same, said of a file.
    pub fn at(self, path: &Path) -> Self {
        Self { message: format!("{}: {}", path.display(), self.message), ..self }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A name out of a file may hold anything: it must not forge a line, or colours of a terminal.
        let plain: String = self.message.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        write!(f, "{}: {plain}", self.code)
    }
}

impl std::error::Error for Fault {}

/// A file that cannot be read or written: E_FILE.
pub fn file_fault(path: &Path, error: &io::Error) -> Fault {
    Fault::new("E_FILE", error).at(path)
}

/// Anything but a plain file is E_FILE: a pipe may never end.
pub fn check_file(path: &Path) -> Result<()> {
    let found = fs::metadata(path).map_err(|error| file_fault(path, &error))?;
    if found.is_file() { Ok(()) } else { Err(Fault::new("E_FILE", "expected a file").at(path)) }
}

/// The bytes of a plain file. E_FILE.
pub fn read_file(path: &Path) -> Result<Vec<u8>> {
    check_file(path)?;
    fs::read(path).map_err(|error| file_fault(path, &error))
}

/// The text of a plain file. E_FILE, for what is no UTF-8, too.
pub fn read_text(path: &Path) -> Result<String> {
    check_file(path)?;
    fs::read_to_string(path).map_err(|error| file_fault(path, &error))
}
