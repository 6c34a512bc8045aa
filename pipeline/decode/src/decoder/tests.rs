//! Each format's documents, and what becomes of bytes that are none.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use ::arrow::array::{
    ArrayRef, Int64Array, RecordBatch, StringArray, StructArray, TimestampMicrosecondArray,
};
use ::arrow::ipc::writer::{FileWriter, StreamWriter};
use bytesize::ByteSize;
use proptest::prelude::*;
use prost_reflect::prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, Value};

use super::*;
use crate::config::RegistryConfig;
use crate::fields::BestValues;
use crate::names::FieldNames;
use crate::schema;

mod schemas;

const MILLIS: Option<i64> = Some(1_700_000_000_000);

fn fields() -> FieldNames {
    let mut names = FieldNames::default();
    names.title.push("head.line".into());
    names.label = vec!["section".into()];
    names
}

fn config(format: PayloadFormat, schema: Option<PathBuf>, message: Option<&str>) -> DocumentsConfig {
    let message = message.map(ToString::to_string);
    DocumentsConfig { format, schema, message, fields: fields(), ..DocumentsConfig::default() }
}

fn rejected(decoder: &mut Decoder, payload: &[u8]) -> (String, String) {
    match decoder.decode(payload) {
        Err(Undecoded::Reject(reject)) => (reject.reason.into(), reject.detail.unwrap_or_default()),
        other => panic!("{other:?}"),
    }
}

/// A document that every format can hold, read from the bytes that it has there.
fn assert_is_the_story(decoder: &mut Decoder, payload: &[u8]) {
    let document = decoder.decode(payload).unwrap();
    assert_eq!(document.id.as_deref(), Some("7"));
    assert_eq!(document.title.as_deref(), Some("标题"));
    assert_eq!(document.body.as_deref(), Some("body & soul"));
    assert_eq!(document.label.as_deref(), Some("SPORT"));
    assert_eq!(document.published_at, MILLIS);
    assert_eq!(document.url, None);
}

/// No prefix and no single changed byte makes the decoder panic, and whole prefixes are refused.
fn assert_survives_damage(decoder: &mut Decoder, payload: &[u8]) {
    for cut in 0..payload.len() {
        let _ = decoder.decode(&payload[..cut]);
        for flipped in [payload[cut] ^ 0x80, payload[cut].wrapping_add(1), 0xff] {
            let mut damaged = payload.to_vec();
            damaged[cut] = flipped;
            let _ = decoder.decode(&damaged);
        }
    }
}

fn json_decoder() -> Decoder {
    let config = DocumentsConfig { max_bytes: ByteSize::b(200), ..DocumentsConfig::default() };
    Decoder::try_new(&config).unwrap()
}

