//! `fenliu dlq show`

use std::ops::ControlFlow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use fenliu_connectors::{DeadLetter, OwnedHeader};
use serde_json::{Value, json};

use super::{FilterArgs, rfc_3339};
use crate::cli::output;
use crate::dlq::Letters;
use crate::error::Result;

/// Most characters of a payload, key or header in the text output; `--json` prints all of it.
const SHOWN_CHARS: usize = 2000;

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// How many at most; 0: all
    #[arg(long, value_name = "N", default_value_t = 10)]
    limit: usize,
}

pub(super) fn show(letters: &Letters, args: &ShowArgs, as_json: bool) -> Result<()> {
    let mut shown = 0;
    letters.read(&args.filter.filter(), true, &mut |letter| {
        if as_json {
            output::json(&object(&letter))?
        } else {
            output::line(paragraph(&letter))?
        }
        shown += 1;
        Ok(if shown == args.limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    if shown == 0 {
        output::note("no dead letters");
    } else if shown == args.limit {
        output::note(format!("the first {shown}; --limit shows more"));
    }
    Ok(())
}

/// A dead letter as JSON. Bytes that are not valid UTF-8 are base64 under another name: `payload_base64`, `key_base64`, and
/// `value_base64` in headers.
fn object(letter: &DeadLetter) -> Value {
    let mut object = json!({
        "topic": letter.topic, "partition": letter.partition, "offset": letter.offset,
        "kafka_timestamp": letter.timestamp_ms.and_then(rfc_3339), "id": letter.id, "stage": letter.stage,
        "reason": letter.reason, "detail": letter.detail, "model_version": letter.model_version,
        "rejected_at": letter.rejected_at_ms.and_then(rfc_3339),
    });
    letter.payload.iter().for_each(|payload| set_bytes(&mut object, "payload", payload));
    letter.key.iter().for_each(|key| set_bytes(&mut object, "key", key));
    if !letter.headers.is_empty() {
        object["headers"] = letter.headers.iter().map(header).collect();
    }
    object
}

fn set_bytes(object: &mut Value, name: &str, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => object[name] = text.into(),
        Err(_) => object[format!("{name}_base64")] = STANDARD.encode(bytes).into(),
    }
}

/// A null value is left out.
fn header((name, value): &OwnedHeader) -> Value {
    let mut header = json!({ "key": name });
    value.iter().for_each(|value| set_bytes(&mut header, "value", value));
    header
}

fn paragraph(letter: &DeadLetter) -> String {
    let mut lines = vec![format!(
        "topic {}, partition {}, offset {}: {} {}",
        letter.topic, letter.partition, letter.offset, letter.stage, letter.reason
    )];
    lines.extend(letter.detail.as_ref().map(|detail| format!("  detail       {detail}")));
    lines.extend(letter.id.as_ref().map(|id| format!("  id           {id}")));
    lines.extend(letter.model_version.as_ref().map(|version| format!("  model        {version}")));
    lines.extend(letter.rejected_at_ms.and_then(rfc_3339).map(|at| format!("  rejected at  {at}")));
    lines.extend(letter.timestamp_ms.and_then(rfc_3339).map(|at| format!("  timestamp    {at}")));
    lines.extend(letter.key.as_ref().map(|key| format!("  key          {}", readable(key))));
    lines.extend(letter.headers.iter().map(|(name, value)| {
        let value = value.as_ref().map_or_else(|| "(null)".to_string(), |value| readable(value));
        format!("  header       {name}: {value}")
    }));
    lines.extend(letter.cut_from.map(|bytes| format!("  cut          the first bytes of {bytes}")));
    lines.push(match &letter.payload {
        Some(payload) => format!("  payload      {}", readable(payload)),
        None if letter.reason == "tombstone" => "  payload      none: the message has no value".into(),
        None => "  payload      not kept (`dead_letters.columns`)".into(),
    });
    lines.join("\n")
}

fn readable(payload: &[u8]) -> String {
    let Ok(text) = std::str::from_utf8(payload) else {
        let shown = &payload[..payload.len().min(SHOWN_CHARS / 4)];
        return format!("{} bytes of invalid UTF-8: {}", payload.len(), shown.escape_ascii());
    };
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}… ({} bytes; --json prints all)", &text[..end], payload.len()),
        None => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(payload: &[u8]) -> DeadLetter {
        let detail = Some("why".to_string());
        DeadLetter { topic: "news".into(), detail, payload: Some(payload.to_vec()), ..DeadLetter::default() }
    }

    #[test]
    fn a_payload_is_text_if_it_is_valid_utf_8_and_base64_otherwise() {
        assert_eq!(object(&letter("新闻".as_bytes()))["payload"], "新闻");
        let binary = object(&letter(b"\xff\x00"));
        assert_eq!((&binary["payload_base64"], binary.get("payload")), (&json!("/wA="), None));
        assert!(paragraph(&letter(b"\xff\x00")).contains("2 bytes of invalid UTF-8: \\xff\\x00"));
    }

    #[test]
    fn key_headers_and_timestamp_are_shown() {
        let value = |value: &[u8]| Some(value.to_vec());
        let headers = vec![("a".into(), value(b"1")), ("a".into(), None), ("b".into(), value(b"\xff"))];
        let key = value(b"\xfe");
        let letter = DeadLetter { key, headers, timestamp_ms: Some(0), ..letter(b"{}") };
        let shown = object(&letter);
        assert_eq!((&shown["key_base64"], shown.get("key")), (&json!("/g=="), None));
        assert_eq!(
            shown["headers"],
            json!([{ "key": "a", "value": "1" }, { "key": "a" }, { "key": "b", "value_base64": "/w==" }])
        );
        let text = paragraph(&letter);
        for part in ["timestamp    1970-01-01", "key          1 bytes", "a: 1\n", "a: (null)\n", "b: 1 bytes"]
        {
            assert!(text.contains(part), "`{part}` is not in: {text}");
        }
    }

    #[test]
    fn text_output_shows_the_beginning_of_a_long_payload() {
        let long = "字".repeat(SHOWN_CHARS + 1);
        let text = paragraph(&letter(long.as_bytes()));
        assert!(text.contains("字… (6003 bytes"), "{}", &text[text.len() - 60..]);
        assert_eq!(object(&letter(long.as_bytes()))["payload"], long);
    }
}
