//! What the handlers share, and what they ask it for.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use fenliu_model::Registry;
use fenliu_operators::Plan as CleaningPlan;
use serde_json::{Value, json};

use super::corrections::Corrections;
use super::feed::Feed;
use super::guard::Guard;
use super::jobs::Jobs;
use super::limits::{Streams, Turn};
use super::problem::{Answer, Problem};
use super::sampler::Sampler;
use super::story::Story;
use crate::error::{Error, Result};
use crate::finetune::JobCommand;
use crate::metrics::Counters;
use crate::plan::Plan;
use crate::serve::Live;

/// What the handlers share.
pub(crate) struct App {
    pub(super) name: String,
    pub(super) counters: Counters,
    /// The model, once it is open; never set without one.
    pub(super) live: OnceLock<Arc<Live>>,
    /// The compiled cleaning steps.
    pub(super) clean: Arc<CleaningPlan>,
    /// `None`: no documents are kept.
    pub(super) feed: Option<Arc<Feed>>,
    /// `None`: there is no place for corrections.
    pub(super) corrections: Option<Corrections>,
    /// The directory of the model's versions; `None` for a fixed version, or without a model.
    pub(super) registry: Option<Registry>,
    pub(super) jobs: Option<Jobs>,
    pub(super) guard: Guard,
    pub(super) sampler: Sampler,
    pub(super) asks: Turn,
    pub(super) streams: Streams,
    /// What the page cannot do, and the setting that changes that.
    pub(super) dark: BTreeMap<&'static str, String>,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("name", &self.name).finish_non_exhaustive()
    }
}

impl App {
    pub(super) fn new(
        config: &Plan,
        counters: &Counters,
        job: Option<&JobCommand>,
        address: SocketAddr,
    ) -> Result<Self> {
        let mut dark = BTreeMap::new();
        let mut without = |ability: &'static str, why: &str| drop(dark.insert(ability, why.to_owned()));
        let has_feed = config.http.has_feed() && config.has_model();
        if !has_feed {
            without(
                "feed",
                "`http.feed.documents` is 0, or there is no model: no documents are kept for the page",
            );
        }
        if !config.has_model() {
            without("explain", "there is no model: `model.bundle` is not set");
        }
        let registry = Registry::find(&config.model.bundle).ok().map(|(registry, _)| registry);
        if registry.is_none() {
            without("models", "`model.bundle` names one version, and not a directory of versions");
        }
        let corrections = Corrections::open(config)?;
        if corrections.is_none() {
            without(
                "corrections",
                "there is no place for corrections: set `finetune.feedback.topic`, or name a file that ends with .jsonl in \
                 `finetune.feedback.paths`",
            );
        }
        let jobs = registry.as_ref().zip(job).map(|(registry, job)| Jobs::new(registry, job));
        if jobs.is_none() {
            without("jobs", "fine-tuning needs a directory of versions in `model.bundle`");
        }
        Ok(App {
            name: config.name.clone(),
            counters: counters.clone(),
            live: OnceLock::new(),
            clean: Arc::clone(&config.clean),
            feed: has_feed
                .then(|| Feed::start(&config.http.feed, &counters.metrics))
                .transpose()?
                .map(Arc::new),
            corrections,
            registry,
            jobs,
            guard: Guard::new(&config.http, address),
            sampler: Sampler::default(),
            asks: Turn::default(),
            streams: Streams::default(),
            dark,
        })
    }
}

impl App {
    /// The feed.
    ///
    /// # Errors
    /// No documents are kept.
    pub(super) fn feed(&self) -> Answer<&Feed> {
        self.feed.as_deref().ok_or_else(|| Problem::not_found(self.why_dark("feed")))
    }

    /// Why the page cannot do something, with the setting that changes it.
    pub(super) fn why_dark(&self, ability: &str) -> String {
        self.dark.get(ability).cloned().unwrap_or_else(|| format!("this pipeline has no {ability}"))
    }

    /// The labels that people gave to stories, by key.
    pub(super) fn corrected(&self) -> BTreeMap<String, String> {
        self.corrections.as_ref().map(|corrections| corrections.labels()).unwrap_or_default()
    }

    /// A story as JSON, with its correction.
    pub(super) fn shown(&self, story: &Story) -> Value {
        let mut value = serde_json::to_value(story).unwrap_or_default();
        let correction = self.corrections.as_ref().and_then(|corrections| corrections.of(&story.key).pop());
        value["correction"] = json!(correction);
        value["near_duplicates"] = json!(self.feed.as_ref().map_or(0, |feed| feed.near(story).len()));
        value
    }
}

impl App {
    pub(super) fn registry(&self) -> Answer<&Registry> {
        self.registry.as_ref().ok_or_else(|| Problem::not_found(self.why_dark("models")))
    }
}

/// Runs work that may block on a thread of its own.
pub(super) async fn in_background<T: Send + 'static>(
    app: Arc<App>,
    work: impl FnOnce(&App) -> Answer<T> + Send + 'static,
) -> Answer<T> {
    let ended = tokio::task::spawn_blocking(move || work(&app)).await;
    ended.unwrap_or_else(|_| Err(Error::internal("the work for this request panicked").into()))
}
