//! `labels.toml`: what the classes are, in words.
//!
//! ```toml
//! [labels.finance]
//! name = "财经新闻"                                # or by language: { zh = "财经新闻", en = "Business news" }
//! keywords = ["财经", "经济", "银行", "投资"]
//! ```

use std::collections::BTreeMap;
use std::path::Path;

use fenliu_model::Label;
use fenliu_model::linear::is_unspaced;
use fenliu_training::ClassText;
use serde::Deserialize;

use crate::error::{Error, Result};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// By label. Sorted, as the labels of training rows are.
    labels: BTreeMap<String, Class>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Class {
    name: Name,
    #[serde(default)]
    keywords: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Name {
    One(String),
    ByLanguage(BTreeMap<String, String>),
}

/// The classes of a file, in the order of their labels.
///
/// # Errors
/// The file cannot be read, or is not as it must be.
pub(super) fn read(path: &Path) -> Result<Vec<ClassText>> {
    let text = std::fs::read_to_string(path).map_err(Error::file("read", path))?;
    parse(&text).map_err(|problem| Error::input(format!("{}: {problem}", path.display())))
}

fn parse(text: &str) -> Result<Vec<ClassText>, String> {
    let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
    file.labels.into_iter().map(|(id, class)| class.texts(id)).collect()
}

impl Class {
    fn texts(self, id: String) -> Result<ClassText, String> {
        let names: Vec<&String> = match &self.name {
            Name::One(name) => vec![name],
            Name::ByLanguage(names) => names.values().collect(),
        };
        if names.is_empty() || names.iter().any(|name| name.trim().is_empty()) {
            return Err(format!("`labels.{id}.name` is empty"));
        }
        let texts = names.into_iter().map(|name| sentence(name, &self.keywords)).collect();
        let name = match self.name {
            Name::One(_) => BTreeMap::new(),
            Name::ByLanguage(names) => names,
        };
        Ok(ClassText { label: Label { id, name }, texts })
    }
}

/// The name and the keywords as one text, with the punctuation of the name's script.
fn sentence(name: &str, keywords: &[String]) -> String {
    let (colon, comma) = if name.chars().any(is_unspaced) { ("：", "、") } else { (": ", ", ") };
    if keywords.is_empty() { name.to_owned() } else { format!("{name}{colon}{}", keywords.join(comma)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_keywords_become_texts_in_the_order_of_labels() {
        let text = r#"
            [labels.stock]
            name = { zh = "股票新闻", en = "Stock market" }
            keywords = ["股票", "基金"]
            [labels.finance]
            name = "财经新闻"
        "#;
        let classes = parse(text).unwrap();
        assert_eq!(classes[0].texts, ["财经新闻"]);
        assert_eq!((classes[0].label.id.as_str(), classes[0].label.name.len()), ("finance", 0));
        assert_eq!(classes[1].texts, ["Stock market: 股票, 基金", "股票新闻：股票、基金"]);
        assert_eq!(classes[1].label.name["en"], "Stock market");
    }

    #[test]
    fn mistakes_are_named() {
        for (text, message) in [
            ("[labels.a]\nname = \" \"", "`labels.a.name` is empty"),
            ("[labels.a]\nname = {}", "`labels.a.name` is empty"),
            ("[labels.a]\nname = \"a\"\nkeyword = []", "unknown field `keyword`"),
            ("[labels.a]\nkeywords = []", "missing field `name`"),
            ("[a]\nname = \"a\"", "unknown field `a`"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
    }
}
