//! Fetching from an imitation of the hub on this machine.

use std::path::Path;
use std::time::Duration;

use fenliu_model::{HubCause, ModelError};
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::testing::has_runtime;
use crate::{ImportOptions, huggingface};
use server::{Hub, Stored, git_blob, sha256};

mod server;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const OTHER_COMMIT: &str = "89abcdef0123456789abcdef0123456789abcdef";
const CONFIG: &[u8] = b"{\"model_type\": \"bert\"}";
const VOCABULARY: &[u8] = b"[PAD]\n[UNK]\n";

/// Content in which no part is like another.
fn weights() -> Vec<u8> {
    (0..50_000_u32).flat_map(u32::to_le_bytes).collect()
}

/// A hub with a repository in which everything but the weights is tiny.
fn hub() -> Hub {
    let weights = weights();
    Hub::start(
        COMMIT,
        &[
            ("README.md", b"# Model", false),
            ("config.json", CONFIG, false),
            ("model.safetensors", &weights, true),
            ("pytorch_model.bin", b"pickle", true),
            ("1_Pooling/config.json", b"{}", false),
            ("vocab.txt", VOCABULARY, false),
        ],
    )
}

/// Options for `hub` with the cache in a directory of their own.
struct Cached {
    options: HubOptions,
    directory: TempDir,
}

fn cached(hub: &Hub) -> Cached {
    let directory = tempfile::tempdir().unwrap();
    let options = HubOptions {
        endpoint: hub.url.clone(),
        token: None,
        cache: directory.path().to_owned(),
        offline: false,
        proxies: false,
        pause: Duration::ZERO,
    };
    Cached { options, directory }
}

impl Cached {
    fn fetch(&self, reference: &str) -> Result<Snapshot> {
        fetch(&reference.parse().unwrap(), &self.options, &mut |_| {})
    }

    /// Cause and message of the error.
    fn refused(&self, reference: &str) -> (HubCause, String) {
        match self.fetch(reference).unwrap_err() {
            ModelError::Hub { reference: named, cause, problem } => {
                assert!(named.starts_with(reference), "{named}");
                (cause, problem)
            }
            other => panic!("{other}"),
        }
    }

    fn repository(&self) -> std::path::PathBuf {
        self.directory.path().join("models--owner--name")
    }

    fn incomplete(&self) -> std::path::PathBuf {
        self.repository().join(format!("blobs/{}.incomplete", sha256(&weights())))
    }
}

fn assert_refused(got: &(HubCause, String), cause: HubCause, messages: &[&str]) {
    assert_eq!(got.0, cause, "{}", got.1);
    for message in messages {
        assert!(got.1.contains(message), "`{message}` is not in: {}", got.1);
    }
}

/// Paths and ranges of the requests for content of the weights.
fn weight_ranges(hub: &Hub) -> Vec<Option<String>> {
    let requests = hub.received().into_iter();
    let of_weights = requests.filter(|r| r.method == "GET" && r.path.ends_with("model.safetensors"));
    of_weights.map(|request| request.headers.get("range").cloned()).collect()
}

