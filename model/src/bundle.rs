//! A classifier on disk.
//!
//! ```text
//! models/<name>/
//!   versions/<ulid>/          a bundle: immutable once it has this name
//!     manifest.json           what it is and how it was made
//!     labels.json             labels in logit order
//!     config.json             network hyper-parameters
//!     vocabulary.txt | tokenizer.json   if it has a graph
//!     linear/*.safetensors      the linear experts, if it has some
//!     calibration.json        temperature and thresholds, if it was calibrated
//!     weights/model.safetensors   onnx/fp32.onnx   eval/report.json
//!     reference/drift.json    distribution of its held-out documents
//!     card.md                 model card for people
//!     SHA256SUMS              the digest of every other file
//! ```
//!
//! Contract: a bundle that opens is complete, and every byte of it is as its writer wrote it. A version is
//! built in `versions/.staging-<ulid>` and renamed when it is completely on disk, so that readers never see
//! an incomplete one. A crash may leave a staging directory behind, which is never read; the next writer
//! removes it.
//!
//! The [`registry`](crate::registry) says which version is in use. The network's own files
//! (`config.json` and the weights) are read by `fenliu-training` only.

use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{ModelError, Result};
use crate::labels::Labels;
use crate::tokenize::{Tokenization, Tokenizer};
use crate::zero_shot::ZeroShotPart;

mod digest;
mod writer;

pub use writer::BundleWriter;
pub(crate) use writer::{remove_leftovers, staging_name};

/// The highest format that this program reads. A bundle has the lowest one that says all of it, so that earlier
/// releases read what they can serve.
const FORMAT: u32 = 3;
pub(crate) const MANIFEST_FILE: &str = "manifest.json";
const LABELS_FILE: &str = "labels.json";

/// How logits become a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemType {
    /// Exactly one label is right: softmax over the logits.
    SingleLabel,
}

/// `manifest.json`: what a bundle is and how it was made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the directory layout: 1 for a graph alone that reads one window, 3 with `prefix` or `zero_shot`, else
    /// 2.
    pub format: u32,
    /// The model's name, the same for all its versions.
    pub name: String,
    /// ULID of this version; sorts by time of creation.
    pub version: String,
    /// When the version was created, RFC 3339, UTC.
    pub created_at: String,
    /// The description by the maker of the model. Its fields are on the same level as the others.
    #[serde(flatten)]
    pub model: ModelDescription,
}

/// The part of the manifest that the maker of a model provides.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ModelDescription {
    /// How texts are cut into tokens; `None` without a graph.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokenization: Option<Tokenization>,
    /// Most tokens of a window that the graph reads.
    pub max_tokens: usize,
    /// Most windows of a text that the graph reads, one after another; the mean of their logits counts.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub windows: usize,
    /// What is put before each text that the graph reads, such as `query: `; linear experts do not see it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// Token id that batches are filled with.
    pub pad_id: u32,
    /// Path of the ONNX graph inside the bundle; `None` if linear experts are the whole model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub onnx: Option<String>,
    /// The linear experts, whose logits are added to those of the graph.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub linear: Vec<LinearPart>,
    /// How much the graph's output `zero_shot` counts; `None` if the graph has no such output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zero_shot: Option<ZeroShotPart>,
    /// How logits become a decision.
    pub problem_type: ProblemType,
    /// Name of the size preset, or of the architecture of an imported model.
    pub preset: String,
    /// Number of trained parameters.
    pub parameters: u64,
    /// Cleaning settings and fingerprint of the texts that the model was trained on. They are the caller's
    /// and not read in this crate.
    pub preprocessing: serde_json::Value,
    /// Options, seed, scores and data digest of the training, for people and reports. Not read in this crate.
    pub training: serde_json::Value,
    /// Largest difference between a logit of the trained network and of the ONNX graph.
    pub parity_max_abs_diff: f64,
    /// Whether the bundle has the network's weights and can be trained further; false for an imported ONNX
    /// graph.
    #[serde(default = "yes")]
    pub trainable: bool,
    /// Whether the classification head was trained; false for an imported encoder without a head, which must be
    /// fine-tuned before it can classify.
    #[serde(default = "yes")]
    pub head_trained: bool,
}

/// A linear expert's part in the sum of logits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinearPart {
    /// Its file inside the bundle.
    pub file: String,
    /// Its logits count `weight / temperature` times.
    pub weight: f64,
    /// The temperature that suits the expert alone.
    pub temperature: f64,
}

/// Default for manifests that were written before the field existed.
fn yes() -> bool {
    true
}

/// Default for manifests that were written before there were windows.
fn one() -> usize {
    1
}

