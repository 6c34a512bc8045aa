//! Places where tests make the process fail: `FAILPOINTS="files-staged=3*off->return"` kills it there.
//!
//! They are compiled in with the feature `failpoints` alone; without it `point` is nothing.

/// One step of the commit protocol. The action `return` ends the process at once, as SIGKILL would.
pub(crate) fn point(name: &'static str) {
    #[cfg(feature = "failpoints")]
    fail::fail_point!(name, |_| std::process::abort());
    #[cfg(not(feature = "failpoints"))]
    let _ = name;
}

/// Reads `FAILPOINTS`. To be called once, before any other thread runs.
pub fn set_up() {
    #[cfg(feature = "failpoints")]
    std::mem::forget(fail::FailScenario::setup());
}
