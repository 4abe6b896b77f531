//! A label table -> paths of images and the labels of each task (CONTRACT.md, "Labels").
use super::bundle::{Bundle, Prefix, Spec, Task, TaskKind};
use crate::fault::{Fault, Result, read_text};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use unicode_normalization::UnicodeNormalization;

/// A table's rows, as numbers.
pub struct Table {
    pub paths: Vec<PathBuf>,
    /// Of each task.
    pub labels: Vec<Labels>,
}

/// Labels of a task, a row behind the other; none where nothing is said.
pub struct Labels {
    /// Numbers of a row.
    pub width: usize,
    pub cells: Vec<Option<f64>>,
    /// What balancing goes by: the class, of other kinds 0; none of rows without a label.
    pub groups: Vec<Option<usize>>,
}

/// Reads a CSV file. E_FILE, E_CSV_SHAPE, E_CSV_HEADER, E_LABEL.
pub fn read_table(path: &Path, bundle: &Bundle) -> Result<Table> {
    let text = read_text(path)?;
    let parsed = parse(text.trim_start_matches('\u{feff}'), bundle, path.parent().unwrap_or(Path::new("")));
    parsed.map_err(|fault| fault.at(path))
}

fn parse(text: &str, bundle: &Bundle, folder: &Path) -> Result<Table> {
    let misshapen = |error: csv::Error| Fault::new("E_CSV_SHAPE", error);
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let head = reader.headers().map_err(misshapen)?.clone();
    let place = |name: &str| {
        let found = head.iter().position(|column| column.trim() == name);
        found.ok_or_else(|| Fault::new("E_CSV_HEADER", format!("there is no column {name:?}")))
    };
    let spec = &bundle.spec;
    let filepaths = place(&spec.filepaths)?;
    let columns = bundle.tasks.iter().map(|task| task.columns.iter().map(|name| place(name)).collect());
    let columns: Vec<Vec<usize>> = columns.collect::<Result<_>>()?;
    let readers: Vec<Reader> = bundle.tasks.iter().map(|task| Reader::new(task, spec)).collect();
    let mut cells = vec![vec![]; readers.len()];
    let mut paths = vec![];
    for row in reader.records() {
        let row = row.map_err(misshapen)?;
        paths.push(folder.join(spec.path(&row[filepaths])));
        for ((reader, places), cells) in readers.iter().zip(&columns).zip(&mut cells) {
            let texts: Vec<&str> = places.iter().map(|&place| row[place].trim()).collect();
            let line = row.position().map_or(0, |at| at.line());
            cells.extend(reader.read(&texts).map_err(|what| {
                Fault::new("E_LABEL", format!("line {line}: task {:?}: {what}", reader.task.name))
            })?);
        }
    }
    if paths.is_empty() {
        return Err(Fault::new("E_CSV_SHAPE", "there are no rows"));
    }
    let labels = readers.iter().zip(cells).map(|(reader, cells)| reader.labels(cells)).collect();
    Ok(Table { paths, labels })
}

impl Spec {
    /// A path of a table with what the spec puts before and behind it.
    fn path(&self, cell: &str) -> String {
        let ends = self.path_suffix.is_empty() || cell.ends_with(&self.path_suffix);
        let full = if ends { cell.to_owned() } else { format!("{cell}{}", self.path_suffix) };
        match &self.path_prefix {
            None => full,
            Some(Prefix::Added(prefix)) => format!("{prefix}{full}"),
            Some(Prefix::Replaced(pairs)) => {
                let fits = pairs.iter().filter(|(from, _)| full.starts_with(from));
                let longest = fits.max_by_key(|(from, _)| from.len());
                longest.map_or(full.clone(), |(from, to)| format!("{to}{}", &full[from.len()..]))
            }
        }
    }
}

/// Reads the cells of a task.
struct Reader<'a> {
    task: &'a Task,
    spec: &'a Spec,
    /// Classes or tags by their names.
    places: HashMap<String, usize>,
}