#[test]
fn each_bad_json_message_has_its_reason() {
    let long = format!(r#"{{"body": "{}"}}"#, "x".repeat(300));
    let cases: [(&[u8], &str, &str); 10] = [
        (b"", "invalid_json", "EOF"),
        (b"{\"body\": \"x\"", "invalid_json", "EOF"),
        (b"{\"body\": \"x\"} trailing", "invalid_json", "trailing"),
        (b"[1]", "invalid_json", "an object"),
        (b"{\"body\": \"\xff\"", "invalid_utf8", "at byte 10"),
        (b"[{\"body\": \"x\"}, {\"body\": \"y\"}]", "rows", "2 elements"),
        (b"{\"body\": {\"body\": \"x\"}}", "missing_text", "`body` is an object"),
        (b"{\"title\": true, \"body\": null}", "missing_text", "`title` is true"),
        (b"{\"id\": 1, \"body\": null}", "missing_text", "neither"),
        (long.as_bytes(), "too_large", "312 bytes, `documents.max_bytes` is 200"),
    ];
    for (payload, reason, detail) in cases {
        let (given, said) = rejected(&mut json_decoder(), payload);
        assert_eq!(given, reason, "{}", String::from_utf8_lossy(payload));
        assert!(said.contains(detail), "{said}");
    }
}

#[test]
fn strict_refuses_the_warnings_that_it_names() {
    let payload = br#"{"body": "b", "published_at": "soon", "lang": "xx-unknown"}"#;
    let decode = |strict: &[&str]| {
        let strict = strict.iter().map(ToString::to_string).collect();
        let mut decoder = Decoder::json(&DocumentsConfig { strict, ..DocumentsConfig::default() });
        decoder.decode(payload).map(Document::into_owned)
    };
    for passes in [&[][..], &["title"], &["published_at:ambiguous", "lang:type"]] {
        assert_eq!(decode(passes).unwrap().warnings.iter().count(), 2, "{passes:?}");
    }
    for (refused, named) in [("published_at", "published_at:unreadable"), ("lang:unknown", "lang:unknown")] {
        let Err(Undecoded::Reject(reject)) = decode(&["title", refused]) else { panic!("{refused} passed") };
        assert_eq!(reject.reason, "strict");
        assert!(reject.detail.unwrap().contains(named));
    }
}

#[test]
fn a_json_document_is_read_whatever_the_order_of_its_fields() {
    let payload =
        br#"{"text":"t","extra":{"body":[1]},"body":"b","id":7,"title":"\u6807","published_at":1700000000}"#;
    let mut decoder = json_decoder();
    let document = decoder.decode(payload).unwrap();
    assert_eq!(document.body.as_deref(), Some("b"), "`body` is preferred to `text`");
    assert_eq!(document.title.as_deref(), Some("标"));
    assert_eq!(document.id.as_deref(), Some("7"));
    assert_eq!(document.published_at, MILLIS);
}

/// Each part of the document that a message gives, by its name; `warnings` are its warnings.
fn read_json(message: &str) -> serde_json::Value {
    let mut decoder = Decoder::try_new(&DocumentsConfig::default()).unwrap();
    let document = decoder.decode(message.as_bytes()).unwrap_or_else(|error| panic!("{message}: {error:?}"));
    let mut found = serde_json::Map::new();
    for (part, text) in [
        ("id", document.id),
        ("title", document.title),
        ("body", document.body),
        ("url", document.url),
        ("source", document.source),
        ("lang", document.lang),
        ("label", document.label),
    ] {
        found.extend(text.map(|text| (part.to_owned(), text.into_owned().into())));
    }
    found.extend(document.published_at.map(|millis| ("published_at".to_owned(), millis.into())));
    let warnings: Vec<_> =
        document.warnings.iter().map(|(part, reason)| format!("{part}:{reason}")).collect();
    if !warnings.is_empty() {
        found.insert("warnings".into(), warnings.into());
    }
    found.into()
}

#[test]
fn every_shape_of_a_field_gives_the_value_that_it_holds() {
    for (message, wanted) in [
        // Names, the most preferred first whatever their order.
        (r#"{"Title": "t"}"#, r#"{"title": "t"}"#),
        (r#"{"TITLE": "t", "BODY": "b"}"#, r#"{"title": "t", "body": "b"}"#),
        (r#"{"headline": "h"}"#, r#"{"title": "h"}"#),
        (r#"{"headline": "h", "title": "t"}"#, r#"{"title": "t"}"#),
        (r#"{"title": "t", "Title": "T"}"#, r#"{"title": "t"}"#),
        (
            r#"{"标题": "题", "正文": "文", "来源": "新华社"}"#,
            r#"{"title": "题", "body": "文", "source": "新华社"}"#,
        ),
        (r#"{"content": "c", "text": "t"}"#, r#"{"body": "t"}"#),
        (
            r#"{"title": "t", "description": "d"}"#,
            r#"{"title": "t", "body": "d", "warnings": ["body:summary"]}"#,
        ),
        (r#"{"title": "t", "contentHtml": "<p>"}"#, r#"{"title": "t", "body": "<p>"}"#),
        (r#"{"title": "t", "crawled_at": "2023-11-14"}"#, r#"{"title": "t"}"#),
        // One field for two parts.
        (r#"{"title": "t", "url": "http://a"}"#, r#"{"title": "t", "id": "http://a", "url": "http://a"}"#),
        (
            r#"{"title": "t", "url": "http://a", "guid": 9}"#,
            r#"{"title": "t", "id": "9", "url": "http://a"}"#,
        ),
        // Numbers as they were sent.
        (r#"{"title": "t", "id": 7}"#, r#"{"title": "t", "id": "7"}"#),
        (r#"{"title": "t", "id": 7.0}"#, r#"{"title": "t", "id": "7"}"#),
        (r#"{"title": "t", "id": 1e3}"#, r#"{"title": "t", "id": "1000"}"#),
        (r#"{"title": "t", "id": 18446744073709551615}"#, r#"{"title": "t", "id": "18446744073709551615"}"#),
        (
            r#"{"title": "t", "id": 123456789012345678901234567890}"#,
            r#"{"title": "t", "id": "123456789012345678901234567890"}"#,
        ),
        (r#"{"title": 2023}"#, r#"{"title": "2023"}"#),
        (r#"{"title": 3.10}"#, r#"{"title": "3.10"}"#),
        (r#"{"title": "t", "label": 3}"#, r#"{"title": "t", "label": "3"}"#),
        (r#"{"title": "t", "label": true}"#, r#"{"title": "t", "label": "true"}"#),
        (r#"{"title": "t", "source": 1e400}"#, r#"{"title": "t", "source": "1e400"}"#),
        // Wrappers.
        (r#"{"title": "t", "source": {"id": null, "name": "BBC"}}"#, r#"{"title": "t", "source": "BBC"}"#),
        (r#"{"title": "t", "_id": {"$oid": "507f"}}"#, r#"{"title": "t", "id": "507f"}"#),
        (r#"{"title": {"rendered": "t"}}"#, r#"{"title": "t"}"#),
        (r##"{"title": {"#text": "t", "@lang": "en"}}"##, r#"{"title": "t"}"#),
        (r#"{"title": {"string": "t"}}"#, r#"{"title": "t"}"#),
        (
            r#"{"title": "t", "published_at": {"$date": {"$numberLong": "1700000000000"}}}"#,
            r#"{"title": "t", "published_at": 1700000000000}"#,
        ),
        // Arrays.
        (r#"{"title": ["t", "u"]}"#, r#"{"title": "t"}"#),
        (r#"{"body": ["a", "b"]}"#, r#"{"body": "a\nb"}"#),
        (r#"{"body": [{"value": "a"}, {"value": "b"}]}"#, r#"{"body": "a\nb"}"#),
        (
            r#"{"title": [{"role": "sub", "value": "s"}, {"role": "main", "value": "m"}]}"#,
            r#"{"title": "m"}"#,
        ),
        (r#"{"title": "t", "link": [{"href": "http://a"}]}"#, r#"{"title": "t", "url": "http://a"}"#),
        // A value that says nothing counts as absent; one that cannot be used gives a warning.
        (r#"{"title": "t", "source": {"id": 1}}"#, r#"{"title": "t", "warnings": ["source:type"]}"#),
        (
            r#"{"title": "t", "source": {"id": 1}, "domain": "bbc.com"}"#,
            r#"{"title": "t", "source": "bbc.com"}"#,
        ),
        (r#"{"title": "t", "source": null, "lang": "N/A", "id": "-", "url": ""}"#, r#"{"title": "t"}"#),
        (r#"{"title": "None", "body": "N/A"}"#, r#"{"title": "None", "body": "N/A"}"#),
        (r#"{"title": "t", "lang": false}"#, r#"{"title": "t", "warnings": ["lang:type"]}"#),
        (r#"{"title": "t", "id": " 7 "}"#, r#"{"title": "t", "id": "7"}"#),
        (
            r#"{"title": "t", "published_at": "soon"}"#,
            r#"{"title": "t", "warnings": ["published_at:unreadable"]}"#,
        ),
        (
            r#"{"title": "t", "pubDate": "03/04/2023"}"#,
            r#"{"title": "t", "warnings": ["published_at:ambiguous"]}"#,
        ),
        (r#"{"title": "t", "date": 0}"#, r#"{"title": "t", "warnings": ["published_at:unreadable"]}"#),
        (r#"{"title": "t", "date": " "}"#, r#"{"title": "t"}"#),
        (r#"{"title": "t", "date": true}"#, r#"{"title": "t", "warnings": ["published_at:unreadable"]}"#),
        (
            r#"{"title": "t", "pubdate": "2023年11月"}"#,
            r#"{"title": "t", "published_at": 1698796800000, "warnings": ["published_at:month"]}"#,
        ),
        (r#"{"title": "t", "date": 1700000000.25}"#, r#"{"title": "t", "published_at": 1700000000250}"#),
    ] {
        let wanted: serde_json::Value = serde_json::from_str(wanted).unwrap();
        assert_eq!(read_json(message), wanted, "{message}");
    }
}

#[test]
fn json_with_mistakes_is_mended_and_told() {
    for (payload, body, warning) in [
        (&b"{\"body\": \"x\", \"n\": NaN}"[..], "x", ("json", "repaired")),
        (b"{\"body\": \"\\ud83d\"}", "\u{fffd}", ("json", "repaired")),
        (b"[{\"body\": \"x\"}]", "x", ("json", "repaired")),
        (b"{\"body\": \"\xff\"}", "\u{fffd}", ("charset", "invalid_utf8")),
    ] {
        let mut decoder = json_decoder();
        let document = decoder.decode(payload).unwrap();
        assert_eq!(document.body.as_deref(), Some(body));
        assert_eq!(document.warnings.iter().collect::<Vec<_>>(), [warning]);
    }
}

#[test]
fn an_order_and_a_zone_can_be_configured_for_dates() {
    let config: DocumentsConfig =
        serde_json::from_str(r#"{"timezone": "Asia/Shanghai", "date_order": "day-first"}"#).unwrap();
    let mut decoder = Decoder::try_new(&config).unwrap();
    let document = decoder.decode(br#"{"title": "t", "date": "03/04/2023 08:00"}"#).unwrap();
    assert_eq!(document.published_at, Some(1_680_480_000_000));
}

#[test]
fn nested_values_are_followed_to_a_bound() {
    // The parser itself follows 128 levels.
    for depth in [5, 100, 200, 100_000] {
        let deep = format!("{{\"title\": \"t\", \"body\": {}1{}}}", "[".repeat(depth), "]".repeat(depth));
        let document = read_json(&deep);
        match depth {
            5 => assert_eq!(document["body"], "1"),
            _ => assert_eq!(document["warnings"], serde_json::json!(["body:type"]), "{depth}"),
        }
    }
}

#[test]
fn a_story_of_blanks_is_left_to_cleaning() {
    for message in [r#"{"body": ""}"#, r#"{"title": " "}"#, r#"{"title": "", "body": "\n"}"#] {
        let mut decoder = Decoder::try_new(&DocumentsConfig::default()).unwrap();
        let document = decoder.decode(message.as_bytes()).unwrap();
        assert_eq!((document.title, document.body.as_deref()), (None, Some("")), "{message}");
    }
}

#[test]
fn a_byte_order_mark_is_no_error() {
    assert!(json_decoder().decode("\u{feff}{\"body\":\"x\"}".as_bytes()).is_ok());
}

#[test]
fn a_name_with_dots_is_a_field_or_a_path() {
    let names = |name: &str| FieldNames { body: vec![name.into()], ..FieldNames::default() };
    for (name, payload) in [
        ("dc.text", r#"{"dc.text": "x"}"#),
        ("dc.text", r#"{"dc": {"text": "x"}}"#),
        ("a.b.c", r#"{"a": {"b": {"c": "x", "d": 1}, "c": 2}}"#),
    ] {
        let config = DocumentsConfig { fields: names(name), ..DocumentsConfig::default() };
        let mut decoder = Decoder::try_new(&config).unwrap();
        assert_eq!(decoder.decode(payload.as_bytes()).unwrap().body.as_deref(), Some("x"), "{payload}");
    }
}

const AVRO: &str = r#"{"type": "record", "name": "Story", "fields": [
    {"name": "seen", "type": {"type": "array", "items": "long"}},
    {"name": "id", "type": "int"},
    {"name": "head", "type": ["null", {"type": "record", "name": "Head", "fields": [
        {"name": "line", "type": "string"}, {"name": "size", "type": "double"}]}]},
    {"name": "body", "type": ["null", "string"]},
    {"name": "section", "type": {"type": "enum", "name": "Section", "symbols": ["NEWS", "SPORT"]}},
    {"name": "published_at", "type": {"type": "long", "logicalType": "timestamp-millis"}}]}"#;

/// The story by the schema [`AVRO`], written by hand after the specification.
fn avro_story() -> Vec<u8> {
    let mut datum = vec![4, 2, 4, 0, 14, 2];
    for text in ["标题", "body & soul"] {
        if text != "标题" {
            datum.extend(1.5f64.to_le_bytes());
            datum.push(2);
        }
        datum.push(u8::try_from(2 * text.len()).unwrap());
        datum.extend(text.as_bytes());
    }
    datum.push(2);
    let mut zigzag = u64::try_from(MILLIS.unwrap()).unwrap() << 1;
    while zigzag >= 0x80 {
        datum.push(u8::try_from(zigzag & 0x7f).unwrap() | 0x80);
        zigzag >>= 7;
    }
    datum.push(u8::try_from(zigzag).unwrap());
    datum
}

fn avro_decoder(schema: &str) -> std::result::Result<Decoder, String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), schema).unwrap();
    let config = config(PayloadFormat::Avro, Some(file.path().into()), None);
    Decoder::try_new(&config).map_err(|error| error.to_string())
}

#[test]
fn an_avro_record_is_a_document() {
    let mut decoder = avro_decoder(AVRO).unwrap();
    assert_is_the_story(&mut decoder, &avro_story());
    assert_survives_damage(&mut decoder, &avro_story());
    let mut longer = avro_story();
    longer.push(0);
    assert_eq!(rejected(&mut decoder, &longer).0, "invalid_avro");
    assert_eq!(rejected(&mut decoder, &avro_story()[..20]).0, "invalid_avro");
    assert_eq!(rejected(&mut decoder, b"").0, "invalid_avro");
}

#[test]
fn an_avro_schema_that_cannot_hold_documents_says_why() {
    let cases = [
        (r#"{"name": "body", "type": "boolean"}"#, "field `body` is of type boolean but must be a string"),
        (r#"{"name": "body", "type": ["null", "bytes"]}"#, "field `body` is of type null or bytes"),
        (r#"{"name": "kicker", "type": "string"}"#, "neither a field for the title nor one for the body"),
        (r#"{"name": "body", "type": "strin"}"#, "strin"),
    ];
    for (fields, why) in cases {
        let schema = format!(r#"{{"type": "record", "name": "R", "fields": [{fields}]}}"#);
        let error = avro_decoder(&schema).unwrap_err();
        assert!(error.contains(why), "{error}");
    }
    assert!(avro_decoder(r#""string""#).unwrap_err().contains("must be a record"));
    // Of the other parts, none is needed.
    let schema = r#"{"type": "record", "name": "R", "fields": [
        {"name": "body", "type": "string"},
        {"name": "published_at", "type": {"type": "int", "logicalType": "time-millis"}}]}"#;
    assert!(avro_decoder(schema).is_ok());
}

#[test]
fn avro_times_are_read_by_their_unit() {
    for (kind, unit, number, millis) in [
        ("int", "date", 366, Some(31_622_400_000)),
        ("long", "timestamp-millis", 366, Some(366)),
        ("long", "timestamp-micros", -1_500, Some(-2)),
        // Six minutes after the beginning of 1970 is no time of publication.
        ("long", "nothing-known", 366, None),
    ] {
        let schema = format!(
            r#"{{"type": "record", "name": "R", "fields": [{{"name": "body", "type": "string"}},
                {{"name": "published_at", "type": ["null", {{"type": "{kind}", "logicalType": "{unit}"}}]}}]}}"#
        );
        let mut decoder = avro_decoder(&schema).unwrap();
        let zigzag = u16::try_from((number << 1) ^ (number >> 31)).unwrap();
        let [low, high] = [(zigzag & 0x7f) as u8 | 0x80, (zigzag >> 7) as u8];
        let document = decoder.decode(&[2, b'x', 2, low, high]).unwrap().published_at;
        assert_eq!(document, millis, "{unit}");
    }
}

#[test]
fn deeply_nested_avro_is_refused_not_followed() {
    let schema = r#"{"type": "record", "name": "Node", "fields": [
        {"name": "next", "type": ["null", "Node"]}, {"name": "body", "type": "string"}]}"#;
    let mut decoder = avro_decoder(schema).unwrap();
    assert_eq!(rejected(&mut decoder, &[2; 100_000]).0, "invalid_avro");
}

const PROTO: &str = r#"
    syntax = "proto3";
    package news;
    import "google/protobuf/timestamp.proto";
    message Other { bool body = 1; }
    message Story {
      message Head { string line = 1; repeated int32 sizes = 2; }
      enum Section { NEWS = 0; SPORT = 1; }
      uint64 id = 1;
      Head head = 2;
      string body = 3;
      Section section = 4;
      google.protobuf.Timestamp published_at = 5;
      string url = 6;
      map<string, string> extra = 7;
    }"#;

fn proto_pool(directory: &std::path::Path) -> DescriptorPool {
    std::fs::write(directory.join("story.proto"), PROTO).unwrap();
    let set = protox::compile(["story.proto"], [directory]).unwrap();
    DescriptorPool::from_file_descriptor_set(set).unwrap()
}

fn proto_story(pool: &DescriptorPool) -> Vec<u8> {
    let new = |name: &str| DynamicMessage::new(pool.get_message_by_name(name).unwrap());
    let mut head = new("news.Story.Head");
    head.set_field_by_name("line", Value::String("标题".into()));
    let mut time = new("google.protobuf.Timestamp");
    time.set_field_by_name("seconds", Value::I64(1_700_000_000));
    let mut story = new("news.Story");
    story.set_field_by_name("id", Value::U64(7));
    story.set_field_by_name("head", Value::Message(head));
    story.set_field_by_name("body", Value::String("body & soul".into()));
    story.set_field_by_name("section", Value::EnumNumber(1));
    story.set_field_by_name("published_at", Value::Message(time));
    story.encode_to_vec()
}

#[test]
fn a_protobuf_message_is_a_document() {
    let dir = tempfile::tempdir().unwrap();
    let story = proto_story(&proto_pool(dir.path()));
    let path = dir.path().join("story.proto");
    let mut decoder =
        Decoder::try_new(&config(PayloadFormat::Protobuf, Some(path.clone()), Some("news.Story"))).unwrap();
    assert_is_the_story(&mut decoder, &story);
    assert_survives_damage(&mut decoder, &story);
    assert_eq!(rejected(&mut decoder, &story[..20]).0, "invalid_protobuf");
    assert_eq!(rejected(&mut decoder, b"").0, "missing_text", "an empty message has no fields");
    for (name, why) in [
        ("news.Storey", "no message `news.Storey`, only `news.Other`, `news.Story`"),
        ("news.Other", "message `news.Other`: field `body` is of type bool but must be a string"),
    ] {
        let config = config(PayloadFormat::Protobuf, Some(path.clone()), Some(name));
        let error = Decoder::try_new(&config).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn a_registrys_protobuf_message_says_its_type_by_a_path() {
    let dir = tempfile::tempdir().unwrap();
    let story = proto_story(&proto_pool(dir.path()));
    let source = schema::SchemaText { label: "schema 3".into(), text: PROTO.into(), ..Default::default() };
    let names = Fields::new(&fields());
    let mut schema = <protobuf::ProtobufSchema as schema::Schema>::compile(&source, &names).unwrap();
    let mut read = |path: &[u8]| {
        let mut found = BestValues::default();
        schema.read(&[path, &story].concat(), &names, &mut found)?;
        found.into_document(&DateRules::default()).map(|document| document.body.map(|body| body.into_owned()))
    };
    assert_eq!(read(&[2, 2]).unwrap().as_deref(), Some("body & soul"));
    let cases: [(&[u8], &str, &str); 6] = [
        (&[0], "schema_incompatible", "schema 3: message `news.Other`: field `body`"),
        (&[2, 2], "", ""),
        (&[2, 8], "invalid_protobuf", "no message type at [4]"),
        (&[2, 1], "invalid_protobuf", "negative"),
        (&[0xfe, 0xff, 0xff, 0xff, 0x7e], "invalid_protobuf", "at most 32"),
        (&[4, 2, 0], "schema_incompatible", "message `news.Story.Head`"),
    ];
    for (path, reason, detail) in cases {
        match read(path) {
            Ok(_) => assert_eq!(reason, ""),
            Err(reject) => {
                assert_eq!(reject.reason, reason, "{reject:?}");
                assert!(reject.detail.as_deref().unwrap().contains(detail), "{reject:?}");
            }
        }
    }
}

#[test]
fn imports_of_a_protobuf_schema_are_found_in_the_registry_or_beside_the_file() {
    let text = r#"syntax = "proto3"; import "parts/head.proto"; message Story { parts.Head head = 1; string body = 2; }"#;
    let head = r#"syntax = "proto3"; package parts; message Head { string line = 1; }"#;
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("parts")).unwrap();
    std::fs::write(dir.path().join("parts/head.proto"), head).unwrap();
    let source = schema::SchemaText { text: text.into(), ..Default::default() };
    let referring =
        schema::SchemaText { references: vec![("parts/head.proto".into(), head.into())], ..source.clone() };
    let beside = schema::SchemaText { directory: Some(dir.path().into()), ..source.clone() };
    let names = Fields::new(&fields());
    let compile =
        |source: &schema::SchemaText| <protobuf::ProtobufSchema as schema::Schema>::compile(source, &names);
    compile(&referring).unwrap();
    compile(&beside).unwrap();
    assert!(compile(&source).unwrap_err().contains("line 1:20: import 'parts/head.proto' not found"));
}

fn story_batch() -> RecordBatch {
    let text = |text: &str| Arc::new(StringArray::from(vec![text])) as ArrayRef;
    let line = Arc::new(::arrow::datatypes::Field::new("line", ::arrow::datatypes::DataType::Utf8, true));
    let head = StructArray::from(vec![(line, text("标题"))]);
    let time = TimestampMicrosecondArray::from(vec![1_700_000_000_000_000]).with_timezone("UTC");
    let sport: ::arrow::array::DictionaryArray<::arrow::datatypes::Int32Type> =
        vec!["SPORT"].into_iter().collect();
    RecordBatch::try_from_iter([
        ("id", Arc::new(Int64Array::from(vec![7])) as ArrayRef),
        ("head", Arc::new(head)),
        ("body", text("body & soul")),
        ("section", Arc::new(sport)),
        ("published_at", Arc::new(time)),
        ("url", Arc::new(StringArray::from(vec![None::<&str>]))),
    ])
    .unwrap()
}

fn stream_of(batches: &[RecordBatch]) -> Vec<u8> {
    let mut writer = StreamWriter::try_new(vec![], &story_batch().schema()).unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    writer.into_inner().unwrap()
}

#[test]
fn an_arrow_stream_or_file_of_one_row_is_a_document() {
    let mut decoder = Decoder::try_new(&config(PayloadFormat::Arrow, None, None)).unwrap();
    let batch = story_batch();
    let mut file = FileWriter::try_new(vec![], &batch.schema()).unwrap();
    file.write(&batch).unwrap();
    let file = file.into_inner().unwrap();
    let empty_first = stream_of(&[batch.slice(0, 0), batch.clone()]);
    for payload in [&stream_of(std::slice::from_ref(&batch)), &file, &empty_first] {
        assert_is_the_story(&mut decoder, payload);
        assert_survives_damage(&mut decoder, payload);
    }
    let two = stream_of(&[batch.clone(), batch.clone()]);
    let stream = stream_of(&[batch]);
    let cases: [(&[u8], &str, &str); 5] = [
        (&two, "rows", "at least 2 rows"),
        (&stream_of(&[]), "rows", "no row"),
        (&stream[..stream.len() / 2], "invalid_arrow", ""),
        (b"{}", "invalid_arrow", ""),
        (b"", "rows", "no row"),
    ];
    for (payload, reason, detail) in cases {
        let (given, said) = rejected(&mut decoder, payload);
        assert_eq!(given, reason, "{said}");
        assert!(said.contains(detail), "{said}");
    }
}

#[test]
fn without_a_number_there_is_no_schema() {
    let registry = RegistryConfig { url: "http://localhost:1".into(), ..RegistryConfig::default() };
    for format in [PayloadFormat::Avro, PayloadFormat::Protobuf] {
        let mut decoder =
            Decoder::try_new(&DocumentsConfig { format, registry: registry.clone(), ..Default::default() })
                .unwrap();
        let cases: [(&[u8], &str); 8] = [
            (b"", "empty"),
            (&[0, 0, 0, 0, 0, 0, 0, 0, 7, 2], "ids of 8 bytes"),
            (b"{\"body\":\"x\"}", "the message is JSON: the first byte is 0x7b"),
            (b"{\"body\":\"x\"}", "with the schema's id in a header, which is not read"),
            (b"news", "the message is plain text: the first byte is 0x6e"),
            (&[0, 0, 0, 1], "only 4 bytes, at least 5"),
            (&[1; 16], "only 16 bytes, at least 17"),
            (&[2; 17], "0x02"),
        ];
        for (payload, detail) in cases {
            let (reason, said) = rejected(&mut decoder, payload);
            assert_eq!(reason, "no_schema_id");
            assert!(said.contains(detail), "{said}");
        }
        // Nobody listens there: the message waits.
        for payload in [&[0, 0, 0, 0, 1, 0][..], &[1; 17]] {
            assert!(matches!(decoder.decode(payload), Err(Undecoded::Wait)));
        }
    }
}

fn decoders() -> HashMap<&'static str, Decoder> {
    let dir = tempfile::tempdir().unwrap();
    proto_pool(dir.path());
    let proto = config(PayloadFormat::Protobuf, Some(dir.path().join("story.proto")), Some("news.Story"));
    HashMap::from([
        ("json", json_decoder()),
        ("json with a registry", schemas::with_registry(PayloadFormat::Json, "http://localhost:1")),
        ("avro", avro_decoder(AVRO).unwrap()),
        ("protobuf", Decoder::try_new(&proto).unwrap()),
        ("arrow", Decoder::try_new(&config(PayloadFormat::Arrow, None, None)).unwrap()),
    ])
}

proptest! {
    #[test]
    fn any_bytes_give_an_answer(payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..150), 5)) {
        // Compiling the schemas takes far longer than decoding.
        static DECODERS: LazyLock<HashMap<&str, Decoder>> = LazyLock::new(decoders);
        let prefixes = schemas::prefixes();
        for decoder in DECODERS.clone().values_mut() {
            for payload in &payloads {
                let _ = decoder.decode(payload);
                for prefix in &prefixes {
                    let _ = decoder.decode(&[prefix, &payload[..]].concat());
                }
            }
        }
    }

    #[test]
    fn any_text_survives(body in any::<String>()) {
        let mut decoder = Decoder::try_new(&DocumentsConfig::default()).unwrap();
        let payload = serde_json::to_vec(&serde_json::json!({ "body": body })).unwrap();
        let document = decoder.decode(&payload).unwrap();
        let wanted = if body.trim().is_empty() { "" } else { body.as_str() };
        prop_assert_eq!(document.body.as_deref(), Some(wanted));
    }
}
