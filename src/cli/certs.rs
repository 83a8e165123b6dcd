//! `pullpass certs dev`: writes certificates for development.
//!
//! This module must not make keys; [`crate::certs::issuer`] does.

use super::{CliError, Status, output};
use crate::certs::issuer::{self, DEVELOPMENT_NAMES, DevelopmentCertificates};
use anyhow::{Context as _, bail};
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Make certificates for development
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Make a CA and a server certificate that it has issued, valid for a year
    ///
    /// Writes ca.crt, tls.crt and tls.key, for localhost, its addresses and the
    /// Service pullpass.pullpass.svc. The CA's key is not kept.
    Dev(DevArgs),
}

/// Which certificates, and where.
#[derive(Debug, clap::Args)]
pub struct DevArgs {
    /// Where to write; created if it does not exist
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// A further DNS name or IP address of the server; may be repeated
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,
    /// Replace files that exist
    #[arg(long)]
    force: bool,
}

/// Runs the command.
pub fn run(command: Command) -> Result<Status, CliError> {
    let Command::Dev(args) = command;
    let words = args
        .run()
        .map_err(|error| CliError::input(format_args!("{error:#}")))?;
    output::write(words.as_bytes())
}

impl DevArgs {
    fn run(self) -> anyhow::Result<String> {
        let Self { dir, hosts, force } = self;
        let names: Vec<String> = DEVELOPMENT_NAMES
            .iter()
            .map(ToString::to_string)
            .chain(hosts)
            .collect();
        let made = issuer::development(&names, SystemTime::now())?;
        let DevelopmentCertificates {
            authority,
            certificate,
            key,
        } = &made;
        let files = [
            ("ca.crt", authority, 0o644),
            ("tls.crt", certificate, 0o644),
            ("tls.key", key, 0o600),
        ];
        if !force && let Some((name, ..)) = files.iter().find(|(name, ..)| dir.join(name).exists())
        {
            let path = dir.join(name);
            bail!("{} exists already; --force replaces it", path.display());
        }
        fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        for (name, text, mode) in files {
            let path = dir.join(name);
            write_file(&path, text, mode)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(format!(
            "wrote ca.crt, tls.crt and tls.key to {}\nfor {}\n",
            dir.display(),
            names.join(", ")
        ))
    }
}

/// Writes a new file and renames it, so that nobody reads half of it, and a key is never
/// readable by others.
fn write_file(path: &Path, text: &str, mode: u32) -> std::io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&beside)?;
    // A file that an earlier run left has its old mode.
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(text.as_bytes())?;
    fs::rename(&beside, path)
}
