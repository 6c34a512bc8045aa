//! The command line. Results go to standard output, everything else to standard error.
//!
//! Exit codes: 0 done, 1 failed, 2 bad usage or configuration, 3 too many documents failed (`breaker`).

mod check;
mod common;
mod compact;
mod demo;
mod dlq;
mod doctor;
mod evaluate;
mod fetch;
mod finetune;
mod generate;
mod model;
mod output;
mod predict;
mod produce;
mod run;
mod thresholds;
mod train;
mod verify;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use self::common::Common;
use crate::error::Result;

/// News in, labels out: Kafka-sourced documents through cleaning and an ONNX classifier to Arrow records.
#[derive(Debug, Parser)]
#[command(
    name = "fenliu",
    version,
    after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 stopped because too many documents failed"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Train a small model on real news and stream unseen articles through an embedded broker
    Demo(demo::DemoArgs),
    /// Run the pipeline: source, cleaning, model, sinks
    Run(run::RunArgs),
    /// Send documents from files to a Kafka topic
    Produce(produce::ProduceArgs),
    /// Train a classifier from scratch and write a bundle
    Train(train::TrainArgs),
    /// Learn from corrections: train a challenger, evaluate it, and promote it if it is better
    Finetune(finetune::FinetuneArgs),
    /// Measure a bundle on labelled documents
    Evaluate(evaluate::EvaluateArgs),
    /// Label texts
    Predict(predict::PredictArgs),
    /// Manage models: their versions, and which one is in use
    Model(model::ModelArgs),
    /// Make and show files with thresholds per source
    Thresholds(thresholds::ThresholdsArgs),
    /// List, show and replay dead letters
    Dlq(dlq::DlqArgs),
    /// Compare the source with the sinks: find lost and duplicated documents
    Verify(verify::VerifyArgs),
    /// Rewrite small files of Delta tables as few large ones
    Compact(compact::CompactArgs),
    /// Check a configuration and its bundle without running the pipeline
    Check,
    /// Print the configuration with all defaults and overrides; secrets are hidden
    Config(check::ConfigArgs),
    /// Check that everything that fenliu needs is present on this machine
    Doctor,
    /// Print the completions for a shell
    Completions(generate::CompletionsArgs),
    /// Print the manual page
    Man(generate::ManArgs),
}

/// Parses the arguments, runs the command, and returns its exit code.
pub fn main() -> ExitCode {
    fenliu_connectors::fault::set_up();
    let Cli { command, common } = Cli::parse();
    init_logging(&command, &common);
    match execute(command, &common) {
        Ok(code) => code,
        Err(error) => {
            output::error(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

fn execute(command: Command, common: &Common) -> Result<ExitCode> {
    match command {
        Command::Demo(args) => demo::demo(&args, common),
        Command::Run(args) => run::run(&args, common),
        Command::Produce(args) => produce::produce(&args, common),
        Command::Train(args) => train::train(args, common),
        Command::Finetune(args) => return finetune::finetune(args, common),
        Command::Evaluate(args) => evaluate::evaluate(&args, common),
        Command::Predict(args) => predict::predict(&args, common),
        Command::Model(args) => return model::model(&args, common),
        Command::Thresholds(args) => thresholds::thresholds(&args, common),
        Command::Dlq(args) => dlq::dlq(&args, common),
        Command::Verify(args) => return verify::verify(&args, common),
        Command::Compact(args) => compact::compact(&args, common),
        Command::Check => check::check(common),
        Command::Config(args) => check::config(&args, common),
        Command::Doctor => return doctor::doctor(common),
        Command::Completions(args) => generate::completions(&args, Cli::command()),
        Command::Man(args) => generate::man(&args, Cli::command()),
    }
    .map(|()| ExitCode::SUCCESS)
}

/// Sets up logging to standard error; `RUST_LOG` overrides the flags.
///
/// The demo prints its own progress, so it logs only warnings. Messages of the Delta libraries are limited to errors or
/// warnings, because they log every commit, and log a warning when a commit has to be retried, which is normal.
fn init_logging(command: &Command, common: &Common) {
    let level = match (common.quiet, common.verbose) {
        (true, _) => "warn",
        (_, 0) if matches!(command, Command::Demo(_)) => "warn",
        (_, 0) => "info,buoyant_kernel=warn,deltalake_core=error",
        (_, 1) => {
            "info,fenliu=debug,fenliu_connectors=debug,fenliu_decode=debug,fenliu_engine=debug,\
             fenliu_model=debug,fenliu_operators=debug,buoyant_kernel=warn,deltalake_core=error"
        }
        _ => "trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
}
