//! Portcullis: an identity-aware edge proxy. This is the composition root and the command line; what it composes lives
//! in the crates beside it.

mod admin;
mod admin_client;
mod agreement;
mod certificates;
mod check;
mod cli;
mod commands;
mod configuration;
mod decision_sink;
mod decisions;
mod demo;
mod explain;
mod house;
mod http_server;
mod internal_tls;
mod keys_command;
mod log;
mod migrate;
mod policy;
mod publish;
mod readiness;
mod records;
mod reload;
mod replica_metrics;
mod run;
mod secret_file;
mod self_signed;
mod signals;
mod sockets;
mod status;
mod telemetry;
mod terminal;
mod view;

use std::io::IsTerminal;
use std::process::ExitCode;

use crate::configuration::Refused;
use crate::terminal::note;
use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Before anything of Pingora or reqwest can install another one: the first provider stays.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        note("portcullis: another TLS provider was installed first");
        return ExitCode::FAILURE;
    }
    match commands::dispatch(cli::Cli::parse()) {
        Ok(status) => status,
        Err(report) => {
            note(&explain_failure(&report));
            ExitCode::FAILURE
        }
    }
}

/// A refused configuration as `file:line:column: message` a line (with source lines on a terminal); everything else as
/// what went wrong and because of what.
fn explain_failure(report: &miette::Report) -> String {
    if let Some(Refused(error)) = report.downcast_ref::<Refused>() {
        let terminal = std::io::stderr().is_terminal();
        return if terminal { error.for_terminal() } else { error.to_string() };
    }
    let mut text = format!("portcullis: {report}");
    for cause in report.chain().skip(1) {
        text.push_str("\n  because: ");
        text.push_str(&cause.to_string());
    }
    text
}
