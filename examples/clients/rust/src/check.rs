//! Looks into JSON that may come from anybody: each value is checked before it is believed.
use crate::fault::{Fault, Result};
use serde_json::{Map, Value};
use std::collections::HashSet;

/// A value of a JSON text, the path to it, and the code under which what is wrong with it is told.
#[derive(Clone)]
pub struct Checked<'a> {
    value: Option<&'a Value>,
    path: String,
    code: &'static str,
}

impl<'a> Checked<'a> {
    /// The whole text; `name` is what messages call it.
    pub fn root(value: &'a Value, name: &str, code: &'static str) -> Self {
        Self { value: Some(value), path: name.into(), code }
    }

    /// The value of a key; it may be absent.
    pub fn get(&self, key: &str) -> Self {
        let value = self.value.and_then(|value| value.get(key));
        Self { value, path: format!("{}.{key}", self.path), code: self.code }
    }

    pub fn exists(&self) -> bool {
        self.value.is_some()
    }

    pub fn raw(&self) -> Option<&'a Value> {
        self.value
    }

    /// Refuses the value, saying what was expected and what is there.
    pub fn refuse(&self, expected: &str) -> Fault {
        let found = self.value.map_or_else(|| "nothing".into(), shown);
        Fault::new(self.code, format!("{} is {found}, expected {expected}", self.path))
    }

    pub fn object(&self) -> Result<&'a Map<String, Value>> {
        self.value.and_then(Value::as_object).ok_or_else(|| self.refuse("an object"))
    }

    pub fn entries(&self) -> Result<Vec<(&'a String, Self)>> {
        Ok(self.object()?.iter().map(|(key, _)| (key, self.get(key))).collect())
    }

    /// A list of so many.
    pub fn list(&self, least: usize, most: usize) -> Result<Vec<Self>> {
        let list = self.value.and_then(Value::as_array);
        let list = list.filter(|list| (least..=most).contains(&list.len()));
        let expected =
            || if most == 0 { "an empty list".into() } else { format!("a list of {least} to {most}") };
        let list = list.ok_or_else(|| self.refuse(&expected()))?;
        let path = |i| format!("{}[{i}]", self.path);
        Ok(list
            .iter()
            .enumerate()
            .map(|(i, value)| Self { value: Some(value), path: path(i), ..*self })
            .collect())
    }

    /// A text that is not empty.
    pub fn text(&self) -> Result<&'a str> {
        let text = self.value.and_then(Value::as_str).filter(|text| !text.is_empty());
        text.ok_or_else(|| self.refuse("a text"))
    }

    /// A text that may be empty.
    pub fn string(&self) -> Result<&'a str> {
        self.value.and_then(Value::as_str).ok_or_else(|| self.refuse("a text"))
    }

    /// One of some words.
    pub fn word(&self, words: &[&'static str]) -> Result<&'static str> {
        let found =
            self.value.and_then(Value::as_str).and_then(|word| words.iter().find(|known| **known == word));
        found.copied().ok_or_else(|| self.refuse(&words.join(" or ")))
    }

    pub fn int(&self, least: u64, most: u64) -> Result<u64> {
        let whole = |number: f64| (number.fract() == 0.0 && number >= 0.0).then_some(number as u64);
        let int = self.value.and_then(|value| value.as_u64().or_else(|| value.as_f64().and_then(whole)));
        let int = int.filter(|int| (least..=most).contains(int));
        int.ok_or_else(|| self.refuse(&format!("a whole number from {least} to {most}")))
    }

    pub fn number(&self, least: f64, most: f64) -> Result<f64> {
        let number = self.value.and_then(Value::as_f64).filter(|number| (least..=most).contains(number));
        number.ok_or_else(|| self.refuse(&format!("a number from {least} to {most}")))
    }

    pub fn bool(&self) -> Result<bool> {
        self.value.and_then(Value::as_bool).ok_or_else(|| self.refuse("true or false"))
    }

    /// Names that differ from each other.
    pub fn names(&self, most: usize) -> Result<Vec<String>> {
        let names = self.list(1, most)?;
        let names = names.iter().map(|name| Ok(name.text()?.to_owned())).collect::<Result<Vec<_>>>()?;
        let mut seen = HashSet::new();
        match names.iter().find(|name| !seen.insert(name.as_str())) {
            Some(twice) => Err(Fault::new(self.code, format!("{} has {twice:?} twice", self.path))),
            None => Ok(names),
        }
    }

    pub fn numbers(&self, count: usize, least: f64, most: f64) -> Result<Vec<f64>> {
        self.list(count, count)?.iter().map(|number| number.number(least, most)).collect()
    }
}

/// A value as messages show it, cut short.
fn shown(value: &Value) -> String {
    match value {
        Value::Array(list) => format!("a list of {}", list.len()),
        Value::Object(_) => "an object".into(),
        plain => {
            let text = plain.to_string();
            if text.chars().count() <= 60 {
                text
            } else {
                format!("{}...", text.chars().take(60).collect::<String>())
            }
        }
    }
}