impl<'a> Reader<'a> {
    fn new(task: &'a Task, spec: &'a Spec) -> Self {
        let names: &[String] = match &task.kind {
            TaskKind::Classes(names) | TaskKind::Tags { tags: names, .. } => names,
            TaskKind::Number => &[],
        };
        let places = names.iter().enumerate().map(|(i, name)| (name.nfc().collect(), i)).collect();
        Self { task, spec, places }
    }

    fn width(&self) -> usize {
        match &self.task.kind {
            TaskKind::Classes(_) => 1,
            TaskKind::Number => self.task.columns.len(),
            TaskKind::Tags { tags, .. } => tags.len(),
        }
    }

    /// The numbers of a row, or what is wrong with it.
    fn read(&self, cells: &[&str]) -> Result<Vec<Option<f64>>, String> {
        match &self.task.kind {
            TaskKind::Classes(_) => Ok(vec![self.class(cells[0])?.map(|class| class as f64)]),
            TaskKind::Number => cells.iter().map(|cell| self.number(cell)).collect(),
            TaskKind::Tags { separator: None, .. } => cells.iter().map(|cell| self.flag(cell)).collect(),
            TaskKind::Tags { separator: Some(separator), .. } => self.tags(cells[0], separator),
        }
    }

    fn is_missing(&self, cell: &str) -> bool {
        cell.is_empty() || self.spec.missing.contains(cell)
    }

    /// A class, by its name or the number that it spells; it may be called like a missing one.
    fn class(&self, cell: &str) -> Result<Option<usize>, String> {
        let found = self.place(cell);
        if found.is_none() && !self.is_missing(cell) {
            return Err(format!("{cell:?} is none of its classes"));
        }
        Ok(found)
    }

    fn place(&self, name: &str) -> Option<usize> {
        let number = || {
            let wanted: f64 = name.parse().ok()?;
            let same = |known: &&String| known.parse::<f64>().is_ok_and(|number| number == wanted);
            self.places.keys().find(same).map(|known| self.places[known])
        };
        self.places.get(&name.nfc().collect::<String>()).copied().or_else(number)
    }

    fn number(&self, cell: &str) -> Result<Option<f64>, String> {
        if self.is_missing(cell) {
            return Ok(None);
        }
        let number = cell.parse().ok().filter(|number: &f64| number.is_finite());
        Ok(Some(number.ok_or_else(|| format!("{cell:?} is no number"))?))
    }

    /// 0 or 1, or false or true.
    fn flag(&self, cell: &str) -> Result<Option<f64>, String> {
        let flag = match cell.to_ascii_lowercase().as_str() {
            "true" => Some(1.0),
            "false" => Some(0.0),
            _ => self.number(cell)?,
        };
        if flag.is_some_and(|flag| flag != 0.0 && flag != 1.0) {
            return Err(format!("{cell:?} is neither 0 nor 1"));
        }
        Ok(flag)
    }

    fn tags(&self, cell: &str, separator: &str) -> Result<Vec<Option<f64>>, String> {
        if self.is_missing(cell) {
            return Ok(vec![None; self.width()]);
        }
        let names: Vec<String> = if cell.starts_with('[') {
            serde_json::from_str(cell).map_err(|error| format!("{cell:?} is no list of tags: {error}"))?
        } else {
            cell.split(separator).map(|tag| tag.trim().to_owned()).collect()
        };
        let mut flags = vec![Some(0.0); self.width()];
        for name in names {
            let place = self.place(&name).ok_or_else(|| format!("{name:?} is none of its tags"))?;
            flags[place] = Some(1.0);
        }
        Ok(flags)
    }

    fn labels(&self, cells: Vec<Option<f64>>) -> Labels {
        let width = self.width();
        let is_class = matches!(self.task.kind, TaskKind::Classes(_));
        let group = |row: &[Option<f64>]| match row {
            [class] if is_class => class.map(|class| class as usize),
            numbers => numbers.iter().any(Option::is_some).then_some(0),
        };
        let groups = cells.chunks_exact(width).map(group).collect();
        Labels { width, cells, groups }
    }
}
