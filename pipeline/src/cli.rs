//! The command line. Results go to standard output, everything else to standard error.
//!
//! Exit codes: 0 done, 1 failed, 2 bad usage or configuration, 3 too many documents failed (`breaker`).

mod check;
mod compact;
mod demo;
mod dlq;
mod doctor;
mod evaluate;
mod finetune;
mod generate;
mod model;
mod output;
mod predict;
mod produce;
mod run;
mod train;
mod verify;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgAction, Args, Parser, Subcommand};
use fenliu_config::Problems;
use tracing_subscriber::EnvFilter;

use crate::config::Config;
use crate::error::Result;
use crate::plan::Plan;
use crate::signals::listen_for_signals;
use fenliu_connectors::Shutdown;

#[cfg(test)]
pub(crate) use check::DEFAULT_CONFIG;

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

#[derive(Debug, Args)]
struct Common {
    /// Configuration file (TOML)
    #[arg(short, long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Set one configuration key, such as model.top_k=5; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", global = true)]
    overrides: Vec<String>,
    /// Log more: -v debug, -vv trace
    #[arg(short, long, action = ArgAction::Count, global = true)]
    verbose: u8,
    /// Log only warnings and errors
    #[arg(short, long, conflicts_with = "verbose", global = true)]
    quiet: bool,
    /// Print the result as JSON
    #[arg(long, global = true)]
    json: bool,
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
    /// Learn from corrections: make a challenger, judge it, promote it if it is better
    Finetune(finetune::FinetuneArgs),
    /// Measure a bundle on labelled documents
    Evaluate(evaluate::EvaluateArgs),
    /// Label texts
    Predict(predict::PredictArgs),
    /// Look after models: their versions and which one is in use
    Model(model::ModelArgs),
    /// Look at dead letters and send them back
    Dlq(dlq::DlqArgs),
    /// Compare the source with the sinks: what is lost, what is there twice
    Verify(verify::VerifyArgs),
    /// Rewrite small files of Delta tables as few large ones
    Compact(compact::CompactArgs),
    /// Check a configuration, its bundle included, without running it
    Check,
    /// Print the configuration as it would run, secrets hidden
    Config(check::ConfigArgs),
    /// Look for everything that fenliu needs on this machine
    Doctor,
    /// Print the completions for a shell
    Completions(generate::CompletionsArgs),
    /// Print the manual page
    Man(generate::ManArgs),
}

/// Parses the arguments, runs the command, reports.
pub fn main() -> ExitCode {
    fenliu_connectors::fault::set_up();
    let Cli { command, common } = Cli::parse();
    init_logging(&command, &common);
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "cannot start the runtime");
            return ExitCode::from(1);
        }
    };
    let _entered = runtime.enter();
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
        Command::Dlq(args) => dlq::dlq(&args, common),
        Command::Verify(args) => return verify::verify(&args, common),
        Command::Compact(args) => compact::compact(&args, common),
        Command::Check => check::check(common),
        Command::Config(args) => check::config(&args, common),
        Command::Doctor => return doctor::doctor(common),
        Command::Completions(args) => generate::completions(&args),
        Command::Man(args) => generate::man(&args),
    }
    .map(|()| ExitCode::SUCCESS)
}

/// Logs go to standard error; `RUST_LOG` overrides the flags. The demo tells its own story, and what the
/// Delta library says at each commit (a race that was lost, which is no fault, is a warning there) is left out.
fn init_logging(command: &Command, common: &Common) {
    let level = match (common.quiet, common.verbose) {
        (true, _) => "warn",
        (_, 0) if matches!(command, Command::Demo(_)) => "warn",
        (_, 0) => "info,buoyant_kernel=warn,deltalake_core=error",
        (_, 1) => {
            "info,fenliu=debug,fenliu_connectors=debug,fenliu_decode=debug,fenliu_engine=debug,fenliu_model=debug,fenliu_operators=debug,buoyant_kernel=warn,deltalake_core=error"
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

impl Common {
    fn load(&self) -> Result<Config> {
        Ok(Config::load(self.config.as_deref(), &self.overrides)?)
    }

    fn origin(&self) -> String {
        self.config.as_ref().map_or("command line".to_string(), |path| path.display().to_string())
    }

    /// The configuration, which must be named.
    fn configured(&self) -> Result<Config> {
        if self.config.is_none() && self.overrides.is_empty() {
            let message = "no configuration: name a file with -c (start from `fenliu config --default`)";
            return Err(Problems::one("command line", "", message).into());
        }
        self.load()
    }

    /// The configuration, checked and compiled.
    fn validated(&self) -> Result<Plan> {
        Ok(self.configured()?.validate(&self.origin())?)
    }
}

/// A shutdown that heeds SIGINT and SIGTERM.
fn shutdown_on_signals() -> Shutdown {
    let shutdown = Shutdown::default();
    listen_for_signals(shutdown.clone());
    shutdown
}
