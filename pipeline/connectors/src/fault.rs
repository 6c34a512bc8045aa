//! Places where tests make the process fail: `FAILPOINTS="files-staged=3*off->return"` kills it there, and
//! `FAILPOINTS="files-staged=return(error)"` lets the step before report a failure, whatever it has done.
//!
//! They are compiled in with the feature `failpoints` alone; without it `point` is nothing.

use fenliu_engine::Result;

/// One step of the commit protocol. The action `return` ends the process at once, as SIGKILL would.
///
/// # Errors
/// With the action `return(error)`: one that may pass.
pub(crate) fn point(name: &'static str) -> Result<()> {
    #[cfg(feature = "failpoints")]
    fail::fail_point!(name, |what| match what {
        Some(_) => Err(failure(name)),
        None => std::process::abort(),
    });
    #[cfg(not(feature = "failpoints"))]
    let _ = name;
    Ok(())
}

#[cfg(feature = "failpoints")]
fn failure(name: &'static str) -> fenliu_engine::Error {
    fenliu_engine::Error::file("go past", name)(std::io::Error::other("a failure that a test asked for"))
}

/// Reads `FAILPOINTS`. To be called once, before any other thread runs.
pub fn set_up() {
    #[cfg(feature = "failpoints")]
    std::mem::forget(fail::FailScenario::setup());
}