fn is_one(windows: &usize) -> bool {
    *windows == 1
}

impl ModelDescription {
    /// The lowest format that says all of this description.
    fn format(&self) -> u32 {
        if !self.prefix.is_empty() || self.zero_shot.is_some() {
            return 3;
        }
        if self.linear.is_empty() && self.onnx.is_some() && self.windows == 1 { 1 } else { 2 }
    }
}

/// An opened, verified bundle.
#[derive(Clone, Debug)]
pub struct Bundle {
    path: PathBuf,
    manifest: Manifest,
    labels: Labels,
}

impl Bundle {
    pub(crate) fn open_version(path: &Path) -> Result<Self> {
        // Before any file is parsed: damaged bytes are then reported as damage and not as a syntax error.
        digest::verify(path)?;
        let manifest = read_manifest(path)?;
        let bundle =
            Self { path: path.to_path_buf(), manifest, labels: Labels::load(&path.join(LABELS_FILE))? };
        bundle.check_files()?;
        Ok(bundle)
    }

    fn check_files(&self) -> Result<()> {
        let ModelDescription { onnx, linear, .. } = &self.manifest.model;
        if onnx.is_none() && linear.is_empty() {
            let problem = format!("{MANIFEST_FILE}: it has neither `onnx` nor `linear`");
            return Err(ModelError::bundle(&self.path, problem));
        }
        self.check_file("onnx", onnx.as_deref())?;
        linear.iter().try_for_each(|part| self.check_file("linear", Some(&part.file)))?;
        self.check_zero_shot()
    }

    fn check_file(&self, field: &str, file: Option<&str>) -> Result<()> {
        let Some(file) = file else { return Ok(()) };
        // The path comes from a file that may have been copied from elsewhere: `..` or an absolute path would open
        // a file that no digest covers.
        let is_inside = Path::new(file).components().all(|part| matches!(part, Component::Normal(_)));
        if is_inside && self.path.join(file).is_file() {
            return Ok(());
        }
        let problem = format!("{MANIFEST_FILE}: `{field}` is `{file}`, which is not a file of the bundle");
        Err(ModelError::bundle(&self.path, problem))
    }

    fn check_zero_shot(&self) -> Result<()> {
        let model = &self.manifest.model;
        let Some(part) = &model.zero_shot else { return Ok(()) };
        let is_there =
            model.onnx.is_some() && model.linear.iter().any(|linear| linear.file == part.familiar_to);
        let problem = || match is_there {
            true => part.check().err(),
            false => {
                Some(format!("`familiar_to` is `{}`, which is not a file of `linear`", part.familiar_to))
            }
        };
        problem().map_or(Ok(()), |problem| {
            Err(ModelError::bundle(&self.path, format!("{MANIFEST_FILE}: `zero_shot`: {problem}")))
        })
    }

    /// The version's directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the bundle is and how it was made.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Labels in logit order.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// The ONNX graph; `None` if linear experts are the whole model.
    pub fn onnx_path(&self) -> Option<PathBuf> {
        self.manifest.model.onnx.as_ref().map(|file| self.path.join(file))
    }

    /// The SHA-256 of `SHA256SUMS`, and so of everything in the bundle, in lower-case hexadecimal.
    pub(crate) fn sums_sha256(&self) -> Result<String> {
        digest::of_sums(&self.path)
    }

    /// Refuses a bundle whose head is untrained.
    pub(crate) fn check_head(&self) -> Result<()> {
        if self.manifest.model.head_trained {
            return Ok(());
        }
        Err(ModelError::bundle(&self.path, "it has no trained classification head: fine-tune it first"))
    }

    /// Loads the tokenizer.
    ///
    /// # Errors
    ///
    /// The bundle has no tokenizer, or its files are unusable.
    pub fn tokenizer(&self) -> Result<Tokenizer> {
        let problem = "it has no tokenizer: linear experts are the whole model";
        let kind = self.manifest.model.tokenization;
        Tokenizer::load(&self.path, kind.ok_or_else(|| ModelError::bundle(&self.path, problem))?)
    }
}

fn read_manifest(directory: &Path) -> Result<Manifest> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let path = directory.join(MANIFEST_FILE);
    let bytes = std::fs::read(&path).map_err(ModelError::io("read", &path))?;
    // Checked first, because another format may lack the other fields.
    let Format { format } = serde_json::from_slice(&bytes).map_err(ModelError::json(&path))?;
    if !(1..=FORMAT).contains(&format) {
        let problem = format!("{MANIFEST_FILE}: `format` is {format} but this program reads 1 to {FORMAT}");
        return Err(ModelError::bundle(directory, problem));
    }
    serde_json::from_slice(&bytes).map_err(ModelError::json(&path))
}

