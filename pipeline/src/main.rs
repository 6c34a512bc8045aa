//! The `fenliu` binary: arguments in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    fenliu::cli::main()
}
