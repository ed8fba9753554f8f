//! Whole configurations: the shipped ones load, faulty ones are told line by line.

use std::path::Path;

use super::*;

/// Surroundings in which every secret and file of the shipped configurations is there.
fn surroundings() -> Imagined {
    let mut there = Imagined::default();
    there.variables.insert("FUSIONAUTH_API_KEY".into(), "a-key-of-fusionauth".into());
    for (path, text) in [
        ("/run/secrets/fusionauth-api-key", "a-key-of-fusionauth\n"),
        ("/run/secrets/cookie-key", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"),
        ("/run/secrets/cookie-key-before", "HwECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHgA=\n"),
        ("/etc/vestibule/cookie.key", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"),
        ("config/examples/../users.toml", ""),
        ("config/users.toml", ""),
        ("users.toml", ""),
    ] {
        there.files.insert(path.into(), text.into());
    }
    there
}

fn shipped() -> Vec<std::path::PathBuf> {
    let mut paths = vec![Path::new("config/vestibule.toml").to_path_buf()];
    let examples = std::fs::read_dir("config/examples").unwrap();
    paths.extend(examples.map(|entry| entry.unwrap().path()).filter(|path| path.extension().unwrap() == "toml"));
    assert!(paths.len() > 5, "{paths:?}");
    paths
}

#[test]
fn every_shipped_configuration_loads() {
    for path in shipped() {
        let text = std::fs::read_to_string(&path).unwrap();
        if let Err(problems) = check_text(path.to_str().unwrap(), &text, &surroundings()) {
            panic!("{problems}");
        }
    }
}
