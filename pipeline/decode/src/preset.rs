//! Sources of news whose names of fields are known: APIs, feeds, databases, crawlers.
//!
//! A preset only puts names before the usual ones and says where in a file the array of stories is. Most sources need none,
//! since objects around a value are looked into in any case.

use serde::{Deserialize, Serialize};

use crate::names::FieldNames;
use crate::time::Zone;

/// A source of news.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// The usual names.
    #[default]
    Auto,
    /// News API (newsapi.org).
    Newsapi,
    /// GDELT's DOC API.
    GdeltDoc,
    /// What news-please, CC-News and RealNews have.
    Newsplease,
    /// RSS and Atom as feedparser, rss2json and xml2js give them.
    Feed,
    /// JSON Feed (jsonfeed.org).
    Jsonfeed,
    /// IPTC's ninjs, versions 1 to 3.
    Ninjs,
    /// Event Registry (newsapi.ai).
    Eventregistry,
    /// Webz.io.
    Webz,
    /// Newsdata.io.
    Newsdata,
    /// Hits of Elasticsearch and OpenSearch.
    Elastic,
    /// Documents of MongoDB as extended JSON.
    Mongo,
    /// Change events of Debezium, with or without their schemas.
    Debezium,
    /// The REST API of WordPress.
    Wordpress,
    /// `NewsArticle` of schema.org.
    Schemaorg,
    /// The Guardian's API.
    Guardian,
    /// The APIs of the New York Times.
    Nyt,
    /// Portals and APIs of China, whose times without a zone are those of Shanghai.
    Cn,
    /// Pages of web archives.
    Warc,
}

impl Preset {
    /// The path to the array of stories in a file that is one object.
    pub(crate) fn records(self) -> Option<&'static str> {
        Some(match self {
            Preset::Newsapi | Preset::GdeltDoc => "articles",
            Preset::Feed | Preset::Jsonfeed => "items",
            Preset::Eventregistry => "articles.results",
            Preset::Webz => "posts",
            Preset::Newsdata => "results",
            Preset::Elastic => "hits.hits",
            Preset::Guardian => "response.results",
            Preset::Nyt => "response.docs",
            _ => return None,
        })
    }

    /// The zone of times that name none.
    pub(crate) fn timezone(self) -> Zone {
        match self {
            Preset::Cn => "Asia/Shanghai".parse().unwrap_or_default(),
            _ => Zone::default(),
        }
    }

    /// The names of fields that come before the usual ones.
    pub(crate) fn fields(self) -> FieldNames {
        let [id, title, body, url, source, lang, published_at] = self.names();
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        FieldNames {
            id: names(id),
            title: names(title),
            body: names(body),
            url: names(url),
            source: names(source),
            lang: names(lang),
            published_at: names(published_at),
            label: vec![],
        }
    }

    /// The names for id, title, body, url, source, language and time of publication.
    fn names(self) -> [&'static [&'static str]; 7] {
        const NONE: &[&str] = &[];
        match self {
            Preset::Auto | Preset::Warc => [NONE; 7],
            Preset::Newsapi => [
                &["url"],
                &["title"],
                &["content", "description"],
                &["url"],
                &["source"],
                NONE,
                &["publishedAt"],
            ],
            Preset::GdeltDoc => {
                [&["url"], &["title"], NONE, &["url"], &["domain"], &["language"], &["seendate"]]
            }
            Preset::Newsplease => [
                &["url"],
                &["title"],
                &["maintext", "text"],
                &["url"],
                &["source_domain", "domain"],
                &["language"],
                &["date_publish", "publish_date"],
            ],
            Preset::Feed => [
                &["guid", "id", "link"],
                &["title"],
                &["content:encoded", "content", "description", "summary"],
                &["link", "links"],
                &["source"],
                &["language"],
                &["pubDate", "published", "updated", "dc:date"],
            ],
            Preset::Jsonfeed => [
                &["id"],
                &["title"],
                &["content_html", "content_text", "summary"],
                &["url", "external_url"],
                NONE,
                &["language"],
                &["date_published"],
            ],
            Preset::Ninjs => [
                &["uri"],
                &["headline", "headlines"],
                &["body_text", "body_html", "body_xhtml", "bodies"],
                NONE,
                &["infosource", "copyrightholder"],
                &["language"],
                &["contentcreated", "firstcreated", "versioncreated"],
            ],
            Preset::Eventregistry => [
                &["uri"],
                &["title"],
                &["body"],
                &["url"],
                &["source"],
                &["lang"],
                &["dateTimePub", "dateTime"],
            ],
            Preset::Webz => {
                [&["uuid"], &["title"], &["text"], &["url"], &["thread.site"], &["language"], &["published"]]
            }
            Preset::Newsdata => [
                &["article_id"],
                &["title"],
                &["content", "description"],
                &["link"],
                &["source_name", "source_id"],
                &["language"],
                &["pubDate"],
            ],
            Preset::Elastic => [
                &["_id"],
                &["_source.title", "_source.headline"],
                &["_source.body", "_source.content", "_source.text"],
                &["_source.url", "_source.link"],
                &["_source.source"],
                &["_source.lang", "_source.language"],
                &[
                    "_source.published_at",
                    "_source.publish_time",
                    "_source.pub_date",
                    "_source.date",
                    "_source.@timestamp",
                ],
            ],
            Preset::Mongo => [&["_id"], NONE, NONE, NONE, NONE, NONE, NONE],
            Preset::Debezium => [
                &["payload.after.id", "after.id", "payload.after._id", "after._id"],
                &["payload.after.title", "after.title", "payload.after.headline", "after.headline"],
                &[
                    "payload.after.body",
                    "after.body",
                    "payload.after.content",
                    "after.content",
                    "payload.after.text",
                    "after.text",
                ],
                &["payload.after.url", "after.url", "payload.after.link", "after.link"],
                &["payload.after.source", "after.source"],
                &["payload.after.lang", "after.lang", "payload.after.language", "after.language"],
                &[
                    "payload.after.published_at",
                    "after.published_at",
                    "payload.after.publish_time",
                    "after.publish_time",
                    "payload.after.created_at",
                    "after.created_at",
                ],
            ],
            Preset::Wordpress => {
                [&["id"], &["title"], &["content", "excerpt"], &["link"], NONE, NONE, &["date_gmt"]]
            }
            Preset::Schemaorg => [
                &["@id", "url"],
                &["headline"],
                &["articleBody"],
                &["url"],
                &["publisher"],
                &["inLanguage"],
                &["datePublished"],
            ],
            Preset::Guardian => [
                &["id"],
                &["webTitle"],
                &["fields.bodyText", "fields.body"],
                &["webUrl"],
                NONE,
                &["fields.lang"],
                &["webPublicationDate"],
            ],
            Preset::Nyt => [
                &["_id", "uri"],
                &["headline"],
                &["lead_paragraph", "abstract", "snippet"],
                &["web_url"],
                &["source"],
                NONE,
                &["pub_date"],
            ],
            Preset::Cn => [
                &["docid", "news_id", "group_id", "uniquekey"],
                NONE,
                &["content", "正文", "digest", "intro"],
                &["url", "link"],
                &["source", "media_name", "来源"],
                NONE,
                &["ptime", "pubtime", "publish_time", "ctime", "发布时间"],
            ],
        }
    }
}
