//! The documentation, run: every `console` block of every page.
//!
//! A command that is shown prints what is shown. `TRYCMD=overwrite` writes what it
//! prints now; read the difference before you commit it.

#[test]
fn commands_in_the_documentation_print_what_it_says() {
    trycmd::TestCases::new()
        .case("README.md")
        .case("docs/*.md")
        .case("tests/cmd/*.md");
}

#[test]
fn every_page_that_is_linked_exists() {
    let pages = std::fs::read_dir("docs")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .chain(
            [
                "README.md",
                "ARCHITECTURE.md",
                "CONTRIBUTING.md",
                "SECURITY.md",
                "CHANGELOG.md",
                "certs/README.md",
                "charts/pullpass/README.md",
            ]
            .map(Into::into),
        );
    let mut broken = Vec::new();
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap();
        let folder = page.parent().unwrap();
        for target in text.split("](").skip(1) {
            let target = target.split([')', '#']).next().unwrap();
            let is_local = !target.is_empty() && !target.contains("://");
            if is_local && !folder.join(target).exists() {
                broken.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// A path in backticks, such as `src/serve.rs`, is a file or folder of the repository.
#[test]
fn every_path_that_the_architecture_names_exists() {
    let page = std::fs::read_to_string("ARCHITECTURE.md").unwrap();
    let words = page.split('`').skip(1).step_by(2);
    let paths: Vec<_> = words
        .filter(|word| {
            ["src/", "tests/", "crates/"]
                .iter()
                .any(|top| word.starts_with(top))
        })
        .collect();
    assert!(paths.len() > 30, "{paths:?}");
    let missing: Vec<_> = paths
        .iter()
        .filter(|path| !std::path::Path::new(path).exists())
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
