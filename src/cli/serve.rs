//! `pullpass serve`: the webhook.
//!
//! It turns flags into the configuration of [`serve`](crate::serve) and signals into its shutdown.
//! It must not start or decide anything else.

use super::{CliError, Status};
use crate::certs::issuer::{self, DEVELOPMENT_NAMES};
use crate::certs::pair::{Pair, PairFiles};
use crate::http::deadline::parse_duration;
use crate::http::{Addresses, BindError, Limits};
use crate::observe::log::{self, LogFilter, LogFormat};
use crate::serve::{Bound, CertificateSource, Config, POLL_INTERVAL, StartError};
use crate::state::map_store::MapFile;
use audit::AuditArgs;
use caller::CallerArgs;
use check::CheckArgs;
use pullpass_core::map::Options;
use self_signed::SelfSignedArgs;
use std::fs::{self, DirBuilder};
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use watched::WatchArgs;

mod audit;
mod caller;
mod check;
mod self_signed;
mod watched;

/// Run the admission webhook
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The registry map: a file, or a directory of .yaml, .yml and .json files
    #[arg(long, value_name = "PATH", env = "PULLPASS_CONFIG")]
    config: PathBuf,
    /// Where the API server connects (HTTPS)
    #[arg(long, value_name = "ADDRESS", default_value = "[::]:8443")]
    listen: SocketAddr,
    /// Where probes and Prometheus connect (plain HTTP): /metrics, /livez, /readyz
    #[arg(long, value_name = "ADDRESS", default_value = "[::]:8080")]
    admin_listen: SocketAddr,
    #[command(flatten)]
    tls: TlsArgs,
    #[command(flatten)]
    self_signed: SelfSignedArgs,
    #[command(flatten)]
    watched: WatchArgs,
    #[command(flatten)]
    callers: CallerArgs,
    /// The namespace that pullpass runs in; it is never touched
    #[arg(long, value_name = "NAME", env = "POD_NAMESPACE")]
    namespace: Option<String>,
    /// How log lines look
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,
    /// What is logged: a level, or directives such as info,pullpass=debug
    #[arg(long, value_name = "FILTER", default_value = "info")]
    log_level: LogFilter,
    #[command(flatten)]
    audit: AuditArgs,
    #[command(flatten)]
    limits: LimitArgs,
    // Last, because its heading holds for what follows.
    #[command(flatten)]
    check: CheckArgs,
}

/// The ways to a certificate, of which one must be chosen.
#[derive(Debug, clap::Args)]
#[group(id = "tls", required = true, multiple = true)]
struct TlsArgs {
    /// The certificate chain, PEM, the server's own first; read again when it changes
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Its private key, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Make a temporary certificate and print where its CA is; for trying out
    #[arg(long, conflicts_with_all = ["tls_cert", "tls_key"])]
    self_signed: bool,
    /// Rotate a self-signed certificate in this Secret, together with the other replicas,
    /// and its CA in the caBundle of the webhooks; for clusters
    #[arg(
        long,
        value_name = "NAME",
        requires = "webhook_service",
        conflicts_with_all = ["tls_cert", "tls_key", "self_signed"]
    )]
    self_signed_secret: Option<String>,
}

#[derive(Debug, clap::Args)]
struct LimitArgs {
    /// Connections at a time; one more takes the place of one that deserves it least
    #[arg(long, value_name = "COUNT", default_value = "1024", value_parser = parse_count)]
    max_connections: usize,
    /// Memory that large request bodies and the decisions about them may hold together, half of
    /// it each, such as 192Mi; requests wait for it, and get 503 when they wait too long
    #[arg(long, value_name = "BYTES", default_value = "192Mi", value_parser = parse_bytes)]
    body_memory: usize,
    /// How long connections are still accepted after SIGTERM
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = duration)]
    shutdown_delay: Duration,
    /// How long requests may then take to end
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = duration)]
    drain_timeout: Duration,
}

/// Serves until SIGTERM or SIGINT, or checks whether this could serve.
pub fn run(args: Args) -> Result<Status, CliError> {
    let log = log::start(args.log_format, &args.log_level);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::unreachable(format_args!("cannot start threads: {error}")))?;
    let result = runtime.block_on(args.serve());
    // Threads that still read files are not waited for.
    runtime.shutdown_background();
    drop(log);
    result
}

impl Args {
    async fn serve(self) -> Result<Status, CliError> {
        let Self {
            config,
            listen,
            admin_listen,
            tls,
            self_signed,
            watched,
            callers,
            namespace,
            log_format,
            log_level: _,
            audit,
            limits,
            check,
        } = self;
        // Before anything is created, so that every signal is handled.
        let signals = Signals::new().map_err(CliError::unreachable)?;
        let (certificate, authority) = match tls.self_signed_secret {
            Some(secret) => (
                self_signed
                    .source(secret, namespace.as_deref(), &watched)
                    .await?,
                None,
            ),
            None => tls.source(listen)?,
        };
        let map_object = watched.map_object(namespace.as_deref())?;
        let registration = watched.registration(namespace.as_deref());
        let options = Options {
            own_namespace: namespace,
        };
        let config = Config {
            addresses: Addresses {
                webhook: listen,
                admin: admin_listen,
            },
            certificate,
            map: MapFile::new(config, options),
            map_object,
            registration,
            mode: audit.mode(),
            client_authentication: callers.authentication(),
            decision_log: audit.decision_log(),
            events: audit.events().await?,
            limits: limits.into(),
            poll_interval: POLL_INTERVAL,
        };
        if check.is_wanted() {
            return check.run(config).await;
        }
        let bound = config.bind().await.map_err(|error| match error {
            StartError::Bind(BindError::Listen { .. }) => CliError::unreachable(error),
            _ => CliError::input(error),
        })?;
        announce(&bound, authority.as_ref(), log_format).map_err(CliError::unreachable)?;
        signals.serve(bound).await;
        Ok(Status::Ok)
    }
}

