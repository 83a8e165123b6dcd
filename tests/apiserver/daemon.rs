//! A program that ends with us, however we end.
//!
//! It is started through a shell that leaves a watcher behind: the watcher holds
//! the other end of a pipe of ours, and when the pipe closes without a word (we
//! were killed, or exited, since statics are never dropped) it kills the program.
//! No unsafe code and nothing that only Linux has.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};

/// Becomes the program (`exec`), so that the process we started is the program.
/// `$$` is that process in the watcher too. What has died before us is not killed:
/// then a line came through the pipe first, and the number may be another's.
const LEASH: &str = r#"
scratch=$1; shift
exec 3<&0 </dev/null
(
    read -r _ <&3 && exit
    kill -KILL "$$"
    if [ -n "$scratch" ]; then sleep 1; rm -rf "$scratch"; fi
) >/dev/null 2>&1 &
exec 3<&-
exec "$@"
"#;

/// A running program with its output in a file.
pub(crate) struct Daemon {
    name: String,
    child: Child,
    leash: ChildStdin,
    log: PathBuf,
    scratch: Option<PathBuf>,
}

/// What becomes of the program's standard output; the standard error is always
/// written to the log.
pub(crate) enum Output {
    /// Written to the log too.
    Log,
    /// Kept for [`Daemon::stdout`].
    Pipe,
}

impl Daemon {
    /// Starts a program; its log is `NAME.log` in `folder`, and all that it may want to
    /// keep for a while is put there too. The folder `scratch` is
    /// removed when the program ends, or this process.
    pub(crate) fn start(
        name: &str,
        folder: &Path,
        scratch: Option<&Path>,
        program: &Path,
        arguments: &[String],
        output: &Output,
    ) -> Self {
        let log = folder.join(format!("{name}.log"));
        let file = File::create(&log).unwrap();
        let stdout = match output {
            Output::Log => Stdio::from(file.try_clone().unwrap()),
            Output::Pipe => Stdio::piped(),
        };
        let mut child = Command::new("sh")
            .args(["-c", LEASH, "sh"])
            .arg(scratch.map(Path::as_os_str).unwrap_or_default())
            .arg(program)
            .args(arguments)
            .env("TMPDIR", folder)
            .stdin(Stdio::piped())
            .stdout(stdout)
            .stderr(file)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start a shell for {name}: {error}"));
        let leash = child.stdin.take().unwrap();
        Self {
            name: name.to_owned(),
            child,
            leash,
            log,
            scratch: scratch.map(Path::to_path_buf),
        }
    }

    /// The program's standard output, once, when it was started with [`Output::Pipe`].
    pub(crate) fn stdout(&mut self) -> ChildStdout {
        self.child
            .stdout
            .take()
            .expect("started with a pipe, and asked once")
    }

    /// How the program ended, where it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.child.try_wait().unwrap();
        if status.is_some() {
            // Its number is free from now on: the watcher must not use it.
            let _ = self.leash.write_all(b"ended\n");
        }
        status
    }

    /// The whole log.
    pub(crate) fn log(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Name and last lines of the log, for whoever has to find out.
    pub(crate) fn tail(&self) -> String {
        let text = self.log();
        let lines: Vec<&str> = text.lines().collect();
        let last = lines
            .get(lines.len().saturating_sub(15)..)
            .unwrap_or_default();
        format!(
            "--- {} ({})\n{}\n",
            self.name,
            self.log.display(),
            last.join("\n")
        )
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.ended().is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
            let _ = self.leash.write_all(b"ended\n");
        }
        if let Some(scratch) = &self.scratch {
            let _ = std::fs::remove_dir_all(scratch);
        }
    }
}