#[test]
fn a_checkpoint_is_fetched_and_imported() {
    if !has_runtime() {
        return;
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/references/bert_classifier");
    let read = |name: &str| std::fs::read(source.join(name)).unwrap();
    let names = ["config.json", "expected.json", "model.safetensors", "tokenizer.json"];
    let contents = names.map(read);
    let files: Vec<(&str, &[u8], bool)> = names
        .iter()
        .zip(&contents)
        .map(|(name, content)| (*name, content.as_slice(), name.ends_with("safetensors")))
        .collect();
    let hub = Hub::start(COMMIT, &files);
    let cached = cached(&hub);
    let snapshot = cached.fetch("hf:owner/name").unwrap();
    let root = tempfile::tempdir().unwrap();
    let options = ImportOptions { origin: Some(snapshot.origin()), ..ImportOptions::default() };
    let bundle = huggingface(&snapshot.directory, root.path(), "imported", &options).unwrap();
    assert_eq!(bundle.labels().ids(), ["finance", "sports", "weather"]);
    let digests: std::collections::BTreeMap<&str, String> = files
        .iter()
        .filter(|(name, ..)| *name != "expected.json")
        .map(|(name, content, _)| (*name, sha256(content)))
        .collect();
    assert_eq!(
        bundle.manifest().model.training,
        json!({ "imported_from": "hf:owner/name@main", "commit": COMMIT, "files": digests })
    );
    assert!(hub.received().iter().all(|request| !request.path.contains("expected.json")));
}

#[test]
fn the_cache_has_the_layout_of_the_public_one() {
    let hub = hub();
    let cached = cached(&hub);
    let mut arrived = Vec::new();
    let reference: Reference = "hf:owner/name".parse().unwrap();
    let snapshot = fetch(&reference, &cached.options, &mut |progress| {
        arrived.push((progress.file.to_owned(), progress.bytes, progress.total));
    })
    .unwrap();
    let size = weights().len() as u64;
    assert_eq!(arrived.last(), Some(&("model.safetensors".to_owned(), size, size)));
    let repository = cached.repository();
    assert_eq!(std::fs::read_to_string(repository.join("refs/main")).unwrap(), COMMIT);
    assert_eq!(snapshot.directory, repository.join("snapshots").join(COMMIT));
    let fetched: Vec<&str> = snapshot.files.keys().map(String::as_str).collect();
    assert_eq!(fetched, ["1_Pooling/config.json", "config.json", "model.safetensors", "vocab.txt"]);
    for (file, target) in [
        ("config.json", format!("../../blobs/{}", git_blob(CONFIG))),
        ("model.safetensors", format!("../../blobs/{}", sha256(&weights()))),
        ("1_Pooling/config.json", format!("../../../blobs/{}", git_blob(b"{}"))),
    ] {
        let link = std::fs::read_link(snapshot.directory.join(file)).unwrap();
        assert_eq!(link, Path::new(&target), "{file}");
    }
    assert_eq!(std::fs::read(snapshot.directory.join("model.safetensors")).unwrap(), weights());
    // Nothing temporary is left.
    assert_eq!(std::fs::read_dir(repository.join("blobs")).unwrap().count(), 4);
}

#[test]
fn shards_are_those_that_the_index_names() {
    let index = json!({ "weight_map": { "a": "part-1.safetensors", "b": "part-2.safetensors", "c": "part-1.safetensors" } });
    let index = serde_json::to_vec(&index).unwrap();
    let hub = hub();
    let add = |name: &str, content: &[u8]| {
        hub.state().files.insert(name.into(), Stored { content: content.to_vec(), is_large: false });
    };
    hub.state().files.remove("model.safetensors");
    add("model.safetensors.index.json", &index);
    for part in ["part-1.safetensors", "part-2.safetensors", "part-3.safetensors"] {
        add(part, part.as_bytes());
    }
    let files = cached(&hub).fetch("hf:owner/name").unwrap().files;
    assert!(files.contains_key("part-1.safetensors") && files.contains_key("part-2.safetensors"));
    assert!(!files.contains_key("part-3.safetensors"));

    hub.state().files.remove("part-2.safetensors");
    let got = cached(&hub).refused("hf:owner/name");
    assert_refused(&got, HubCause::Absent, &["names `part-2.safetensors`, which is not there"]);
    for (shard, message) in [("../../evil.safetensors", "may lead out"), ("x.bin", "only .safetensors files")]
    {
        let index = json!({ "weight_map": { "a": shard } });
        add("model.safetensors.index.json", &serde_json::to_vec(&index).unwrap());
        assert_refused(&cached(&hub).refused("hf:owner/name"), HubCause::Unusable, &[shard, message]);
    }
}

#[test]
fn a_cut_download_is_resumed_where_it_ended() {
    let hub = hub();
    hub.state().cut = Some(("model.safetensors".into(), 100_000));
    let cached = cached(&hub);
    let snapshot = cached.fetch("hf:owner/name").unwrap();
    assert_eq!(snapshot.files["model.safetensors"], sha256(&weights()));
    assert_eq!(weight_ranges(&hub), [None, Some("bytes=100000-".to_owned())]);
}

#[test]
fn a_download_of_an_earlier_process_is_resumed() {
    let hub = hub();
    let cached = cached(&hub);
    std::fs::create_dir_all(cached.repository().join("blobs")).unwrap();
    std::fs::write(cached.incomplete(), &weights()[..1000]).unwrap();
    cached.fetch("hf:owner/name").unwrap();
    assert_eq!(weight_ranges(&hub), [Some("bytes=1000-".to_owned())]);
    assert!(!cached.incomplete().exists());
}

#[test]
fn a_server_without_ranges_sends_everything_again() {
    let hub = hub();
    hub.state().ignores_ranges = true;
    let cached = cached(&hub);
    std::fs::create_dir_all(cached.repository().join("blobs")).unwrap();
    std::fs::write(cached.incomplete(), b"other").unwrap();
    let snapshot = cached.fetch("hf:owner/name").unwrap();
    assert_eq!(snapshot.files["model.safetensors"], sha256(&weights()));
    // The answer is used, although it begins elsewhere than was asked.
    assert_eq!(weight_ranges(&hub), [Some("bytes=5-".to_owned())]);
}

#[test]
fn a_wrong_part_of_an_earlier_process_is_fetched_again() {
    let hub = hub();
    for wrong in [vec![7; 1000], vec![7; weights().len()], vec![7; weights().len() + 1]] {
        let cached = cached(&hub);
        std::fs::create_dir_all(cached.repository().join("blobs")).unwrap();
        std::fs::write(cached.incomplete(), wrong).unwrap();
        let snapshot = cached.fetch("hf:owner/name").unwrap();
        assert_eq!(snapshot.files["model.safetensors"], sha256(&weights()));
    }
}

#[test]
fn a_wrong_digest_is_refused_and_the_file_removed() {
    let hub = hub();
    let mut forged = weights();
    forged[5] ^= 1;
    hub.state().forged.insert("model.safetensors".into(), forged.clone());
    let cached = cached(&hub);
    let got = cached.refused("hf:owner/name");
    assert_refused(
        &got,
        HubCause::Unusable,
        &["model.safetensors: SHA-256 is ", &sha256(&forged), &sha256(&weights()), "removed"],
    );
    assert!(!cached.incomplete().exists());
    hub.state().forged = [("config.json".into(), CONFIG.to_ascii_uppercase())].into();
    let got = self::cached(&hub).refused("hf:owner/name");
    assert_refused(&got, HubCause::Unusable, &["config.json: git's SHA-1 is ", &git_blob(CONFIG)]);
    hub.state().forged.clear();
    cached.fetch("hf:owner/name").unwrap();
}

#[test]
fn a_size_that_contradicts_the_list_is_refused() {
    let hub = hub();
    hub.state().forged.insert("config.json".into(), b"longer than what the list of files says".to_vec());
    let got = cached(&hub).refused("hf:owner/name");
    assert_refused(
        &got,
        HubCause::Unusable,
        &["config.json: the size is 39 in the hub's answer but 22 in its list"],
    );
}

#[test]
fn a_private_repository_needs_a_token() {
    let hub = hub();
    hub.state().token = Some("secret".into());
    let mut cached = cached(&hub);
    let without = cached.refused("hf:owner/name");
    assert_refused(&without, HubCause::Denied, &["status 401", "owner/name is private or gated", "HF_TOKEN"]);
    cached.options.token = Token::new("wrong");
    assert_refused(&cached.refused("hf:owner/name"), HubCause::Denied, &["the token is not valid"]);
    cached.options.token = Token::new("secret");
    cached.fetch("hf:owner/name").unwrap();
}

#[test]
fn the_licence_of_a_gated_repository_must_be_accepted() {
    let hub = hub();
    hub.state().is_gated = true;
    let mut cached = cached(&hub);
    let licence = format!("accept its licence at {}/owner/name", hub.url);
    assert_refused(&cached.refused("hf:owner/name"), HubCause::Denied, &["gated", &licence, "HF_TOKEN"]);
    cached.options.token = Token::new("any");
    assert_refused(&cached.refused("hf:owner/name"), HubCause::Denied, &["owner of the token", &licence]);
}

#[test]
fn what_does_not_exist_is_named() {
    let cached = cached(&hub());
    let revision = cached.refused("hf:owner/name@v9");
    assert_refused(&revision, HubCause::Absent, &["owner/name has no revision `v9`"]);
    assert_refused(&cached.refused("hf:owner/other"), HubCause::Absent, &["no repository owner/other"]);
}

#[test]
fn pickles_are_not_fetched() {
    let hub = hub();
    hub.state().files.remove("model.safetensors");
    let got = cached(&hub).refused("hf:owner/name");
    assert_refused(
        &got,
        HubCause::Unusable,
        &["pytorch_model.bin", "can run code", "safe_serialization=True"],
    );
    assert_eq!(hub.received().len(), 1);
}

#[test]
fn the_token_is_not_sent_to_the_storage() {
    let (hub, storage) = (hub(), hub());
    hub.state().token = Some("secret".into());
    hub.state().storage.clone_from(&storage.url);
    let mut cached = cached(&hub);
    cached.options.token = Token::new("secret");
    cached.fetch("hf:owner/name").unwrap();
    assert!(hub.received().iter().all(|request| request.headers.contains_key("authorization")));
    let stored = storage.received();
    assert_eq!(stored.len(), 1);
    assert!(!stored[0].headers.contains_key("authorization"), "{stored:?}");
}

#[test]
fn outages_are_waited_for_but_not_for_ever() {
    let hub = hub();
    hub.state().outages = 2;
    cached(&hub).fetch("hf:owner/name").unwrap();
    hub.state().outages = 100;
    let got = cached(&hub).refused("hf:owner/name");
    assert_refused(&got, HubCause::Unavailable, &["HTTP status 503 (5 attempts)"]);
}

#[test]
fn a_hub_that_does_not_listen_is_named() {
    let mut cached = cached(&hub());
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    cached.options.endpoint = format!("http://127.0.0.1:{port}");
    assert_refused(&cached.refused("hf:owner/name"), HubCause::Unavailable, &["no answer from 127.0.0.1"]);
    cached.options.endpoint = "huggingface.co".into();
    assert_refused(&cached.refused("hf:owner/name"), HubCause::Unusable, &["https://", "`HF_ENDPOINT`"]);
}

#[cfg(not(feature = "tls"))]
#[test]
fn https_is_refused_without_tls() {
    let mut cached = cached(&hub());
    cached.options.endpoint = "https://hub.invalid".into();
    let got = cached.refused("hf:owner/name");
    assert_refused(&got, HubCause::Usage, &["https://hub.invalid needs TLS", "feature `tls`"]);
}

#[test]
fn names_that_lead_out_of_the_directory_are_refused() {
    for name in ["../../config.json", "/etc/config.json", "..\\config.json"] {
        let hub = hub();
        hub.state().files.insert(name.into(), Stored { content: b"{}".to_vec(), is_large: false });
        let got = cached(&hub).refused("hf:owner/name");
        assert_refused(&got, HubCause::Unusable, &[name, "may lead out of the directory"]);
    }
}

#[test]
fn the_cache_is_enough_when_offline() {
    let hub = hub();
    let mut cached = cached(&hub);
    let fetched = cached.fetch("hf:owner/name").unwrap();
    cached.options.offline = true;
    hub.received();
    assert_eq!(cached.fetch("hf:owner/name").unwrap(), fetched);
    let by_commit = cached.fetch(&format!("hf:owner/name@{COMMIT}")).unwrap();
    assert_eq!((by_commit.directory, by_commit.files), (fetched.directory.clone(), fetched.files));
    assert_refused(
        &cached.refused("hf:owner/name@v2"),
        HubCause::Absent,
        &["the revision `v2` is not in the cache", "HF_HUB_OFFLINE is set", "models--owner--name"],
    );
    std::fs::remove_file(fetched.directory.join("config.json")).unwrap();
    let got = cached.refused("hf:owner/name");
    assert_refused(&got, HubCause::Absent, &["there is no config.json", "HF_HUB_OFFLINE is set"]);
    assert!(hub.received().is_empty());
}

#[test]
fn a_damaged_file_in_the_cache_is_refused() {
    let cached = cached(&hub());
    let snapshot = cached.fetch("hf:owner/name").unwrap();
    let blob = std::fs::canonicalize(snapshot.directory.join("vocab.txt")).unwrap();
    std::fs::write(&blob, "other").unwrap();
    let got = cached.refused("hf:owner/name");
    assert_refused(&got, HubCause::Unusable, &["vocab.txt in the cache is damaged", blob.to_str().unwrap()]);
}

#[test]
fn references_to_the_same_content_share_it() {
    let hub = hub();
    hub.state().revisions.push("refs%2Fpr%2F1".into());
    let cached = cached(&hub);
    let main = cached.fetch("hf:owner/name").unwrap();
    hub.received();
    let pull_request = cached.fetch("hf:owner/name@refs/pr/1").unwrap();
    assert_eq!((pull_request.directory, pull_request.files), (main.directory, main.files.clone()));
    // Only the list of files was asked for.
    assert_eq!(hub.received().len(), 1);

    // A later commit with the same files: their content is not fetched again.
    hub.state().commit = OTHER_COMMIT.into();
    let later = cached.fetch("hf:owner/name").unwrap();
    assert_eq!((later.commit.as_str(), later.files), (OTHER_COMMIT, main.files));
    assert!(hub.received().iter().skip(1).all(|request| request.method == "HEAD"));
}

#[test]
fn several_may_fetch_at_once() {
    let hub = hub();
    let cached = cached(&hub);
    std::thread::scope(|scope| {
        let fetches: Vec<_> = (0..4).map(|_| scope.spawn(|| cached.fetch("hf:owner/name"))).collect();
        for fetch in fetches {
            assert_eq!(fetch.join().unwrap().unwrap().files["model.safetensors"], sha256(&weights()));
        }
    });
    assert_eq!(weight_ranges(&hub), [None]);
}
