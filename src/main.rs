//! The `pullpass` program: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    pullpass::cli::run()
}
