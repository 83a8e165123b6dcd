//! Where the programs of the control plane are, or how to get them.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// Fixes etcd's version; here it is only read.
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
    let (kubernetes, etcd) = (kubernetes(), etcd());
    Some(cache.join(format!(
        "kubernetes-{kubernetes}-etcd-{etcd}-{system}-{machine}"
    )))
}

/// The version of Kubernetes that `tests/go/build.sh` builds: that of `go.mod`, or of the
/// module file that `PULLPASS_KUBERNETES` chooses.
pub(crate) fn kubernetes() -> String {
    let chosen = env::var("PULLPASS_KUBERNETES").unwrap_or_default();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/go");
    let modules = fs::read_to_string(folder.join(format!("kubernetes-{chosen}.mod")))
        .or_else(|_| fs::read_to_string(folder.join("go.mod")))
        .unwrap();
    let mut lines = modules.lines();
    let version = lines.find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes "));
    version
        .expect("the module file requires k8s.io/kubernetes")
        .to_owned()
}

fn etcd() -> &'static str {
    let mut lines = BUILD.lines();
    let version = lines.find_map(|line| line.strip_prefix("etcd="));
    version.expect("tests/go/build.sh sets etcd")
}
