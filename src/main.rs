//! stub
use clap::Parser;
use pullpass::cli::{Cli, Command};
use std::process::ExitCode;

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(args) => args.run(),
        Command::Certs(args) => args.run(),
    }
}
