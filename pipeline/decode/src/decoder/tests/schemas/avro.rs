//! Avro in each of its wrappings.

use super::*;
use crate::registry::tests::serve;

#[test]
fn the_fingerprint_is_that_of_the_specification() {
    assert_eq!(rabin("\"int\""), 0x7275_d51a_3f39_5c8f);
}

#[test]
fn an_avro_schema_file_reads_all_wrappings() {
    let mut decoder = avro_decoder(SPACIOUS).unwrap();
    for payload in [
        DATUM.to_vec(),
        [b"\0\0\0\0\x07", DATUM].concat(),
        [GUID, DATUM].concat(),
        single_object(CANONICAL, DATUM),
        container(SPACIOUS, "null", &[(1, DATUM)]),
    ] {
        assert_eq!(decoder.decode(&payload).unwrap().body.as_deref(), Some("text"), "{payload:?}");
        assert_survives_damage(&mut decoder, &payload);
    }
    let mut decoder = avro_decoder(AVRO).unwrap();
    for prefix in [b"\0\0\0\0\x07", GUID] {
        assert_is_the_story(&mut decoder, &[prefix, &avro_story()].concat());
    }
}

#[test]
fn a_bare_datum_is_no_wrapping_because_of_its_first_bytes() {
    // Two empty texts, and one of three bytes: read as a number, the first five bytes name a schema.
    let schema = r#"{"type": "record", "name": "R", "fields": [
        {"name": "id", "type": "string"}, {"name": "url", "type": "string"}, {"name": "a", "type": "string"},
        {"name": "b", "type": "string"}, {"name": "c", "type": "string"}, {"name": "title", "type": "string"}]}"#;
    let document_of = |payload: &[u8]| {
        let mut decoder = avro_decoder(schema).unwrap();
        decoder.decode(payload).unwrap().title.map(|title| title.into_owned())
    };
    assert_eq!(document_of(b"\0\0\0\0\0\x06abc").as_deref(), Some("abc"));
    assert_eq!(document_of(b"\0\0\0\0\x07\0\0\0\0\0\x06abc").as_deref(), Some("abc"));
}

#[test]
fn an_avro_container_is_read_with_its_own_schema_whatever_its_codec() {
    let url = "http://localhost:1";
    let decoders = [avro_decoder(SPACIOUS).unwrap(), with_registry(PayloadFormat::Avro, url)];
    let config = config(PayloadFormat::Avro, None, None);
    let registry = RegistryConfig { url: url.into(), ..RegistryConfig::default() };
    let mut mapped = Decoder::try_new(&DocumentsConfig { registry, ..config }).unwrap();
    for codec in ["null", "deflate", "zstandard", "bzip2", "xz", "snappy"] {
        let payload = container(AVRO, codec, &[(0, b""), (1, &avro_story()), (0, b"")]);
        assert_is_the_story(&mut mapped, &payload);
        assert_survives_damage(&mut mapped, &payload);
        for decoder in &decoders {
            let payload = container(CANONICAL, codec, &[(1, DATUM)]);
            assert_eq!(decoder.clone().decode(&payload).unwrap().body.as_deref(), Some("text"), "{codec}");
        }
    }
    // A schema of the next message is its own, too.
    let other = CANONICAL.replace("body", "title");
    let [mut decoder, _] = decoders;
    for _ in 0..2 {
        assert!(decoder.decode(&container(CANONICAL, "null", &[(1, DATUM)])).unwrap().title.is_none());
        assert!(decoder.decode(&container(&other, "null", &[(1, DATUM)])).unwrap().title.is_some());
    }
}

#[test]
fn a_container_that_serde_avro_fast_wrote_is_read() {
    use serde_avro_fast::object_container_file_encoding::{Compression, CompressionLevel, WriterBuilder};
    use serde_avro_fast::ser::SerializerConfig;

    let schema: serde_avro_fast::Schema = SPACIOUS.parse().unwrap();
    let level = CompressionLevel::default();
    for compression in [
        Compression::Null,
        Compression::Deflate { level },
        Compression::Snappy,
        Compression::Zstandard { level },
    ] {
        let config = &mut SerializerConfig::new(&schema);
        let mut writer = WriterBuilder::new(config).compression(compression).build(vec![]).unwrap();
        writer.serialize(HashMap::from([("body", "突发新闻")])).unwrap();
        let payload = writer.into_inner().unwrap();
        let mut decoder = avro_decoder(CANONICAL).unwrap();
        assert_eq!(decoder.decode(&payload).unwrap().body.as_deref(), Some("突发新闻"));
    }
}

