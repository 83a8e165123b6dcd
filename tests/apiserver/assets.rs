//! Where the programs of the control plane are, or how to get them.

use std::env;
use std::path::PathBuf;

/// `tests/go/build.sh` fixes the versions; here they are only read.
const BUILD: &str = include_str!("../go/build.sh");

/// The four programs.
pub(crate) struct Assets {
    pub(crate) etcd: PathBuf,
    pub(crate) apiserver: PathBuf,
    pub(crate) controller_manager: PathBuf,
    pub(crate) kubectl: PathBuf,
}

impl Assets {
    /// Looks for each program in `KUBEBUILDER_ASSETS`, then where
    /// `tests/go/build.sh` puts it.
    pub(crate) fn find() -> Result<Self, String> {
        let folders = folders();
        let find = |name: &str| {
            let found = folders
                .iter()
                .map(|folder| folder.join(name))
                .find(|path| path.is_file());
            found.ok_or_else(|| missing(name, &folders))
        };
        Ok(Self {
            etcd: find("etcd")?,
            apiserver: find("kube-apiserver")?,
            controller_manager: find("kube-controller-manager")?,
            kubectl: find("kubectl")?,
        })
    }
}

fn missing(name: &str, folders: &[PathBuf]) -> String {
    let folders: Vec<String> = folders
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    format!(
        "there is no {name} in {}.\n\
         `make controlplane` builds it from Go modules (once, about 15 minutes), or set \
         KUBEBUILDER_ASSETS to a folder that has etcd, kube-apiserver, kube-controller-manager \
         and kubectl.\n\
         PULLPASS_SKIP_APISERVER=1 leaves these tests out.",
        folders.join(" or ")
    )
}

fn folders() -> Vec<PathBuf> {
    let named = ["KUBEBUILDER_ASSETS", "PULLPASS_CONTROLPLANE"];
    let named = named
        .into_iter()
        .filter_map(env::var_os)
        .filter(|value| !value.is_empty());
    let mut folders: Vec<PathBuf> = named.map(PathBuf::from).collect();
    folders.extend(built());
    folders.dedup();
    folders
}

/// The folder that `tests/go/build.sh` prints, without asking it: it would want Go.
fn built() -> Option<PathBuf> {
    let folder = |name| {
        env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let cache = folder("PULLPASS_CACHE")
        .or_else(|| Some(folder("XDG_CACHE_HOME")?.join("pullpass")))
        .or_else(|| Some(folder("HOME")?.join(".cache/pullpass")))?;
    let system = match env::consts::OS {
        "macos" => "darwin",
        other => other,
    };
    let machine = match env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let (kubernetes, etcd) = (version("kubernetes"), version("etcd"));
    Some(cache.join(format!(
        "kubernetes-{kubernetes}-etcd-{etcd}-{system}-{machine}"
    )))
}

/// The version of `kubernetes` or `etcd` that `tests/go/build.sh` builds.
pub(crate) fn version(name: &str) -> &'static str {
    let mut lines = BUILD.lines();
    let line = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    line.unwrap_or_else(|| panic!("tests/go/build.sh no longer sets {name}"))
}
