//! The documents of the fixture: made by their number, in two languages and with three labels, some of them bad.
//!
//! What becomes of a document is told from its bytes alone, so that a test needs no other record of it.

use fenliu_tests::kafka::NewRecord;
use serde_json::{Value, json};

/// When the first document was published, and sent: milliseconds since the Unix epoch.
const BEGIN_MS: i64 = 1_790_000_000_000;

/// A label, and the words of its documents.
const SUBJECTS: [(&str, [&str; 4], [&str; 4]); 3] = [
    ("finance", ["bank", "bond", "market", "profit"], ["央行", "债券", "股市", "利率"]),
    ("sports", ["team", "goal", "coach", "match"], ["球队", "进球", "教练", "决赛"]),
    ("weather", ["storm", "frost", "rain", "wind"], ["台风", "霜冻", "暴雨", "大风"]),
];

const DAYS: [(&str, &str); 5] = [
    ("Monday", "周一"),
    ("Tuesday", "周二"),
    ("Wednesday", "周三"),
    ("Thursday", "周四"),
    ("Friday", "周五"),
];

/// What becomes of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// A row in every sink.
    Labelled,
    /// A dead letter, for this reason.
    Dead(&'static str),
}

/// What should become of the document with these bytes.
pub(super) fn fate(bytes: &[u8]) -> Fate {
    let Ok(text) = std::str::from_utf8(bytes) else { return Fate::Dead("invalid_utf8") };
    if serde_json::from_str::<Value>(text).is_err() {
        return Fate::Dead("invalid_json");
    }
    match text {
        _ if text.contains("广告") => Fate::Dead("advertisement"),
        _ if text.contains("서울") => Fate::Dead("language"),
        _ => Fate::Labelled,
    }
}

/// Document `n`, as it is sent. Of ten about a third are bad, each in a way of its own.
pub(super) fn document(n: usize) -> Vec<u8> {
    let mut story = story(n);
    match n % 20 {
        3 | 13 => return format!("{{\"id\": \"cut-{n}\", \"text\": \"the").into_bytes(),
        9 => return [b"{\"text\": \"", &[0xff, 0xfe][..], b"\"}"].concat(),
        6 | 16 => story["text"] = "오늘 서울 날씨는 맑고 바람이 조금 불겠습니다".into(),
        18 => story["title"] = "广告 限时优惠".into(),
        _ => {}
    }
    story.to_string().into_bytes()
}

/// Document `n` with its label, as one learns from it.
pub(super) fn story(n: usize) -> Value {
    let (label, english, chinese) = SUBJECTS[n % SUBJECTS.len()];
    let (english_day, chinese_day) = DAYS[n % DAYS.len()];
    // Each combination of words comes once before any comes again.
    let three = |words: [&'static str; 4]| [3, 12, 48].map(|stride| words[n / stride % words.len()]);
    let (title, text) = if n.is_multiple_of(2) {
        let [a, b, c] = three(english);
        let text = format!("On {english_day} the {b} and the {c} were what people talked about.");
        (format!("News of the {a}"), text)
    } else {
        let [a, b, c] = three(chinese);
        (format!("{a}最新消息"), format!("记者{chinese_day}了解到，{b}和{c}受到了大家的关注。"))
    };
    json!({
        "id": format!("story-{n}"), "title": title, "text": text, "url": format!("https://example.com/{label}/{n}"),
        "source": "desk", "ts": BEGIN_MS + 1000 * n as i64, "label": label,
    })
}

/// Document `n` as a message, with a key or none and headers or none.
pub(super) fn message(n: usize, partitions: usize) -> NewRecord {
    let key = match n % 4 {
        0 => None,
        1 => Some(vec![0, 255, n as u8]),
        _ => Some(format!("key-{n}").into_bytes()),
    };
    let headers = match n % 3 {
        0 => vec![],
        _ => vec![("trace".into(), format!("t-{n}").into_bytes()), ("raw".into(), vec![n as u8, 200])],
    };
    NewRecord {
        partition: Some((n % partitions) as i32),
        key,
        value: Some(document(n)),
        headers,
        timestamp_ms: Some(BEGIN_MS + 1000 * n as i64),
    }
}
