//! No two outputs in one place, and none that the source reads.
//!
//! An output's place holds one position a pipeline. A second output there would find everything written already by the
//! first, and drop its rows.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf, absolute};

use regex::Regex;

use super::kafka::EMBEDDED;
use super::{
    Config, DeadLetterConfig, IcebergSinkConfig, KafkaSinkConfig, Problems, SinkConfig, SourceConfig,
    is_bucket,
};
use crate::sink::moves_group_offsets;

impl Config {
    pub(super) fn check_places(&self, problems: &mut Problems) {
        self.check_directories(problems);
        self.check_iceberg_tables(problems);
        self.check_topics(problems);
        self.check_producer(problems);
    }

    /// Neither the same directory, however it is written, nor one in another: readers by a pattern of names would mix
    /// their files.
    fn check_directories(&self, problems: &mut Problems) {
        let mut seen: Vec<(String, PathBuf)> = vec![];
        for (key, path) in self.directories() {
            let place = place(path);
            let clash =
                |(_, other): &&(String, PathBuf)| place.starts_with(other) || other.starts_with(&place);
            match seen.iter().find(clash) {
                Some((other, there)) if *there == place => {
                    problems.add(key, format!("is {}, the directory of `{other}`", path.display()))
                }
                Some((other, there)) => {
                    let side = if place.starts_with(there) { "lies in" } else { "holds" };
                    let path = path.display();
                    problems.add(key, format!("is {path}, which {side} the directory of `{other}`"))
                }
                None => seen.push((key, place)),
            }
        }
    }

    /// All directories that are written to, with their keys.
    fn directories(&self) -> Vec<(String, &Path)> {
        let mut directories: Vec<(String, &Path)> = vec![];
        for (index, sink) in self.sinks.iter().enumerate() {
            let path = match sink {
                SinkConfig::Files(files) => files.path.as_path(),
                SinkConfig::Delta(delta) => Path::new(&delta.path),
                _ => continue,
            };
            directories.push((format!("sinks[{index}].path"), path));
        }
        if let DeadLetterConfig::Files(files) = &self.dead_letters {
            directories.push(("dead_letters.path".into(), &files.path));
        }
        if self.shadow.share > 0.0 {
            directories.push(("shadow.path".into(), &self.shadow.path));
        }
        directories
    }

    fn check_iceberg_tables(&self, problems: &mut Problems) {
        let table = |sink: &IcebergSinkConfig| {
            let IcebergSinkConfig { catalog, namespace, table, .. } = sink;
            (catalog.uri.clone(), catalog.name.clone(), namespace.clone(), table.clone())
        };
        let mut seen = vec![];
        for (index, sink) in self.sinks.iter().enumerate() {
            let SinkConfig::Iceberg(sink) = sink else { continue };
            match seen.iter().find(|(_, other)| *other == table(sink)) {
                Some((other, _)) => {
                    problems.add(format!("sinks[{index}]"), format!("is the table of `sinks[{other}]`"))
                }
                None => seen.push((index, table(sink))),
            }
        }
    }

    /// Several sinks may share a topic, each with rows of its own; dead letters are no rows.
    fn check_topics(&self, problems: &mut Problems) {
        let outputs = self.kafka_outputs();
        for (key, sink) in &outputs {
            self.check_topic(sink, key, problems);
        }
        if let DeadLetterConfig::Kafka(dead) = &self.dead_letters
            && outputs
                .iter()
                .filter(|(_, sink)| (&sink.topic, &sink.brokers) == (&dead.topic, &dead.brokers))
                .count()
                > 1
        {
            problems.add("dead_letters.topic", format!("is `{}`, which takes labelled rows", dead.topic));
        }
        self.check_topics_read(problems);
    }

    fn check_topics_read(&self, problems: &mut Problems) {
        let SourceConfig::Kafka(source) = &self.source else { return };
        let feedback = &self.finetune.feedback.topic;
        for topic in &source.topics {
            if reads(topic, feedback) {
                problems.add(
                    "finetune.feedback.topic",
                    format!("is `{feedback}`, which the source reads by `{topic}`"),
                );
            }
            // librdkafka's expressions are those of POSIX, most of which are these, too.
            if topic.starts_with('^')
                && let Err(error) = Regex::new(topic)
            {
                let problem = format!("has `{topic}`, which cannot be compared with the outputs: {error}");
                problems.add("source.topics", problem);
            }
        }
    }

    /// Topics that are written in one transaction share a producer, and so its properties.
    fn check_producer(&self, problems: &mut Problems) {
        if !moves_group_offsets(self) {
            return;
        }
        let mut seen: BTreeMap<&str, (&str, String)> = BTreeMap::new();
        for (key, sink) in self.kafka_outputs() {
            for (name, value) in &sink.properties {
                match seen.get(name.as_str()) {
                    // Without the values, which may be secrets.
                    Some((other, there)) if other != value => problems.add(
                        format!("{key}.properties.\"{name}\""),
                        format!("differs from that of `{there}`: topics that are written exactly once share a producer"),
                    ),
                    Some(_) => {}
                    None => drop(seen.insert(name, (value, key.clone()))),
                }
            }
        }
    }

    /// All outputs to Kafka, with their keys.
    pub(crate) fn kafka_outputs(&self) -> Vec<(String, &KafkaSinkConfig)> {
        let mut outputs = vec![];
        for (index, sink) in self.sinks.iter().enumerate() {
            if let SinkConfig::Kafka(kafka) = sink {
                outputs.push((format!("sinks[{index}]"), kafka));
            }
        }
        if let DeadLetterConfig::Kafka(kafka) = &self.dead_letters {
            outputs.push(("dead_letters".into(), kafka));
        }
        outputs
    }