#[test]
fn avro_that_cannot_be_read_is_described() {
    let fingerprint = format!("with the fingerprint {:#018x}", rabin("\"int\""));
    let own = format!("that of `documents.schema` is {:#018x}", rabin(CANONICAL));
    let other = single_object("\"int\"", DATUM);
    let whole = container(CANONICAL, "null", &[(1, DATUM)]);
    let bomb = container(CANONICAL, "zstandard", &[(1, &vec![0; 5 << 20])]);
    let snappy_bomb = container(CANONICAL, "snappy", &[(1, &vec![0; 5 << 20])]);
    let nulls = r#"{"type": "record", "name": "R", "fields": [{"name": "body", "type": "string"},
        {"name": "a", "type": {"type": "array", "items": "null"}}]}"#;
    let cases: [(&[u8], &str, &[&str]); 16] = [
        (&other, "invalid_avro", &["single-object", &fingerprint, &own]),
        (b"{\"body\": \"x\"}", "invalid_avro", &["the message is JSON: "]),
        (
            b"\0\0\0\0\x07{\"body\": \"x\"}",
            "invalid_avro",
            &["is JSON behind a schema registry's prefix (schema 7): "],
        ),
        (
            b"\0\0\0\0\x07\x20text",
            "invalid_avro",
            &["schema registry's prefix (schema 7)", "; without the prefix: "],
        ),
        (b"ARROW1\0\0", "invalid_avro", &["the message begins as Arrow IPC does: "]),
        (b"\x0a\x04text\x10\x01", "invalid_avro", &["the message looks like Protobuf: "]),
        (b"<rss>", "invalid_avro", &["the message is XML or HTML: "]),
        (&whole[..40], "invalid_avro", &["is an Avro container, but its header is broken or cut off"]),
        (
            &whole[..whole.len() - 1],
            "invalid_avro",
            &["is an Avro container, but a block is broken or cut off"],
        ),
        (&container(CANONICAL, "lzma", &[(1, DATUM)]), "invalid_avro", &["codec \"lzma\" is not known"]),
        (&container(CANONICAL, "null", &[(2, DATUM)]), "rows", &["at least 2 records"]),
        (&container(CANONICAL, "null", &[]), "rows", &["without a record"]),
        (&bomb, "too_large", &["over 4194304 bytes"]),
        (&snappy_bomb, "too_large", &["over 4194304 bytes"]),
        (
            &container("\"int\"", "null", &[(1, DATUM)]),
            "schema_incompatible",
            &["in the message: it is of type int"],
        ),
        (&container(nulls, "null", &[(1, DATUM)]), "schema_incompatible", &["take no bytes"]),
    ];
    let mut decoder = avro_decoder(SPACIOUS).unwrap();
    for (payload, reason, details) in cases {
        let (given, said) = rejected(&mut decoder, payload);
        assert_eq!(given, reason, "{said}");
        assert!(details.iter().all(|detail| said.contains(detail)), "{said}");
    }
    // A wrapping of Avro is not said to be something else.
    assert!(!rejected(&mut decoder, &other).1.contains(": invalid"));
    let mut decoder = with_registry(PayloadFormat::Avro, "http://localhost:1");
    let (reason, said) = rejected(&mut decoder, &other);
    assert_eq!(reason, "no_schema_id");
    assert!(
        said.contains(&fingerprint) && said.contains("a registry does not find schemas by that"),
        "{said}"
    );
}

#[test]
fn an_avro_message_is_read_with_the_schema_that_it_names() {
    let story = serde_json::json!({ "schema": SPACIOUS }).to_string().leak();
    let (config, _requests) = serve(vec![(200, story), (200, story)]);
    let mut decoder = with_registry(PayloadFormat::Avro, &config.url);
    for prefix in [b"\0\0\0\0\x07", GUID] {
        let payload = [prefix, DATUM].concat();
        assert_eq!(decoder.decode(&payload).unwrap().body.as_deref(), Some("text"));
    }
    let json = b"\0\0\0\0\x07{\"body\": \"x\"}";
    assert!(
        rejected(&mut decoder, json).1.starts_with("the message is JSON behind a schema registry's prefix")
    );
}
