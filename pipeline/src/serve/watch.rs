//! Follows the alias that `model.bundle` names.
//!
//! A thread of its own reads the alias every `model.watch`. The alias is a small file that is replaced by a rename, so
//! reading it is cheap and never sees a partial write. The thread also loads the new version, so that no stage waits for
//! it. A version that could not be loaded is not tried again until the alias moves.

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
    /// Starts to follow the alias of `live`. No thread is started if there is no alias to follow, or if `model.watch`
    /// is 0.
    ///
    /// # Errors
    /// The system cannot start a thread.
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
    /// The alias when it was last read, or why it could not be read.
    seen: std::result::Result<Option<AliasRecord>, String>,
}

impl Watch {
    fn run(mut self, stop: &Stop) {
        while stop.pause(self.config.model.watch) {
            // Here as well as in the model stage: without documents, only this thread notices that the time is
            // over.
            self.live.end_canary();
            let now = self.registry.alias(self.alias).map_err(|error| error.to_string());
            // Errors are compared, too, so that an alias that stays unreadable is reported once.
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

    /// Puts the version that the alias names in use.
    fn follow(&self, record: &AliasRecord) {
        let version = &record.version;
        // A rollback by this process moves the alias, too, to the version that is in use already.
        if self.live.current().version() == version || self.live.return_to(version) {
            return;
        }
        match self.load(version) {
            // A record without `previous` is a rollback: that version was in use before and needs no canary period.
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
