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

/// The lines of docs/break-glass.md that find pods without their pull secret, run by a shell;
/// only `kubectl` is a function that prints a recorded list.
#[test]
fn the_pods_that_lack_their_secret_after_break_glass_are_found() {
    let has_jq = std::process::Command::new("jq").arg("--version").output();
    if has_jq.is_err() {
        // Not `eprintln!`: the test harness swallows what a passing test prints.
        let line = "SKIP jq: jq is not installed; docs/break-glass.md uses it\n";
        std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes()).unwrap();
        return;
    }
    let page = std::fs::read_to_string("docs/break-glass.md").unwrap();
    let (_, rest) = page.split_once("by the map and do not have it:").unwrap();
    let block = rest.split("```sh\n").nth(1).unwrap();
    let (block, _) = block.split_once("```").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let copy = |from: &str, to: &str| std::fs::copy(from, folder.path().join(to)).unwrap();
    copy("examples/registry-map.yaml", "registry-map.yaml");
    copy("tests/fixtures/cmd/live-pods.json", "recorded.json");
    let programs = std::path::Path::new(env!("CARGO_BIN_EXE_pullpass"));
    let path = std::env::var("PATH").unwrap();
    let output = std::process::Command::new("sh")
        .arg("-c")
        .arg(format!("kubectl() {{ cat recorded.json; }}\n{block}"))
        .env(
            "PATH",
            format!("{}:{path}", programs.parent().unwrap().display()),
        )
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "shop\twithout\tregistry.corp.example/shop/web:1\tcorp-pull\n",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
