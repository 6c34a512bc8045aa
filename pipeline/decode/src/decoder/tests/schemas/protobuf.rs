//! Protobuf wrappers, imports and message indexes.

use super::*;
use crate::registry::tests::serve;

const WRAPPED: &str = r#"
    syntax = "proto3";
    package cases;
    import "google/protobuf/struct.proto";
    import "google/protobuf/timestamp.proto";
    import "google/protobuf/wrappers.proto";
    import "google/type/localized_text.proto";
    message Story {
      google.protobuf.Int64Value id = 1;
      google.protobuf.StringValue title = 2;
      google.protobuf.StringValue body = 3;
      optional string url = 4;
      oneof origin {
        string source = 5;
        int32 source_number = 6;
      }
      map<string, string> extra = 7;
      google.protobuf.Timestamp published_at = 8;
      repeated string tags = 9;
      google.protobuf.Value lang = 10;
      repeated google.protobuf.StringValue text = 11;
      google.type.LocalizedText headline = 12;
      google.protobuf.BoolValue label = 13;
    }"#;

/// A length-delimited field.
fn field(number: u8, value: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, u8::try_from(value.len()).unwrap()], value].concat()
}

#[test]
fn protobuf_wrappers_are_their_values() {
    let text = |number, text: &str| field(number, &field(1, text.as_bytes()));
    let story = [
        field(1, &[8, 42]),
        text(2, "央行降息"),
        text(3, "正文"),
        field(4, b"https://news.example/1"),
        field(5, b"wire"),
        field(7, &[field(1, b"k"), field(2, b"v")].concat()),
        field(8, &[8, 128, 226, 207, 170, 6, 16, 128, 229, 154, 119]),
        field(9, b"a"),
    ]
    .concat();
    let by_path = FieldNames {
        id: vec!["id".into(), "id.value".into()],
        title: vec!["title.value".into()],
        body: vec!["body.value".into()],
        ..FieldNames::default()
    };
    for fields in [FieldNames::default(), by_path] {
        let mut decoder = with_proto(WRAPPED, "cases.Story", fields);
        let document = decoder.decode(&story).unwrap();
        assert_eq!(document.id.as_deref(), Some("42"));
        assert_eq!(document.title.as_deref(), Some("央行降息"));
        assert_eq!(document.body.as_deref(), Some("正文"));
        assert_eq!(document.url.as_deref(), Some("https://news.example/1"));
        assert_eq!(document.source.as_deref(), Some("wire"));
        assert_eq!(document.published_at, Some(1_700_000_000_250));
        assert_eq!(document.warnings.iter().count(), 0);
        assert_survives_damage(&mut decoder, &story);
        // An empty body is as one in JSON, and a story without words is left to cleaning.
        let only_title = [text(2, "Only a title"), field(3, b""), vec![0x30, 9]].concat();
        let document = decoder.decode(&only_title).unwrap();
        assert_eq!((document.title.as_deref(), document.body.as_deref()), (Some("Only a title"), None));
        let without_words = [field(2, b""), field(3, b"")].concat();
        let document = decoder.decode(&without_words).unwrap();
        assert_eq!((document.title.as_deref(), document.body.as_deref()), (None, Some("")));
        assert_eq!(rejected(&mut decoder, &field(1, &[8, 42])).0, "missing_text");
    }
}

#[test]
fn every_protobuf_wrapper_has_its_value() {
    let text = |number, text: &str| field(number, &field(1, text.as_bytes()));
    for (message, part) in [
        // A wrapper with a zero says so, unlike a field with a zero.
        ([text(2, "t"), field(1, b"")].concat(), ("0", "t", None, None, None)),
        ([text(2, "t"), field(10, &field(3, b"zh"))].concat(), ("", "t", None, Some("zh"), None)),
        ([text(2, "t"), field(10, &[8, 0])].concat(), ("", "t", None, None, None)),
        (
            [field(12, &field(1, b"h")), text(11, "a"), text(11, "b")].concat(),
            ("", "h", Some("a\nb"), None, None),
        ),
        ([text(2, "t"), field(13, &[8, 1])].concat(), ("", "t", None, None, Some("true"))),
        ([text(2, "t"), field(13, b"")].concat(), ("", "t", None, None, Some("false"))),
    ] {
        let mut decoder = with_proto(WRAPPED, "cases.Story", FieldNames::default());
        let document = decoder.decode(&message).unwrap();
        let found = (
            document.id.as_deref().unwrap_or_default(),
            document.title.as_deref().unwrap_or_default(),
            document.body.as_deref(),
            document.lang.as_deref(),
            document.label.as_deref(),
        );
        assert_eq!(found, part, "{message:?}");
    }
}

