//! No two outputs in one place.
//!
//! An output stores one position for each pipeline in its place. A second output there would find that everything is
//! written already, and drop its rows. Each kind names its places
//! ([`SinkKind::resources`](crate::kind::SinkKind::resources)); they are compared here, whatever the kind.

use std::path::{Path, PathBuf};

use fenliu_config::{Problems, same_place};

use crate::selection::Role;

/// A place that an output writes to.
#[derive(Clone, Debug)]
pub struct Resource {
    /// What the place is, for messages: `directory`, `table`, `topic`.
    pub what: &'static str,
    /// The key that names it, below the output's own; empty for the output as a whole.
    pub key: &'static str,
    /// The place as the user writes it.
    pub shown: String,
    place: Place,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// A directory: another one inside it is in the same place, since readers by a pattern of names would mix their
    /// files.
    Directory(PathBuf),
    /// Something with a name that is the same for all who mean it.
    Named(Vec<String>),
    /// A topic of a cluster, which outputs of the same role may share: each message is a row.
    Topic { brokers: String, name: String },
}

impl Resource {
    /// A directory or a prefix of a bucket, under the key `path`.
    pub fn directory(path: &Path) -> Self {
        let (shown, place) = (path.display().to_string(), Place::Directory(same_place(path)));
        Resource { what: "directory", key: "path", shown, place }
    }

    /// Something that only `parts` together name, such as catalog, namespace and table.
    pub fn named(what: &'static str, shown: String, parts: Vec<String>) -> Self {
        Resource { what, key: "", shown, place: Place::Named(parts) }
    }

    /// A topic of the cluster at `brokers`.
    pub fn topic(brokers: &str, name: &str) -> Self {
        let place = Place::Topic { brokers: brokers.to_owned(), name: name.to_owned() };
        Resource { what: "topic", key: "topic", shown: format!("`{name}`"), place }
    }

    /// The topic of the cluster at `brokers` that this is, if it is one.
    pub fn topic_at(&self, brokers: &str) -> Option<&str> {
        match &self.place {
            Place::Topic { brokers: at, name } if at == brokers => Some(name),
            _ => None,
        }
    }

    /// What is wrong where `other`, of the output or section `of`, is there too.
    fn clash(&self, role: Role, other: &Owned) -> Option<String> {
        let Owned { key, resource, role: other_role } = other;
        let (shown, what) = (&self.shown, resource.what);
        match (&self.place, &resource.place) {
            (Place::Directory(one), Place::Directory(two)) if one == two => {
                Some(format!("is {shown}, the {what} of `{key}`"))
            }
            (Place::Directory(one), Place::Directory(two)) if one.starts_with(two) => {
                Some(format!("is {shown}, which lies in the {what} of `{key}`"))
            }
            (Place::Directory(one), Place::Directory(two)) if two.starts_with(one) => {
                Some(format!("is {shown}, which holds the {what} of `{key}`"))
            }
            (Place::Topic { .. }, Place::Topic { .. }) if role == *other_role => None,
            (Place::Topic { .. }, Place::Topic { .. }) if self.place == resource.place => {
                Some(format!("is {shown}, the {what} of `{key}`: dead letters and rows do not share one"))
            }
            (Place::Named(one), Place::Named(two)) if one == two => {
                Some(format!("is {shown}, the {what} of `{key}`"))
            }
            _ => None,
        }
    }
}

/// A place with the key in the configuration that names it.
#[derive(Clone, Debug)]
pub struct Owned {
    /// The key, such as `sinks[0].path`.
    pub key: String,
    /// The place.
    pub resource: Resource,
    /// What is written there.
    pub role: Role,
}

impl Owned {
    /// `resource` of the output or section `owner`.
    pub fn new(owner: &str, role: Role, resource: Resource) -> Self {
        let key =
            if resource.key.is_empty() { owner.to_owned() } else { format!("{owner}.{}", resource.key) };
        Owned { key, resource, role }
    }
}

/// Notes every place that two outputs would share.
pub fn check_clashes(resources: &[Owned], problems: &mut Problems) {
    let mut seen: Vec<&Owned> = vec![];
    for owned in resources {
        match seen.iter().find_map(|other| owned.resource.clash(owned.role, other)) {
            Some(problem) => problems.add(&owned.key, problem),
            None => seen.push(owned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(resources: &[Owned]) -> Vec<(String, String)> {
        let mut problems = Problems::new("t");
        check_clashes(resources, &mut problems);
        problems.problems.into_iter().map(|problem| (problem.key, problem.message)).collect()
    }

    fn directory(owner: &str, path: &str) -> Owned {
        Owned::new(owner, Role::Labelled, Resource::directory(Path::new(path)))
    }

    #[test]
    fn directories_clash_when_one_is_or_lies_in_the_other() {
        assert!(found(&[directory("sinks[0]", "o3"), directory("sinks[1]", "o33")]).is_empty());
        for (second, word) in [("./o3/", "the directory of"), ("o3/dead", "lies in"), (".", "holds")] {
            let problems = found(&[directory("sinks[0]", "o3"), directory("dead_letters", second)]);
            let [(key, problem)] = &problems[..] else { panic!("{second}: {problems:?}") };
            assert_eq!(key, "dead_letters.path");
            assert!(problem.contains(word) && problem.contains("`sinks[0].path`"), "{problem}");
        }
    }

    #[test]
    fn rows_may_share_a_topic_and_dead_letters_may_not_be_among_them() {
        let topic = |owner: &str, role, name| Owned::new(owner, role, Resource::topic("a:1", name));
        let rows = [topic("sinks[0]", Role::Labelled, "out"), topic("sinks[1]", Role::Labelled, "out")];
        assert!(found(&rows).is_empty());
        let problems = found(&[rows[0].clone(), topic("dead_letters", Role::DeadLetters, "out")]);
        assert_eq!(problems[0].0, "dead_letters.topic");
        let other = Owned::new("dead_letters", Role::DeadLetters, Resource::topic("b:1", "out"));
        assert!(found(&[rows[0].clone(), other]).is_empty(), "another cluster");
    }

    #[test]
    fn a_table_has_one_output() {
        let table = |owner: &str, name: &str| {
            let parts = vec!["catalog".to_string(), name.to_string()];
            Owned::new(owner, Role::Labelled, Resource::named("table", name.into(), parts))
        };
        assert!(found(&[table("sinks[0]", "a"), table("sinks[1]", "b")]).is_empty());
        let problems = found(&[table("sinks[0]", "a"), table("sinks[1]", "a")]);
        assert_eq!(problems, [("sinks[1]".to_string(), "is a, the table of `sinks[0]`".to_string())]);
    }
}