    fn check_topic(&self, sink: &KafkaSinkConfig, key: &str, problems: &mut Problems) {
        let KafkaSinkConfig { topic, brokers, .. } = sink;
        let key = format!("{key}.topic");
        problems.require(!topic.is_empty(), &key, "empty", "a topic");
        if self.kafka.brokers == EMBEDDED && matches!(self.source, SourceConfig::Files(_)) {
            problems.add("kafka.brokers", "is `embedded`, which starts with a Kafka source only");
        }
        let is_here = brokers.as_ref().is_none_or(|brokers| *brokers == self.kafka.brokers);
        if let SourceConfig::Kafka(source) = &self.source
            && let Some(read) = source.topics.iter().find(|read| is_here && reads(read, topic))
        {
            problems.add(key, format!("is `{topic}`, which the source reads by `{read}`: an endless loop"));
        }
    }
}

/// Whether `wanted`, a name or from `^` on a regular expression, means `topic`.
fn reads(wanted: &str, topic: &str) -> bool {
    let is_match = || Regex::new(wanted).is_ok_and(|expression| expression.is_match(topic));
    !topic.is_empty() && if wanted.starts_with('^') { is_match() } else { wanted == topic }
}

/// One path for all ways to write it: what is there of it by its real name, `..` in the rest resolved.
fn place(path: &Path) -> PathBuf {
    let text = path.to_string_lossy();
    if is_bucket(&text) {
        return text.replacen("s3a://", "s3://", 1).into();
    }
    let path = absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let known = path.ancestors().find_map(|there| Some((there, there.canonicalize().ok()?)));
    let Some((there, mut real)) = known else { return path };
    for component in path.strip_prefix(there).into_iter().flat_map(Path::components) {
        match component {
            Component::ParentDir => drop(real.pop()),
            _ => real.push(component),
        }
    }
    real
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::problems::problems_of as problems;

    #[test]
    fn a_directory_is_found_again_however_it_is_written() {
        let here = std::env::current_dir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        std::fs::create_dir(elsewhere.path().join("real")).unwrap();
        let [real, link] = ["real", "link"].map(|name| elsewhere.path().join(name));
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        for (first, second) in [
            ("o3", "./o3"),
            ("o3/", "o3"),
            ("o3", "none/../o3"),
            ("o3", &*text(here.join("o3"))),
            (&*text(real.join("o3")), &*text(link.join("o3"))),
        ] {
            let found = problems(&format!(
                "[[sinks]]\ntype = \"files\"\npath = {first:?}\n[dead_letters]\npath = {second:?}"
            ));
            assert!(found.contains("`dead_letters.path`") && found.contains("`sinks[0].path`"), "{found}");
        }
        let found =
            problems("[[sinks]]\ntype = \"files\"\npath = \"o3\"\n[dead_letters]\npath = \"o3/dead\"");
        assert!(found.contains("lies in the directory of `sinks[0].path`"), "{found}");
        let shadow = "[shadow]\nshare = 0.5\npath = \"o3\"\n[[sinks]]\ntype = \"files\"\npath = \"o3\"";
        assert!(problems(shadow).contains("`shadow.path` is o3"), "{}", problems(shadow));
        assert_eq!(
            problems("[[sinks]]\ntype = \"files\"\npath = \"o3\"\n[dead_letters]\npath = \"o33\""),
            ""
        );
    }

    #[test]
    fn what_a_pattern_reads_cannot_be_written_to() {
        let found = problems(
            "[source]\ntopics = [\"^news.*\"]\n[[sinks]]\ntype = \"kafka\"\ntopic = \"news-labelled\"\n\
             [dead_letters]\ntype = \"kafka\"\ntopic = \"news-dead\"\n[finetune.feedback]\ntopic = \"newsroom\"",
        );
        for key in ["`sinks[0].topic`", "`dead_letters.topic`", "`finetune.feedback.topic`"] {
            assert!(found.contains(key) && found.contains("`^news.*`"), "{key}: {found}");
        }
    }

    #[test]
    fn topics_of_one_transaction_have_one_producer() {
        let topic = |kind: &str, topic: &str, level: u8| {
            format!(
                "{kind}\ntype = \"kafka\"\ntopic = \"{topic}\"\nproperties = {{ \"compression.level\" = {level} }}\n"
            )
        };
        let text =
            topic("[[sinks]]", "a", 1) + &topic("[[sinks]]", "b", 1) + &topic("[dead_letters]", "c", 2);
        let found = problems(&text);
        assert!(
            found.contains("`dead_letters.properties.\"compression.level\"` differs from that of `sinks[0]`"),
            "{found}"
        );
        assert_eq!(problems(&(text + "[epoch]\ndelivery = \"at-least-once\"")), "");
    }

    #[test]
    fn a_topic_of_the_same_name_on_another_cluster_is_another_one() {
        let text = "[source]\ntopics = [\"news\"]\n[[sinks]]\ntype = \"kafka\"\ntopic = \"news\"\nbrokers = \"other:9092\"";
        assert_eq!(problems(text), "");
    }

    #[test]
    fn a_pattern_that_cannot_be_judged_is_refused() {
        let found = problems("[source]\ntopics = ['^(a)\\1']");
        assert!(found.contains("cannot be compared with the outputs"), "{found}");
    }

    #[test]
    fn dead_letters_have_a_topic_of_their_own() {
        let found = problems(
            "[[sinks]]\ntype = \"kafka\"\ntopic = \"out\"\n[dead_letters]\ntype = \"kafka\"\ntopic = \"out\"",
        );
        assert!(found.contains("`dead_letters.topic` is `out`, which takes labelled rows"), "{found}");
    }
}
