//! Stub of the map's file form, only so that this branch compiles; the real one wins on merge.
#![allow(missing_docs, clippy::allow_attributes, clippy::missing_errors_doc)]

use crate::policy::{Action, Entry, Policy};

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SourceFile {
    pub name: String,
    pub text: String,
}

#[derive(Debug, Clone, Default)]
pub struct Options {
    pub own_namespace: Option<String>,
}

#[derive(Debug)]
pub struct Diagnostic(pub String);

impl std::fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Debug)]
pub struct Loaded {
    pub policy: Policy,
    pub warnings: Vec<Diagnostic>,
}

pub fn load(files: &[SourceFile], _options: &Options) -> Result<Loaded, Vec<Diagnostic>> {
    let mut entries = Vec::new();
    for file in files {
        if !file.text.contains("kind: RegistryMap") {
            return Err(vec![Diagnostic(format!("{}:1: no kind", file.name))]);
        }
        for line in file.text.lines() {
            if let Some((_, name)) = line.split_once("name: ") {
                entries.push(Entry {
                    name: name.trim().to_owned(),
                    patterns: Vec::new(),
                    pull_secrets: Vec::new(),
                    action: Action::Allow,
                    reason: None,
                    from: None,
                    until: None,
                    replace_with: None,
                    namespaces: None,
                    location: file.name.clone(),
                });
            }
        }
    }
    Ok(Loaded {
        policy: Policy { entries },
        warnings: Vec::new(),
    })
}
