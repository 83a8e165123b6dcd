//! What the account of this process may do, by the word of the API server.
//!
//! The question is a `SelfSubjectAccessReview`. This module must not change anything, or say
//! which rights are needed, which the modules that use them know.

use super::client::{KubeError, request};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Client};
use std::fmt;

/// The right to do something with objects of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Right {
    verb: &'static str,
    group: &'static str,
    resource: &'static str,
    namespace: Option<String>,
    name: Option<String>,
}

impl Right {
    /// To do this with all objects of the kind, in all namespaces.
    #[must_use]
    pub fn everywhere(verb: &'static str, group: &'static str, resource: &'static str) -> Self {
        Self {
            verb,
            group,
            resource,
            namespace: None,
            name: None,
        }
    }

    /// The same with one object. A list or watch of one object, by its name as the field
    /// selector, is authorized as a request for that name (apiserver
    /// `endpoints/request/requestinfo.go`).
    #[must_use]
    pub fn named(mut self, namespace: Option<&str>, name: &str) -> Self {
        self.namespace = namespace.map(str::to_owned);
        self.name = Some(name.to_owned());
        self
    }

    fn review(&self) -> SelfSubjectAccessReview {
        SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(ResourceAttributes {
                    verb: Some(self.verb.to_owned()),
                    group: Some(self.group.to_owned()),
                    resource: Some(self.resource.to_owned()),
                    namespace: self.namespace.clone(),
                    name: self.name.clone(),
                    ..ResourceAttributes::default()
                }),
                ..SelfSubjectAccessReviewSpec::default()
            },
            ..SelfSubjectAccessReview::default()
        }
    }
}

/// `patch secrets pullpass/pullpass-tls`
impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        match (&self.namespace, &self.name) {
            (Some(namespace), Some(name)) => write!(f, " {namespace}/{name}"),
            (None, Some(name)) => write!(f, " {name}"),
            _ => Ok(()),
        }
    }
}

/// Those of the rights that the account does not have.
pub async fn missing(client: &Client, rights: &[Right]) -> Result<Vec<Right>, KubeError> {
    let api: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let mut missing = Vec::new();
    for right in rights {
        let review = right.review();
        let params = PostParams::default();
        let answer = request("SelfSubjectAccessReview", api.create(&params, &review)).await?;
        if !answer.status.is_some_and(|status| status.allowed) {
            missing.push(right.clone());
        }
    }
    Ok(missing)
}
