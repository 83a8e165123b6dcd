//! The hosts with `*` of one port, as a tree of labels from the right.
//!
//! A node exists only where hosts differ, so the tree has at most two nodes for each host,
//! however many labels the hosts have. This module must not decide which of the hosts that
//! cover an image's host precedes.

use crate::policy::glob::{self, GlobMap};

/// A host as it is put into the tree.
#[derive(Debug, Clone, Copy)]
pub(super) struct GlobHost<'h> {
    /// The labels that are not in the tree yet; `None` if all are.
    left: Option<&'h str>,
    ends: HostEnds,
}

/// The positions of what the map says about a host in the caller's list.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct HostEnds {
    /// Of exactly this host.
    pub(super) here: Option<usize>,
    /// Of the host `**.` followed by this one.
    pub(super) deep: Option<usize>,
}

impl<'h> GlobHost<'h> {
    pub(super) fn new(host: &'h str, ends: HostEnds) -> Self {
        Self {
            left: Some(host),
            ends,
        }
    }

    fn labels(&self) -> impl Iterator<Item = &'h str> + use<'h> {
        self.left.unwrap_or_default().rsplit('.')
    }

    fn last_label(&self) -> Option<&'h str> {
        self.left.map(|left| split(left).1)
    }

    fn advance(&mut self) {
        self.left = self.left.and_then(|left| split(left).0);
    }
}

/// The labels before the last one, and the last one.
fn split(host: &str) -> (Option<&str>, &str) {
    match host.rsplit_once('.') {
        Some((before, last)) => (Some(before), last),
        None => (None, host),
    }
}

#[derive(Debug, Default)]
pub(super) struct HostTree {
    // The root is the first node.
    nodes: Vec<HostNode>,
}

#[derive(Debug, Default)]
struct HostNode {
    // The labels that all hosts of this node have in common; empty if they have none.
    labels: Box<str>,
    ends: HostEnds,
    children: Option<Box<GlobMap<usize>>>,
}

impl HostTree {
    /// Builds the tree of these hosts, which must differ from each other.
    pub(super) fn build(mut hosts: Vec<GlobHost<'_>>) -> Self {
        let mut tree = Self::default();
        if !hosts.is_empty() {
            hosts.sort_by(|a, b| a.labels().cmp(b.labels()));
            tree.add(&mut hosts);
            tree.nodes.shrink_to_fit();
        }
        tree
    }

    /// Adds a node for sorted hosts, and returns its position.
    fn add(&mut self, hosts: &mut [GlobHost<'_>]) -> usize {
        let at = self.nodes.len();
        self.nodes.push(HostNode::default());
        let mut node = HostNode {
            labels: take_common_labels(hosts).into(),
            ..HostNode::default()
        };
        let done = hosts.partition_point(|host| host.left.is_none());
        let (done, mut rest) = hosts.split_at_mut(done);
        for host in done {
            node.ends = host.ends;
        }
        while let Some(label) = rest.first().and_then(GlobHost::last_label) {
            let same = rest.partition_point(|host| host.last_label() == Some(label));
            let (group, others) = rest.split_at_mut(same);
            group.iter_mut().for_each(GlobHost::advance);
            let child = self.add(group);
            let children = node.children.get_or_insert_default();
            children.entry(label, || child);
            rest = others;
        }
        if let Some(place) = self.nodes.get_mut(at) {
            *place = node;
        }
        at
    }

    /// Adds the positions of all hosts of the tree that cover a host to `found`. Counts the
    /// labels and nodes that it looks at.
    pub(super) fn collect(&self, host: &str, found: &mut Vec<usize>, looked_at: &mut usize) {
        if !self.nodes.is_empty() {
            self.below(0, Some(host), found, looked_at);
        }
    }

    fn below(
        &self,
        node: usize,
        mut left: Option<&str>,
        found: &mut Vec<usize>,
        looked_at: &mut usize,
    ) {
        let Some(node) = self.nodes.get(node) else {
            return;
        };
        if !node.labels.is_empty() {
            for wanted in node.labels.rsplit('.') {
                *looked_at += 1;
                let Some((rest, label)) = left.map(split) else {
                    return;
                };
                if !glob::matches(wanted, label) {
                    return;
                }
                left = rest;
            }
        }
        *looked_at += 1;
        let Some((rest, label)) = left.map(split) else {
            found.extend(node.ends.here);
            return;
        };
        found.extend(node.ends.deep);
        let Some(children) = &node.children else {
            return;
        };
        for child in children
            .literal(label)
            .into_iter()
            .chain(children.globs(label))
        {
            self.below(*child, rest, found, looked_at);
        }
    }
}

/// Removes the labels that all of the sorted hosts have in common, and returns them. The
/// first and the last host have the fewest in common.
fn take_common_labels<'h>(hosts: &mut [GlobHost<'h>]) -> &'h str {
    let (Some(first), Some(last)) = (hosts.first(), hosts.last()) else {
        return "";
    };
    let (mut one, mut other, mut count) = (*first, *last, 0);
    while let Some(label) = one.last_label()
        && other.last_label() == Some(label)
    {
        one.advance();
        other.advance();
        count += 1;
    }
    let whole = first.left.unwrap_or_default();
    let common = match one.left {
        _ if count == 0 => "",
        None => whole,
        // The dot between the two parts belongs to neither.
        Some(rest) => whole.get(rest.len() + 1..).unwrap_or_default(),
    };
    for host in hosts {
        for _ in 0..count {
            host.advance();
        }
    }
    common
}
