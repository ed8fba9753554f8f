//! The configurations in the guides are ones that people copy: they load, without a warning.

use std::path::{Path, PathBuf};

use super::super::review_text;
use super::environment;
use crate::model::timestamp::Timestamp;

/// What the tables of the guides belong to.
const PROVIDER: &str = r#"[providers.main]
kind = "fusionauth"
url = "https://id.example.com"
api_key = { env = "FUSIONAUTH_API_KEY" }
issuer = "id.example.com"
"#;

/// The TOML blocks of a document that hold a site.
fn sites(document: &str) -> impl Iterator<Item = &str> {
    let blocks = document.split("```toml\n").skip(1);
    let blocks = blocks.filter_map(|rest| Some(rest.split_once("```")?.0));
    blocks.filter(|block| block.lines().any(|line| line == "[[sites]]"))
}

fn guides() -> Vec<PathBuf> {
    let folders = ["docs/guide/applications", "docs/guide/providers"];
    let entries = folders
        .into_iter()
        .flat_map(|folder| std::fs::read_dir(folder).unwrap());
    let pages = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    pages.chain([Path::new("README.md").to_owned()]).collect()
}

#[test]
fn every_configuration_of_the_guides_loads_without_a_warning() {
    let mut found = 0;
    for page in guides() {
        let name = page.to_str().unwrap();
        for block in sites(&std::fs::read_to_string(&page).unwrap()) {
            found += 1;
            let text = if block.contains("providers.") {
                block.to_owned()
            } else {
                format!("{PROVIDER}{block}")
            };
            let report = review_text(name, &text, &environment(), Timestamp::from_secs(0));
            if let Err(problems) = &report.settings {
                panic!("{problems}\n{text}");
            }
            let told: Vec<String> = report.warnings.iter().map(ToString::to_string).collect();
            assert!(told.is_empty(), "{}\n{text}", told.join("\n"));
        }
    }
    assert!(found > 10, "only {found} configurations");
}
