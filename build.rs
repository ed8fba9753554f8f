//! Compiles the message catalogs of the pages: each `static/words/LANGUAGE.toml` becomes a table of
//! messages in the program. So a language is added by adding its file, and the gateway parses no
//! catalogs at run time.
//!
//! This script checks only the form of a catalog. Tests in `src/pages/catalog` check the messages.
//!
//! It also finds the version that `vestibule --version` prints: that of the package, and of a
//! release the commit that it was built from.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// The directory with the catalogs.
const CATALOGS: &str = "static/words";

/// The variable that names the commit where there is no Git repository, as in a container.
const COMMIT: &str = "VESTIBULE_COMMIT";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-env-changed={COMMIT}");
    println!("cargo:rustc-env=VESTIBULE_VERSION={}", version()?);
    println!("cargo:rerun-if-changed={CATALOGS}");
    println!("cargo:rerun-if-changed=build.rs");
    let mut files: Vec<PathBuf> = fs::read_dir(CATALOGS)?
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
        let literal =
            catalog_literal(file).map_err(|error| format!("{}: {error}", file.display()))?;
        code.push_str(&literal);
    }
    code.push_str("]\n");
    fs::write(
        Path::new(&env::var_os("OUT_DIR").ok_or("cargo names no OUT_DIR")?).join("words.rs"),
        code,
    )?;
    Ok(())
}

/// The version of the package, with the commit in parentheses where one is known. Other builds than
/// releases have none: they would be compiled anew after each commit.
fn version() -> Result<String, Box<dyn Error>> {
    let variable = |name| env::var_os(name).and_then(|value| value.into_string().ok());
    let version = variable("CARGO_PKG_VERSION").ok_or("cargo names no version")?;
    let is_release = variable("PROFILE").as_deref() == Some("release");
    let commit = match variable(COMMIT) {
        Some(commit) if !commit.is_empty() => Some(commit),
        Some(_) | None if is_release => head(),
        Some(_) | None => None,
    };
    Ok(commit.map_or(version.clone(), |commit| format!("{version} ({commit})")))
}

/// The commit of the Git repository around the package; `None` where there is none.
fn head() -> Option<String> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo:rerun-if-changed={log}");
    }
    git(&["rev-parse", "--short=12", "HEAD"])
}

/// The source code of the `Catalog` for one file.
fn catalog_literal(file: &Path) -> Result<String, Box<dyn Error>> {
    let mut table: toml::Table = fs::read_to_string(file)?.parse()?;
    let Some(toml::Value::Table(meta)) = table.remove("meta") else {
        return Err("`[meta]` is missing".into());
    };
    let meta_value = |key: &str| {
        meta.get(key)
            .and_then(toml::Value::as_str)
            .ok_or(format!("`meta.{key}` is missing"))
    };
    let direction = match meta_value("direction")? {
        "ltr" => "LeftToRight",
        "rtl" => "RightToLeft",
        other => {
            return Err(
                format!("`meta.direction` is {other:?}, expected \"ltr\" or \"rtl\"").into(),
            );
        }
    };
    let tag = file
        .file_stem()
        .and_then(|stem| stem.to_str())
        .ok_or("its name is not a language tag")?;
    let mut messages = Vec::new();
    flatten("", &table, &mut messages)?;
    messages.sort();
    let mut code = String::new();
    write!(
        code,
        "Catalog {{ tag: {tag:?}, name: {:?}, direction: Direction::{direction}, messages: &[",
        meta_value("name")?
    )?;
    for (key, text) in messages {
        write!(code, "({key:?}, {text:?}),")?;
    }
    code.push_str("] },\n");
    Ok(code)
}

/// Collects the messages of `table`. Their keys are their paths, joined by dots, after `prefix`.
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
            toml::Value::Table(group) => flatten(&path, group, messages)?,
            toml::Value::Integer(_)
            | toml::Value::Float(_)
            | toml::Value::Boolean(_)
            | toml::Value::Datetime(_)
            | toml::Value::Array(_) => {
                return Err(format!("`{path}` is neither a string nor a table of strings").into());
            }
        }
    }
    Ok(())
}
