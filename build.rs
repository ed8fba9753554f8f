//! Compiles the words of the gateway's own pages in: every `static/words/LANGUAGE.toml` becomes a
//! table of messages, so that a language is added by adding its file, and nothing is parsed while
//! the gateway runs.
//!
//! What may be wrong with a catalogue beside its form is found by tests, in `src/pages/words`.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

const CATALOGUES: &str = "static/words";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={CATALOGUES}");
    println!("cargo:rerun-if-changed=build.rs");
    let mut files: Vec<PathBuf> = fs::read_dir(CATALOGUES)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_, Box<dyn Error>>>()?;
    files.retain(|file| {
        file.extension()
            .is_some_and(|extension| extension == "toml")
    });
    files.sort();
    let mut code = String::from("&[\n");
    for file in &files {
        println!("cargo:rerun-if-changed={}", file.display());
        let catalogue = catalogue(file).map_err(|error| format!("{}: {error}", file.display()))?;
        code.push_str(&catalogue);
    }
    code.push_str("]\n");
    fs::write(
        Path::new(&env::var_os("OUT_DIR").ok_or("cargo names no OUT_DIR")?).join("words.rs"),
        code,
    )?;
    Ok(())
}

/// One catalogue as the literal of a `Catalog`.
fn catalogue(file: &Path) -> Result<String, Box<dyn Error>> {
    let mut table: toml::Table = fs::read_to_string(file)?.parse()?;
    let Some(toml::Value::Table(meta)) = table.remove("meta") else {
        return Err("`[meta]` is missing".into());
    };
    let of = |key: &str| {
        meta.get(key)
            .and_then(toml::Value::as_str)
            .ok_or(format!("`meta.{key}` is missing"))
    };
    let direction = match of("direction")? {
        "ltr" => "LeftToRight",
        "rtl" => "RightToLeft",
        other => {
            return Err(
                format!("`meta.direction` is {other:?}, known are \"ltr\" and \"rtl\"").into(),
            );
        }
    };
    let tag = file
        .file_stem()
        .and_then(|stem| stem.to_str())
        .ok_or("its name is no language")?;
    let mut messages = Vec::new();
    flatten("", &table, &mut messages)?;
    messages.sort();
    let mut code = String::new();
    write!(
        code,
        "Catalog {{ tag: {tag:?}, name: {:?}, direction: Direction::{direction}, messages: &[",
        of("name")?
    )?;
    for (key, text) in messages {
        write!(code, "({key:?}, {text:?}),")?;
    }
    code.push_str("] },\n");
    Ok(code)
}

/// The messages beneath `prefix`, each under its path with dots.
fn flatten(
    prefix: &str,
    table: &toml::Table,
    messages: &mut Vec<(String, String)>,
) -> Result<(), Box<dyn Error>> {
    for (key, value) in table {
        let path = if prefix.is_empty() {
            key.clone()
        } else {
            format!("{prefix}.{key}")
        };
        match value {
            toml::Value::String(text) => messages.push((path, text.clone())),
            toml::Value::Table(deeper) => flatten(&path, deeper, messages)?,
            toml::Value::Integer(_)
            | toml::Value::Float(_)
            | toml::Value::Boolean(_)
            | toml::Value::Datetime(_)
            | toml::Value::Array(_) => {
                return Err(format!("`{path}` is neither a text nor a table of texts").into());
            }
        }
    }
    Ok(())
}