/// The descriptions of a version directory, if all listed files exist. Their content is not compared with the
/// digests.
pub(crate) fn describe(directory: &Path) -> Result<(Manifest, Labels)> {
    digest::check_list(directory)?;
    Ok((read_manifest(directory)?, Labels::load(&directory.join(LABELS_FILE))?))
}

/// Size in bytes of all files of a version directory.
pub(crate) fn size(directory: &Path) -> Result<u64> {
    digest::size(directory)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::fs;

    use std::str::FromStr;

    use ulid::Ulid;

    use super::*;
    use crate::tokenize::VocabularyOptions;

    /// The description of a word model.
    pub(crate) fn description() -> ModelDescription {
        ModelDescription {
            tokenization: Some(Tokenization::Words),
            max_tokens: 32,
            windows: 1,
            prefix: String::new(),
            pad_id: 0,
            onnx: Some("onnx/fp32.onnx".to_owned()),
            linear: Vec::new(),
            zero_shot: None,
            problem_type: ProblemType::SingleLabel,
            preset: "tiny".to_owned(),
            parameters: 12,
            preprocessing: serde_json::json!({"operators": ["normalize"]}),
            training: serde_json::json!({"seed": 7}),
            parity_max_abs_diff: 1e-6,
            trainable: true,
            head_trained: true,
        }
    }

    /// A staged bundle with every file except the manifest; its graph has the content `onnx`.
    pub(crate) fn staged(root: &Path, onnx: &[u8]) -> BundleWriter {
        let writer = BundleWriter::create(root, "news").unwrap();
        Labels::from_ids(["sports", "finance"]).unwrap().save(&writer.path().join(LABELS_FILE)).unwrap();
        let options = VocabularyOptions { min_count: 1, ..VocabularyOptions::default() };
        let tokenizer = Tokenizer::train_words(&["bank match bank 银行".to_owned()], &options).unwrap();
        tokenizer.save(writer.path()).unwrap();
        fs::create_dir(writer.path().join("onnx")).unwrap();
        fs::write(writer.path().join("onnx/fp32.onnx"), onnx).unwrap();
        writer
    }

    /// The correct `SHA256SUMS` for the existing files.
    pub(crate) fn sums(version: &Path) -> String {
        digest::sums(version).unwrap()
    }

    fn publish(root: &Path) -> Bundle {
        staged(root, b"graph").finish(description()).unwrap()
    }

    fn open_error(path: &Path) -> String {
        Bundle::open(path).unwrap_err().to_string()
    }

    #[test]
    fn a_bundle_opens_by_its_own_directory_and_by_that_of_its_model() {
        let root = tempfile::tempdir().unwrap();
        let written = publish(root.path());
        for path in [written.path(), &root.path().join("news")] {
            let bundle = Bundle::open(path).unwrap();
            assert_eq!(bundle.path(), written.path());
            assert_eq!(bundle.manifest().name, "news");
            assert_eq!(bundle.manifest().model.training, serde_json::json!({"seed": 7}));
            assert_eq!(bundle.labels().ids(), ["sports", "finance"]);
            assert_eq!(fs::read(bundle.onnx_path().unwrap()).unwrap(), b"graph");
            assert_eq!(bundle.tokenizer().unwrap().encode("bank", 9).unwrap().ids, [2]);
        }
        let version = Ulid::from_str(&written.manifest().version).unwrap();
        let created_at = chrono::DateTime::parse_from_rfc3339(&written.manifest().created_at).unwrap();
        assert_eq!(created_at.timestamp_millis() as u64, version.timestamp_ms());
    }

    #[test]
    fn class_names_need_a_linear_expert_that_says_how_familiar_a_text_is() {
        let root = tempfile::tempdir().unwrap();
        let familiar_to = "linear/stripped.safetensors".to_owned();
        let part = ZeroShotPart { familiar_to, mean: 0.6, deviation: 0.1, most: 2.0 };
        let description = ModelDescription { zero_shot: Some(part), ..description() };
        assert_eq!(description.format(), 3);
        let finished = staged(root.path(), b"graph").finish(description);
        let error = finished.and_then(|bundle| Bundle::open(bundle.path())).unwrap_err().to_string();
        let message =
            "`zero_shot`: `familiar_to` is `linear/stripped.safetensors`, which is not a file of `linear`";
        assert!(error.contains(message), "{error}");
    }

    #[test]
    fn the_sums_are_those_of_sha256sum() {
        let root = tempfile::tempdir().unwrap();
        let sums = fs::read_to_string(publish(root.path()).path().join(digest::SUMS_FILE)).unwrap();
        // `printf graph | sha256sum`
        let line = "eef93e1d14482804277fca0172464032d1a4fdbcc338524059fa1e861454ad4d  onnx/fp32.onnx";
        assert!(sums.lines().any(|sum| sum == line), "{sums}");
    }

    #[test]
    fn damage_is_detected_and_the_file_named() {
        type Damage = fn(&Path);
        let cases: [(Damage, &str); 9] = [
            (
                |path| fs::write(path.join("onnx/fp32.onnx"), b"grape").unwrap(),
                "onnx/fp32.onnx (5 bytes) was changed",
            ),
            (
                |path| fs::write(path.join("onnx/fp32.onnx"), b"").unwrap(),
                "onnx/fp32.onnx (0 bytes) was changed or cut",
            ),
            (
                |path| fs::remove_file(path.join("labels.json")).unwrap(),
                "labels.json is listed in SHA256SUMS but missing",
            ),
            (
                |path| fs::remove_dir_all(path.join("onnx")).unwrap(),
                "onnx/fp32.onnx is listed in SHA256SUMS but missing",
            ),
            (
                |path| fs::write(path.join("onnx/extra"), b"").unwrap(),
                "onnx/extra is not listed in SHA256SUMS",
            ),
            (|path| fs::remove_file(path.join("SHA256SUMS")).unwrap(), "SHA256SUMS: No such file"),
            (|path| fs::write(path.join("SHA256SUMS"), "").unwrap(), "is not listed in SHA256SUMS"),
            (|path| fs::write(path.join("SHA256SUMS"), "abc  x\n").unwrap(), "SHA256SUMS line 1 is not"),
            (|path| fs::remove_file(path.join("manifest.json")).unwrap(), "neither manifest.json nor"),
        ];
        let root = tempfile::tempdir().unwrap();
        for (damage, message) in cases {
            let bundle = publish(root.path());
            damage(bundle.path());
            let error = open_error(bundle.path());
            assert!(error.contains(message), "`{message}` is not in: {error}");
        }
    }

    #[test]
    #[cfg(unix)]
    fn links_out_of_a_bundle_are_refused() {
        let root = tempfile::tempdir().unwrap();
        let bundle = publish(root.path());
        std::os::unix::fs::symlink(root.path(), bundle.path().join("link")).unwrap();
        assert!(open_error(bundle.path()).contains("link is neither a file nor a directory"));
    }

    #[test]
    fn an_unsupported_manifest_is_refused() {
        let root = tempfile::tempdir().unwrap();
        for (from, to, message) in [
            ("\"format\": 1", "\"format\": 4", "`format` is 4 but this program reads 1 to 3"),
            (
                "\"onnx\": \"onnx",
                "\"onnx\": \"../onnx",
                "`onnx` is `../onnx/fp32.onnx`, which is not a file of the",
            ),
            ("\"words\"", "\"letters\"", "unknown variant `letters`"),
        ] {
            let bundle = publish(root.path());
            let path = bundle.path().join(MANIFEST_FILE);
            let manifest = fs::read_to_string(&path).unwrap();
            assert!(manifest.contains(from), "{manifest}");
            fs::write(&path, manifest.replace(from, to)).unwrap();
            fs::write(bundle.path().join(digest::SUMS_FILE), digest::sums(bundle.path()).unwrap()).unwrap();
            let error = open_error(bundle.path());
            assert!(error.contains(message), "`{message}` is not in: {error}");
        }
    }

    #[test]
    fn an_unfinished_bundle_is_not_published() {
        let root = tempfile::tempdir().unwrap();
        let versions = root.path().join("news/versions");
        drop(staged(root.path(), b"graph"));
        let without_labels = staged(root.path(), b"graph");
        fs::remove_file(without_labels.path().join(LABELS_FILE)).unwrap();
        let error = without_labels.finish(description()).unwrap_err().to_string();
        assert!(error.contains(LABELS_FILE), "{error}");
        assert_eq!(fs::read_dir(versions).unwrap().count(), 0);
        assert!(open_error(&root.path().join("news")).contains("`versions` holds no version"));
    }

    #[test]
    fn names_that_lead_out_of_the_directory_are_refused() {
        let root = tempfile::tempdir().unwrap();
        for name in ["", "..", ".hidden", "a/b", "a\\b", "news@champion", "a b"] {
            let error = BundleWriter::create(root.path(), name).unwrap_err().to_string();
            assert!(error.contains("`name`"), "{error}");
        }
        assert!(BundleWriter::create(root.path(), "新闻-v1.2_r8").is_ok());
    }
}
