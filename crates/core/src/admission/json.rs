//! Types that read JSON values of a review.
//!
//! They borrow from the text where they can, read `null` like an absent value (as Go decodes
//! into zero values), and refuse lists that are longer than those of any real pod. This
//! module must not know a type of Kubernetes.

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt::{self, Formatter};
use std::marker::PhantomData;

/// The most elements of a list.
///
/// The API server accepts at most 3 MiB from a client (`MaxRequestBodyBytes` in
/// `k8s.io/apiserver/pkg/server/config.go`), and the shortest container with an image,
/// `{"image":"a"}`, has 13 bytes, so no real pod has this many. Without the bound, 32 MiB of
/// `{},{},…` would need ten times as much memory.
pub(super) const MAX_ELEMENTS: usize = 3 * 1024 * 1024 / 12;

/// A string, borrowed unless it holds escapes; `null` is the empty string.
#[derive(Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Text::default())
            }
        }
        // `deserialize_str` would refuse `null` before it calls the visitor.
        deserializer.deserialize_any(TextVisitor)
    }
}

/// A JSON object or `null`, and nothing else; `None` for `null`.
///
/// Structs with a derived `Deserialize` also accept a list, element by element. No API object
/// has this form, so pullpass must not answer a review that contains it.
#[derive(Debug)]
pub(super) struct JsonObject<T>(pub(super) Option<T>);

impl<T> Default for JsonObject<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for JsonObject<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
            type Value = JsonObject<T>;
            fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(JsonObject(None))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(|value| JsonObject(Some(value)))
            }
        }
        deserializer.deserialize_any(ObjectVisitor(PhantomData))
    }
}

/// A list of objects. `null` is the empty list. A `null` element is the default of the
/// element, so that the indices in field paths are those of the request.
#[derive(Debug)]
pub(super) struct List<T>(pub(super) Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de> + Default> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de> + Default> Visitor<'de> for ListVisitor<T> {
            type Value = List<T>;
            fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(List::default())
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut list = Vec::new();
                while let Some(element) = seq.next_element::<JsonObject<T>>()? {
                    if list.len() == MAX_ELEMENTS {
                        return Err(A::Error::custom(format_args!(
                            "more than {MAX_ELEMENTS} elements, which is more than the API server accepts in a pod"
                        )));
                    }
                    list.push(element.0.unwrap_or_default());
                }
                Ok(List(list))
            }
        }
        deserializer.deserialize_any(ListVisitor(PhantomData))
    }
}

/// The groups of a user: the first ones, the number of the others, and whether
/// `system:nodes` is among all of them.
#[derive(Debug, Default)]
pub(super) struct Groups<'a> {
    /// Whether the group of every kubelet is among all groups
    /// (`k8s.io/apiserver/pkg/authentication/user`, `NodesGroup`).
    pub(super) has_nodes: bool,
    /// The first groups, at most [`Groups::KEPT`].
    pub(super) first: Vec<Cow<'a, str>>,
    /// How many other groups the user has.
    pub(super) more: usize,
}

impl Groups<'_> {
    const NODES: &'static str = "system:nodes";
    /// Most users have a handful of groups, but with a directory service they can have
    /// hundreds.
    const KEPT: usize = 16;
}

impl<'de: 'a, 'a> Deserialize<'de> for Groups<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct GroupsVisitor;
        impl<'de> Visitor<'de> for GroupsVisitor {
            type Value = Groups<'de>;
            fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
                f.write_str("a list of groups")
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Groups::default())
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut groups = Groups::default();
                while let Some(Text(group)) = seq.next_element::<Text<'de>>()? {
                    groups.has_nodes |= group == Groups::NODES;
                    if groups.first.len() < Groups::KEPT {
                        groups.first.push(group);
                    } else {
                        groups.more += 1;
                    }
                }
                Ok(groups)
            }
        }
        deserializer.deserialize_any(GroupsVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_borrowed_where_they_can_be() {
        let plain: Text<'_> = serde_json::from_str(r#""abc""#).unwrap();
        assert!(matches!(plain.0, Cow::Borrowed("abc")));
        let escaped: Text<'_> = serde_json::from_str(r#""a\u0062c""#).unwrap();
        assert!(matches!(&escaped.0, Cow::Owned(text) if text == "abc"));
    }

    #[test]
    fn a_list_longer_than_any_pod_is_refused_while_it_is_read() {
        #[derive(Debug, Default, Deserialize)]
        struct Nothing {}
        let most = format!("[{}{{}}]", "{},".repeat(MAX_ELEMENTS - 1));
        let list: List<Nothing> = serde_json::from_str(&most).unwrap();
        assert_eq!(list.0.len(), MAX_ELEMENTS);
        let more = most.replacen('[', "[{},", 1);
        let error = serde_json::from_str::<List<Nothing>>(&more).unwrap_err();
        assert!(error.to_string().contains("more than 262144"), "{error}");
    }

    #[test]
    fn the_nodes_group_is_found_only_as_a_whole() {
        let found = |text| serde_json::from_str::<Groups<'_>>(text).unwrap().has_nodes;
        assert!(found(r#"["system:authenticated","system:nodes"]"#));
        assert!(!found(r#"["system:nodes:x","asystem:nodes"]"#));
        assert!(!found("null"));
    }

    #[test]
    fn of_many_groups_the_first_are_kept_and_all_are_looked_at() {
        let many = format!("[{}\"system:nodes\"]", "\"team\",".repeat(100));
        let groups: Groups<'_> = serde_json::from_str(&many).unwrap();
        assert!(groups.has_nodes);
        assert_eq!((groups.first.len(), groups.more), (16, 85));
    }
}