/// Prints the addresses for people and scripts; these lines are an interface. With JSON they
/// are a line of the log, because whoever reads JSON cannot read other lines between.
fn announce(bound: &Bound, authority: Option<&AuthorityFile>, format: LogFormat) -> io::Result<()> {
    let Addresses { webhook, admin } = bound.addresses()?;
    let ca = authority.map(|authority| authority.path.display());
    if format == LogFormat::Json {
        let (webhook, admin) = (format!("https://{webhook}"), format!("http://{admin}"));
        tracing::info!(
            webhook,
            admin,
            ca = ca.map(tracing::field::display),
            "listening"
        );
        return Ok(());
    }
    let mut stdout = anstream::stdout();
    writeln!(stdout, "webhook: https://{webhook}")?;
    writeln!(stdout, "admin: http://{admin}")?;
    if let Some(ca) = ca {
        writeln!(stdout, "ca: {ca}")?;
    }
    stdout.flush()
}

/// SIGTERM from the kubelet, SIGINT from a terminal.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Serves until the first signal, then ends in order; a second one ends the program at once.
    async fn serve(mut self, bound: Bound) {
        let (first, came) = tokio::sync::oneshot::channel::<()>();
        let serving = bound.serve(async {
            let _ = came.await;
        });
        let signals = async {
            self.next().await;
            let _ = first.send(());
            self.next().await;
        };
        tokio::select! {
            _ = serving => {}
            () = signals => tracing::warn!("a second signal: ending at once"),
        }
    }
}

impl TlsArgs {
    fn source(
        self,
        listen: SocketAddr,
    ) -> Result<(CertificateSource, Option<AuthorityFile>), CliError> {
        if let (Some(certificate), Some(key)) = (self.tls_cert, self.tls_key) {
            let files = PairFiles { certificate, key };
            return Ok((CertificateSource::Files(files), None));
        }
        let mut names: Vec<String> = DEVELOPMENT_NAMES.map(str::to_owned).into();
        let address = listen.ip().to_string();
        if !listen.ip().is_unspecified() && !names.contains(&address) {
            names.push(address);
        }
        let made = issuer::development(&names, SystemTime::now()).map_err(CliError::input)?;
        let pair = Pair::from_pem(made.certificate.as_bytes(), made.key.as_bytes())
            .map_err(CliError::input)?;
        let authority = AuthorityFile::write(&made.authority).map_err(|error| {
            CliError::input(format_args!(
                "cannot write the CA to a temporary directory: {error}"
            ))
        })?;
        Ok((CertificateSource::Memory(Box::new(pair)), Some(authority)))
    }
}

/// The temporary CA, in a directory of its own that is removed when this is dropped.
#[derive(Debug)]
struct AuthorityFile {
    directory: PathBuf,
    path: PathBuf,
}

impl AuthorityFile {
    fn write(pem: &str) -> io::Result<Self> {
        // The name is different in each process and cannot be guessed, and `create` fails
        // where something exists, so that nobody can put a link in the way.
        let name = format!("pullpass-{:016x}", RandomState::new().hash_one(pem));
        let directory = std::env::temp_dir().join(name);
        DirBuilder::new().mode(0o700).create(&directory)?;
        let path = directory.join("ca.crt");
        let file = Self { directory, path };
        fs::write(&file.path, pem)?;
        Ok(file)
    }
}

impl Drop for AuthorityFile {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

impl From<LimitArgs> for Limits {
    fn from(args: LimitArgs) -> Self {
        let LimitArgs {
            max_connections,
            body_memory,
            shutdown_delay,
            drain_timeout,
        } = args;
        Self {
            max_connections,
            body_memory,
            shutdown_delay,
            drain_timeout,
            ..Self::default()
        }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "write a number with a unit, such as 5s or 1m30s".to_owned())
}

fn parse_count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count) if count > 0 => Ok(count),
        _ => Err("write a whole number above 0".to_owned()),
    }
}

/// A quantity as Kubernetes writes it, in binary units.
fn parse_bytes(text: &str) -> Result<usize, String> {
    let (number, unit) = [("Ki", 10), ("Mi", 20), ("Gi", 30)]
        .into_iter()
        .find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, 1_usize << shift)))
        .unwrap_or((text, 1));
    let bytes = number
        .parse::<usize>()
        .ok()
        .and_then(|n| n.checked_mul(unit));
    bytes
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| "write a number of bytes, such as 268435456 or 256Mi".to_owned())
}
