//! The page in an archived response of a web server.

use std::io::Read;

use super::{Content, Record};

/// The most headers of a response.
const MAX_HEADERS: usize = 128;

/// The most bytes that a page may have when its compression is undone.
const MAX_PAGE_BYTES: u64 = 64 << 20;

/// Where a page says when it was published, in the order in which these are believed.
const PUBLISHED: [&str; 6] = [
    "article:published_time",
    "\"datePublished\"",
    "itemprop=\"datePublished\"",
    "name=\"pubdate\"",
    "name=\"publishdate\"",
    "name=\"date\"",
];

/// The row of a response: a page as a JSON object; `None` if it is none, `Broken` if it cannot be read.
pub(super) fn content(record: &Record) -> Option<Content> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let start = match response.parse(&record.block) {
        Ok(httparse::Status::Complete(start)) => start,
        Ok(httparse::Status::Partial) => {
            return Some(broken("the header of the response does not end".into()));
        }
        Err(error) => return Some(broken(format!("the response has no valid header: {error}"))),
    };
    let header = |name: &str| {
        let found = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        found.map(|header| String::from_utf8_lossy(header.value).to_ascii_lowercase())
    };
    let kind = header("content-type").unwrap_or_default();
    let is_page = kind.contains("text/html") || kind.contains("application/xhtml+xml");
    if response.code != Some(200) || !is_page {
        return None;
    }
    let body = record.block.get(start..).unwrap_or_default();
    let is_chunked = header("transfer-encoding").is_some_and(|value| value.contains("chunked"));
    let body = if is_chunked { unchunked(body) } else { body.to_vec() };
    let body = match inflated(body, header("content-encoding").as_deref()) {
        Ok(body) => body,
        Err(detail) => return Some(broken(detail)),
    };
    let charset =
        kind.split("charset=").nth(1).map(|label| label.trim_matches(['"', '\'', ' ', ';']).to_owned());
    let html = fenliu_text::decode(&body, charset.as_deref());
    Some(Content::Bytes(object(record, &html).to_string().into_bytes()))
}

fn broken(detail: String) -> Content {
    Content::Broken { reason: "invalid_response", detail }
}

/// The body of a response that came in chunks. Archives often hold it joined already, with the header kept.
fn unchunked(body: &[u8]) -> Vec<u8> {
    let mut joined = vec![];
    let mut rest = body;
    while let Ok(httparse::Status::Complete((start, length))) = httparse::parse_chunk_size(rest) {
        let end = usize::try_from(length).ok().and_then(|length| start.checked_add(length));
        let Some(chunk) = end.and_then(|end| rest.get(start..end)) else { break };
        if chunk.is_empty() {
            return joined;
        }
        joined.extend_from_slice(chunk);
        rest = rest.get(start + chunk.len()..).unwrap_or_default();
        rest = rest.strip_prefix(b"\r\n").unwrap_or(rest);
    }
    if joined.is_empty() { body.to_vec() } else { joined }
}

/// The body without its compression. Archives often hold it so already, with the header kept.
fn inflated(body: Vec<u8>, encoding: Option<&str>) -> Result<Vec<u8>, String> {
    let mut plain = vec![];
    let read = match encoding {
        Some("gzip" | "x-gzip") if body.starts_with(b"\x1f\x8b") => {
            flate2::bufread::MultiGzDecoder::new(&body[..]).take(MAX_PAGE_BYTES).read_to_end(&mut plain)
        }
        Some("deflate") if body.first().is_some_and(|byte| byte & 0x0f == 8) => {
            flate2::bufread::ZlibDecoder::new(&body[..]).take(MAX_PAGE_BYTES).read_to_end(&mut plain)
        }
        Some("br" | "zstd") if std::str::from_utf8(&body[..body.len().min(16)]).is_err() => {
            return Err(format!(
                "the page is compressed by `{}`, which is not read",
                encoding.unwrap_or_default()
            ));
        }
        _ => return Ok(body),
    };
    read.map(|_| plain).map_err(|error| format!("the page cannot be unpacked: {error}"))
}

fn object(record: &Record, html: &str) -> serde_json::Value {
    let mut body = String::new();
    let body = if fenliu_text::extract_main(html, &mut body) { body } else { html.to_owned() };
    serde_json::json!({
        "id": record.id,
        "url": record.uri,
        "source": host(&record.uri),
        "title": title(html),
        "body": body,
        "lang": language(html),
        "published_at": published(html),
    })
}

fn host(uri: &str) -> Option<&str> {
    let (_, rest) = uri.split_once("://")?;
    rest.split(['/', '?', '#']).next().filter(|host| !host.is_empty())
}

/// What is between `start` and `end`, after `start`; ASCII letters match in either case.
fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let lower = text.to_ascii_lowercase();
    let from = lower.find(start)? + start.len();
    let length = lower[from..].find(end)?;
    Some(&text[from..from + length])
}

fn title(html: &str) -> Option<String> {
    let element = between(html, "<title", "</title")?;
    let (_, title) = element.split_once('>')?;
    let mut decoded = String::new();
    fenliu_text::decode_entities(title, &mut decoded);
    Some(decoded.trim().to_owned())
}

fn language(html: &str) -> Option<&str> {
    attribute(between(html, "<html", ">")?, "lang")
}

/// The time that the page gives as that of its publication, as it is written.
fn published(html: &str) -> Option<&str> {
    PUBLISHED.iter().find_map(|name| {
        let at = html.find(name)?;
        if name.starts_with('"') {
            let after = html[at + name.len()..].trim_start().strip_prefix(':')?.trim_start();
            return after.strip_prefix('"')?.split('"').next();
        }
        let start = html[..at].rfind('<')?;
        attribute(html[start..].split('>').next()?, "content")
    })
}

/// The value of an attribute inside a start tag.
fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let after = tag.split_once(&format!(" {name}="))?.1;
    match after.chars().next()? {
        quote @ ('"' | '\'') => after[1..].split(quote).next(),
        _ => after.split([' ', '>']).next(),
    }
}
