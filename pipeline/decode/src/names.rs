//! The names of fields for the parts of a document.

use serde::{Deserialize, Serialize};

use crate::part::Part;

/// For each part of a document, the fields that may hold it, in order of preference. `a.b` means the field with the name
/// `a.b`, or the field `b` inside the field `a`. A name also matches without regard to case, `_`, `-` and blanks, with
/// less preference than as it is written: `publishedAt` is `published_at`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FieldNames {
    /// The source's own identifier: a string or a number.
    pub id: Vec<String>,
    /// Headline.
    pub title: Vec<String>,
    /// Main text.
    pub body: Vec<String>,
    /// Address.
    pub url: Vec<String>,
    /// Publisher.
    pub source: Vec<String>,
    /// Declared language.
    pub lang: Vec<String>,
    /// A time in any of the usual notations, or seconds, milliseconds, microseconds or nanoseconds since the Unix epoch.
    pub published_at: Vec<String>,
    /// Label that the document comes with.
    pub label: Vec<String>,
}

impl FieldNames {
    /// These names, followed by those of `others` that are not among them.
    pub fn or(self, others: Self) -> Self {
        let both = |own: Vec<String>, other: Vec<String>| -> Vec<String> {
            let new: Vec<String> = other.into_iter().filter(|name| !own.contains(name)).collect();
            own.into_iter().chain(new).collect()
        };
        FieldNames {
            id: both(self.id, others.id),
            title: both(self.title, others.title),
            body: both(self.body, others.body),
            url: both(self.url, others.url),
            source: both(self.source, others.source),
            lang: both(self.lang, others.lang),
            published_at: both(self.published_at, others.published_at),
            label: both(self.label, others.label),
        }
    }
}

impl FieldNames {
    /// The names for one part.
    pub(super) fn of(&self, part: Part) -> &[String] {
        match part {
            Part::Id => &self.id,
            Part::Title => &self.title,
            Part::Body => &self.body,
            Part::Url => &self.url,
            Part::Source => &self.source,
            Part::Lang => &self.lang,
            Part::PublishedAt => &self.published_at,
            Part::Label => &self.label,
            // These are not configured.
            Part::Operation => &[],
        }
    }
}

/// Names under which feeds and archives send a short form of the story. They stand in for a body, with a warning.
const SUMMARIES: [&str; 6] = ["description", "summary", "abstract", "digest", "intro", "摘要"];

/// Whether a field of this name holds a short form of the story.
pub(super) fn is_summary(name: &str) -> bool {
    SUMMARIES.contains(&name)
}

impl Default for FieldNames {
    /// The names that news APIs, feeds, archives and crawlers use, the most usual first.
    fn default() -> Self {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        let mut body: Vec<String> = names(&[
            "body",
            "text",
            "content",
            "maintext",
            "article_body",
            "fulltext",
            "body_text",
            "content_text",
            "正文",
            "内容",
            "新闻内容",
            "文章内容",
            "html",
            "content_html",
            "body_html",
            "body_xhtml",
            "rich_content",
        ]);
        body.extend(SUMMARIES.map(ToOwned::to_owned));
        FieldNames {
            id: names(&[
                "id",
                "_id",
                "uuid",
                "guid",
                "uri",
                "doc_id",
                "article_id",
                "news_id",
                "unique_key",
                "group_id",
                "新闻id",
                "编号",
                "url",
            ]),
            title: names(&[
                "title",
                "headline",
                "heading",
                "news_title",
                "web_title",
                "标题",
                "新闻标题",
                "文章标题",
            ]),
            body,
            url: names(&[
                "url",
                "link",
                "permalink",
                "web_url",
                "href",
                "article_link",
                "链接",
                "新闻链接",
                "网址",
            ]),
            source: names(&[
                "source",
                "source_name",
                "site_name",
                "site",
                "domain",
                "source_domain",
                "publisher",
                "media",
                "media_name",
                "provider",
                "来源",
                "文章来源",
            ]),
            lang: names(&["lang", "language", "lang_code", "in_language", "语言"]),
            // Times of crawling, downloading and updating are left out: they are other times.
            published_at: names(&[
                "published_at",
                "published",
                "publish_time",
                "publish_date",
                "publication_date",
                "date_published",
                "date_publish",
                "datetime_pub",
                "pub_date",
                "pub_time",
                "pub_timestamp",
                "ptime",
                "version_created",
                "发布时间",
                "发布日期",
                "datetime",
                "date",
                "time",
                "ctime",
                "时间",
                "日期",
            ]),
            // Only this name: labels reach the training, so none is guessed.
            label: names(&["label"]),
        }
    }
}
