//! A map by texts that takes little memory while it has few of them.
//!
//! A registry map has many small tables: the paths of a host, the namespaces of a pattern.
//! A hash map for each of them would take a hundred times the bytes of the file. Up to
//! [`FEW`] texts are compared one by one, which is also faster than a hash. This module
//! must not know what the texts mean.

use std::collections::HashMap;

/// How many texts are compared one by one.
const FEW: usize = 8;

/// Values by text. Users choose the texts, so the hash is the one of the standard library,
/// which they cannot predict.
#[derive(Debug)]
pub(crate) struct TextMap<V> {
    few: Vec<(Box<str>, V)>,
    // All values, if there are more than a few.
    #[expect(
        clippy::box_collection,
        reason = "most maps have few texts, and an empty hash map takes 48 bytes in each"
    )]
    many: Option<Box<HashMap<Box<str>, V>>>,
}

impl<V> Default for TextMap<V> {
    fn default() -> Self {
        Self {
            few: Vec::new(),
            many: None,
        }
    }
}

impl<V> TextMap<V> {
    pub(crate) fn get(&self, text: &str) -> Option<&V> {
        if let Some(many) = &self.many {
            return many.get(text);
        }
        let mut few = self.few.iter();
        few.find(|(key, _)| **key == *text).map(|(_, value)| value)
    }

    /// The value of a text; `new` makes it if the text is not in the map yet.
    pub(crate) fn entry(&mut self, text: &str, new: impl FnOnce() -> V) -> &mut V {
        let at = self.few.iter().position(|(key, _)| **key == *text);
        if at.is_none() && self.few.len() == FEW {
            let few = std::mem::take(&mut self.few);
            self.many = Some(Box::new(few.into_iter().collect()));
        }
        if let Some(many) = &mut self.many {
            return many.entry(text.into()).or_insert_with(new);
        }
        let at = at.unwrap_or(self.few.len());
        if at == self.few.len() {
            // Most maps have one text, and a vector would make room for four at once.
            self.few.reserve_exact(self.few.len().max(1));
            self.few.push((text.into(), new()));
        }
        #[expect(
            clippy::indexing_slicing,
            reason = "the text is pushed if it is not in the list"
        )]
        &mut self.few[at].1
    }

    /// All texts with their values, in no particular order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &V)> {
        let few = self.few.iter().map(|(text, value)| (&**text, value));
        let many = self.many.iter().flat_map(|many| many.iter());
        few.chain(many.map(|(text, value)| (&**text, value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_and_many_texts_are_found() {
        for count in [0, 1, FEW - 1, FEW, FEW + 1, 100] {
            let mut map = TextMap::default();
            for _ in 0..2 {
                for number in 0..count {
                    *map.entry(&number.to_string(), || 0) += number;
                }
            }
            assert_eq!(map.iter().count(), count);
            for number in 0..count {
                assert_eq!(map.get(&number.to_string()), Some(&(2 * number)));
            }
            assert_eq!(map.get("none"), None);
        }
    }
}
