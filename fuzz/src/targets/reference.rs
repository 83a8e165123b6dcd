//! An image reference: any text of a pod.

use super::check_line;
use crate::cost::{Bound, Line, within};
use image_reference::{DOCKER_HUB, Reference};

const PARSE: Bound = Bound {
    what: "Reference::parse",
    peak_bytes: Line::new(0, 0),
    allocations: Line::new(0, 0),
    steps: Line::new(2_000, 200),
};

pub(crate) fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let reference = match within(&PARSE, text.len(), || Reference::parse(text)) {
        Ok(reference) => reference,
        Err(error) => {
            let words = error.to_string();
            check_line("a reference error", &words);
            assert!(words.chars().count() < 600, "{words}");
            return;
        }
    };
    // The full form means the same, and is its own full form.
    let full = reference.to_string();
    let again = Reference::parse(&full).expect("the full form is a reference");
    assert_eq!(again.to_string(), full);
    assert_eq!(again.registry(), reference.registry());
    assert_eq!(again.repository(), reference.repository());
    assert_eq!(again.tag(), reference.tag());
    assert_eq!(again.digest(), reference.digest());
    // The parts fit together.
    let repository = reference.repository();
    assert_eq!(
        reference.segments().collect::<Vec<_>>().join("/"),
        repository
    );
    assert_eq!(
        reference.name(),
        format!("{}/{repository}", reference.registry())
    );
    let port = reference.port().map(|port| format!(":{port}"));
    let registry = format!("{}{}", reference.host(), port.unwrap_or_default());
    assert_eq!(registry, reference.registry());
    assert!(repository.split('/').all(|segment| !segment.is_empty()));
    // What is written is what is read: nothing of the text is lost.
    let written = [reference.tag(), reference.digest()];
    let behind: usize = written.iter().flatten().map(|part| part.len() + 1).sum();
    let ends = &text[text.len() - behind..];
    assert_eq!(ends, &full[full.len() - behind..]);
    let before = &text[..text.len() - behind];
    let mut spellings = vec![reference.name()];
    if reference.registry() == DOCKER_HUB {
        let short = repository
            .strip_prefix("library/")
            .filter(|rest| !rest.contains('/'));
        for path in [Some(&*repository), short].into_iter().flatten() {
            spellings
                .extend(["", "docker.io/", "index.docker.io/"].map(|host| format!("{host}{path}")));
        }
    }
    assert!(
        spellings.iter().any(|one| one == before),
        "{text:?} is read as {full:?}"
    );
}
