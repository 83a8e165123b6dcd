//! Warns where a pattern reaches less than its author may think: a deny of one port, of one
//! of the names of the node itself, and hosts that are compared by another name.
//!
//! An allow that reaches less is noticed at the first pod, but nobody notices a deny that
//! does. The warnings about denies are made only while some image that no entry covers is
//! admitted.

use crate::map::diagnostic::{Diagnostic, Diagnostics, Severity, SourceSpan};
use crate::map::draft::MapDraft;
use crate::policy::canonical::{LOOPBACK, aliases};
use crate::policy::{Action, Pattern};

pub(in crate::map) fn check(draft: &MapDraft<'_>, diagnostics: &mut Diagnostics) {
    aliased_hosts(draft, diagnostics);
    if !draft.denies_unknown_everywhere() {
        other_ports(draft, diagnostics);
        loopback(draft, diagnostics);
    }
}

/// A pattern, and the place where it stands.
type Placed<'d, 's> = (&'d Pattern, &'d SourceSpan<'s>);

fn denies<'d, 's>(draft: &'d MapDraft<'s>) -> impl Iterator<Item = Placed<'d, 's>> {
    let entries = draft.entries.iter();
    let entries = entries.filter(|draft| draft.entry.action == Action::Deny);
    entries.flat_map(|draft| draft.entry.patterns.iter().zip(&draft.patterns))
}

/// Warns about denies of port 443 that are written without a port. There is one warning for
/// the whole map, because a map with one of them mostly has many.
fn other_ports(draft: &MapDraft<'_>, diagnostics: &mut Diagnostics) {
    let all = || denies(draft).filter(|(pattern, _)| leaves_ports(pattern));
    let Some((pattern, place)) = all().next() else {
        return;
    };
    let others = match all().count() - 1 {
        0 => String::new(),
        1 => ", as does one more pattern".to_owned(),
        more => format!(", as do {more} more patterns"),
    };
    let host = pattern.text.split('/').next().unwrap_or_default();
    let path = pattern.text.get(host.len()..).unwrap_or_default();
    let message = format!(
        "this deny covers port 443 only{others}, and the map admits images of other ports of the host"
    );
    diagnostics.add(
        Diagnostic::new(Severity::Warning, place, message).help(format!(
            "write `{host}:*{path}` to deny every port, or `{host}:443{path}` if that is intended"
        )),
    );
}

/// Whether a pattern is written without a port, and its host may serve images at others.
fn leaves_ports(pattern: &Pattern) -> bool {
    !pattern.names_port() && !is_public_service(pattern.host())
}

/// Whether a host is known to serve images at port 443 alone.
fn is_public_service(host: &str) -> bool {
    let well_known = crate::map::DEFAULT_PUBLIC_REGISTRIES.contains(&host);
    let ecr = host.ends_with(".amazonaws.com") && host.contains(".dkr.ecr.");
    well_known || ecr
}

/// Warns about denies that name the node itself by some of its names.
fn loopback(draft: &MapDraft<'_>, diagnostics: &mut Diagnostics) {
    let mut named = denies(draft).filter(|(pattern, _)| LOOPBACK.contains(&pattern.host()));
    let Some((_, place)) = named.next() else {
        return;
    };
    let is_missing = |host: &&str| !denies(draft).any(|(pattern, _)| pattern.covers_host(host));
    let missing: Vec<&str> = LOOPBACK.into_iter().filter(is_missing).collect();
    if missing.is_empty() {
        return;
    }
    let message = format!(
        "this deny covers one name of the node itself, and no deny covers {}",
        missing.join(", ")
    );
    let all = LOOPBACK.map(|host| format!("\"{host}:*\"")).join(", ");
    diagnostics.add(
        Diagnostic::new(Severity::Warning, place, message).help(format!(
            "write `match: [{all}]`, which covers every port too"
        )),
    );
}

/// Warns about hosts with `*` that cover only another name of a service, by which no image
/// is compared.
fn aliased_hosts(draft: &MapDraft<'_>, diagnostics: &mut Diagnostics) {
    let of_entries = draft
        .entries
        .iter()
        .flat_map(|draft| draft.entry.patterns.iter().zip(&draft.patterns));
    let public = draft.public.iter().flat_map(|given| &given.value);
    let public = public.map(|(pattern, place)| (pattern, place));
    for (pattern, place) in of_entries.chain(public) {
        if !pattern.is_glob() {
            continue;
        }
        let mut unreached =
            aliases().filter(|(alias, host)| pattern.meets(alias) && !pattern.meets(host));
        if let Some((alias, host)) = unreached.next() {
            let message = format!(
                "this pattern does not cover {alias}, because images of this host are compared as {host}"
            );
            diagnostics.add(
                Diagnostic::new(Severity::Warning, place, message)
                    .help(format!("write `{host}` too if it is meant")),
            );
        }
    }
}