#[test]
fn googles_dates_are_read_as_such() {
    let text = r#"
        syntax = "proto3";
        import "google/type/date.proto";
        import "google/type/datetime.proto";
        message Day { string title = 1; google.type.Date date = 2; }
        message Time { string title = 1; google.type.DateTime date = 2; }"#;
    let day = [8, 231, 15, 16, 11, 24, 14];
    let time = [&day[..], &[32, 22, 40, 13, 48, 20, 56, 128, 229, 154, 119]].concat();
    let offset = |seconds: &[u8]| [&time[..], &field(8, &[&[8], seconds].concat())].concat();
    let zone = |name: &str| [&time[..], &field(9, &field(1, name.as_bytes()))].concat();
    for (message, date, millis) in [
        ("Day", day.to_vec(), Some(1_699_920_000_000)),
        ("Day", day[..3].to_vec(), None),
        ("Day", vec![8, 231, 15, 16, 13, 24, 14], None),
        ("Time", time.clone(), Some(1_700_000_000_250)),
        // 8 hours, and 5 hours before UTC.
        ("Time", offset(&[0x80, 0xe1, 0x01]), Some(1_699_971_200_250)),
        (
            "Time",
            offset(&[0xb0, 0xf3, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
            Some(1_700_018_000_250),
        ),
        ("Time", zone("Asia/Shanghai"), Some(1_699_971_200_250)),
        ("Time", zone("Asia/Atlantis"), None),
    ] {
        let mut decoder = with_proto(text, message, FieldNames::default());
        let payload = [field(1, b"t"), field(2, &date)].concat();
        let document = decoder.decode(&payload).unwrap();
        assert_eq!(document.published_at, millis, "{message} {date:?}");
        assert_eq!(document.warnings.iter().count(), usize::from(millis.is_none()));
    }
}

#[test]
fn a_protobuf_schema_file_reads_messages_of_a_registry() {
    let text = r#"syntax = "proto3"; package news;
        message Other { string body = 1; }
        message Story { string body = 1; message Inner { string title = 1; } }"#;
    let body = field(1, b"text");
    let read = |message: &str, prefix: &[u8]| {
        let mut decoder = with_proto(text, message, FieldNames::default());
        match decoder.decode(&[prefix, &body].concat()) {
            Ok(document) => document.body.or(document.title).unwrap().into_owned(),
            Err(why) => why.into_reject().detail.unwrap(),
        }
    };
    for (message, prefix, wanted) in [
        ("news.Story", &b""[..], "text"),
        ("news.Story", b"\0\0\0\0\x07\x02\x02", "text"),
        ("news.Other", b"\0\0\0\0\x07\0", "text"),
        ("news.Other", b"\0\0\0\0\x07\x02\0", "text"),
        ("news.Other", &[GUID, b"\0"].concat(), "text"),
        ("news.Story.Inner", b"\0\0\0\0\x07\x04\x02\0", "text"),
        // The registry's file may have more types than this one.
        ("news.Story", b"\0\0\0\0\x07\x02\x10", "text"),
        (
            "news.Story",
            b"\0\0\0\0\x07\0",
            "its indexes name the type `news.Other`, but `documents.message` is `news.Story`",
        ),
        ("news.Story", b"\0\0\0\0\x07\x01", "a message index is negative"),
    ] {
        let said = read(message, prefix);
        assert!(said.ends_with(wanted), "{message} {prefix:?}: {said}");
    }
}

#[test]
fn imports_that_registries_have_built_in_need_no_reference() {
    let with_imports = r#"{"schemaType": "PROTOBUF", "schema": "syntax = \"proto3\";\npackage cases;\nimport \"confluent/meta.proto\";\nimport \"confluent/type/decimal.proto\";\nimport \"google/type/date.proto\";\nmessage Story {\n  string id = 1;\n  string title = 2 [(confluent.field_meta) = { doc: \"headline\" }];\n  confluent.type.Decimal price = 3;\n  google.type.Date day = 4;\n}\n"}"#;
    let missing = r#"{"schemaType": "PROTOBUF", "schema": "syntax = \"proto3\";\nimport \"news/head.proto\";\nmessage Story {}"}"#;
    let (config, _requests) = serve(vec![(200, with_imports), (200, with_imports), (200, missing)]);
    let mut decoder = with_registry(PayloadFormat::Protobuf, &config.url);
    let message = [
        field(1, b"1"),
        field(2, b"Rates fall"),
        field(3, &[&field(1, b"\x03\xe8")[..], &[16, 5, 24, 2]].concat()),
        field(4, &[8, 231, 15, 16, 11, 24, 14]),
    ]
    .concat();
    for prefix in [b"\0\0\0\0\x07\0", &[GUID, b"\x02\0"].concat()[..]] {
        let payload = [prefix, &message].concat();
        let document = decoder.decode(&payload).unwrap();
        assert_eq!((document.id.as_deref(), document.title.as_deref()), (Some("1"), Some("Rates fall")));
        assert_survives_damage_behind(&mut decoder, &payload, prefix.len());
    }
    let (reason, said) = rejected(&mut decoder, &[b"\0\0\0\0\x08\0", &message[..]].concat());
    assert_eq!(reason, "schema_incompatible");
    assert!(said.contains("schema 8: line 2:1: import 'news/head.proto' not found"), "{said}");
}

/// As [`assert_survives_damage`], with the first bytes as they are, so that no other schema is asked for.
fn assert_survives_damage_behind(decoder: &mut Decoder, payload: &[u8], start: usize) {
    for cut in start..payload.len() {
        let _ = decoder.decode(&payload[..cut]);
        let mut damaged = payload.to_vec();
        damaged[cut] ^= 0x81;
        let _ = decoder.decode(&damaged);
    }
}
