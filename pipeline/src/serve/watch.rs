//! Follows the alias of the model in use.
//!
//! A thread of its own looks every `model.watch`: the alias is one small file, replaced by a rename, so
//! looking is cheap and never sees half of it. Loading happens here too, so that no stage waits for it.
//! What failed to load is not tried again until the alias moves.

use std::sync::Arc;

use fenliu_model::registry::{Alias, AliasRecord, Registry};

use super::generation::Generation;
use super::live::Live;
use crate::background::{Background, Stop};
use crate::config::Config;
use crate::error::{Converted, Result};
use crate::metrics::Counters;

/// The watching thread; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Watcher {
    _thread: Option<Background>,
}

impl Watcher {
    /// Watches for `live`. No thread is started where there is no alias to follow or `model.watch` is 0.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(config: &Config, live: Arc<Live>, counters: Counters) -> Result<Self> {
        let Some((registry, alias)) = live.followed().cloned().filter(|_| !config.model.watch.is_zero())
        else {
            return Ok(Watcher { _thread: None });
        };
        let watch = Watch { config: config.clone(), live, registry, alias, counters, seen: Ok(None) };
        let thread = Background::spawn("watch", move |stop| watch.run(stop))?;
        Ok(Watcher { _thread: Some(thread) })
    }
}

struct Watch {
    config: Config,
    live: Arc<Live>,
    registry: Registry,
    alias: Alias,
    counters: Counters,
    /// What the alias was when it was last looked at, or why it could not be read.
    seen: std::result::Result<Option<AliasRecord>, String>,
}

impl Watch {
    fn run(mut self, stop: &Stop) {
        while stop.pause(self.config.model.watch) {
            self.live.end_probation();
            let now = self.registry.alias(self.alias).map_err(|error| error.to_string());
            if now == self.seen {
                continue;
            }
            self.seen = now;
            match &self.seen {
                Ok(Some(record)) => self.follow(record),
                Ok(None) => {}
                Err(error) => self.refuse(error),
            }
        }
    }

    /// Brings the version that the alias names into use.
    fn follow(&self, record: &AliasRecord) {
        let version = &record.version;
        if self.live.current().version() == version || self.live.return_to(version) {
            return;
        }
        match self.load(version) {
            // A version that someone went back to has nothing to fall back to.
            Ok(next) => self.live.swap(next, record.previous.is_some()),
            Err(error) => self.refuse(&format!("{version}: {error}")),
        }
    }

    fn load(&self, version: &str) -> Result<Generation> {
        let bundle = self.registry.bundle(version).converted()?;
        Generation::load(&bundle, &self.config)
    }

    fn refuse(&self, reason: &str) {
        tracing::warn!(event = "model_refused", reason, "the model in use stays: the new one cannot be used");
        self.counters.count_reload_failure(reason.to_string());
    }
}
