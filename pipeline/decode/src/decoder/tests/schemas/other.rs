//! JSON behind a prefix, and messages of another format than the configured one.

use super::*;

#[test]
fn other_formats_say_what_the_bytes_are() {
    let mut json = Decoder::try_new(&DocumentsConfig::default()).unwrap();
    let mut prefixed = with_registry(PayloadFormat::Json, "http://localhost:1");
    let mut arrow = Decoder::try_new(&config(PayloadFormat::Arrow, None, None)).unwrap();
    let mut protobuf = with_proto(PROTO, "news.Story", fields());
    let container = container(CANONICAL, "null", &[(1, DATUM)]);
    let proto = b"\x08\x07\x1a\x04body";
    let arrow_stream = stream_of(&[story_batch()]);
    let cases: [(&mut Decoder, &[u8], &str, &str); 17] = [
        (&mut json.clone(), &container, "invalid_", "the message is an Avro container (`Obj\\x01`): "),
        (
            &mut json.clone(),
            &single_object(CANONICAL, DATUM),
            "invalid_",
            "is in Avro's single-object encoding",
        ),
        (&mut json.clone(), proto, "invalid_json", "the message looks like Protobuf: "),
        (&mut json.clone(), &arrow_stream, "invalid_", "the message begins as Arrow IPC does: "),
        (
            &mut json.clone(),
            b"\0\0\0\0\x07\x08text",
            "invalid_json",
            "begins with a schema registry's prefix (schema 7): ",
        ),
        (&mut json.clone(), b"{'body': 'x'}", "invalid_json", "is a Python object as Python prints it: "),
        (&mut json.clone(), b"\x1f\x8b\x08\0", "invalid_", "the message is compressed with gzip: "),
        (&mut json, b"{\"body\": \"x\"", "invalid_json", "EOF"),
        (&mut prefixed, b"\0\0\0\0\x07{\"body\": \"x\"", "invalid_json", "EOF"),
        (&mut arrow.clone(), b"{\"body\": \"x\"}", "invalid_arrow", "the message is JSON: "),
        (&mut arrow.clone(), &container, "invalid_arrow", "the message is an Avro container"),
        (
            &mut arrow,
            b"\0\0\0\0\x07\x08text",
            "invalid_arrow",
            "begins with a schema registry's prefix (schema 7): ",
        ),
        (&mut protobuf.clone(), b"{\"body\": \"x\"}", "invalid_protobuf", "the message is JSON: "),
        (
            &mut protobuf.clone(),
            b"\0\0\0\0\x07{\"body\"",
            "invalid_protobuf",
            "is JSON behind a schema registry's prefix",
        ),
        (&mut protobuf.clone(), &container, "invalid_protobuf", "the message is an Avro container"),
        (&mut protobuf.clone(), &arrow_stream, "invalid_protobuf", "the message begins as Arrow IPC does: "),
        (&mut protobuf, b"breaking news", "invalid_protobuf", "the message is plain text: "),
    ];
    for (decoder, payload, reason, detail) in cases {
        let (given, said) = rejected(decoder, payload);
        assert!(given.starts_with(reason), "{given}: {said}");
        assert!(said.contains(detail), "{said}");
        assert!(!said.starts_with("the message is JSON: EOF"), "{said}");
    }
}

#[test]
fn json_behind_a_registrys_prefix_is_read() {
    let mut plain = Decoder::try_new(&DocumentsConfig::default()).unwrap();
    let mut expecting = with_registry(PayloadFormat::Json, "http://localhost:1");
    for prefix in [b"\0\0\0\0\x07", GUID] {
        for (json, mended) in [
            ("{\"body\": \"text\"}", false),
            (" {\"body\": \"text\"}", false),
            ("[{\"body\": \"text\"}]", true),
        ] {
            let payload = [prefix, json.as_bytes()].concat();
            let document = expecting.decode(&payload).unwrap();
            assert_eq!(document.body.as_deref(), Some("text"));
            assert_eq!(document.warnings.iter().count(), usize::from(mended), "{json}");
            // Whoever does not say that there is a registry is told.
            let document = plain.decode(&payload).unwrap();
            assert_eq!(document.body.as_deref(), Some("text"));
            assert_eq!(document.warnings.iter().collect::<Vec<_>>(), [("json", "repaired")]);
        }
    }
    let document = expecting.decode(b"{\"body\": \"text\"}").unwrap();
    assert_eq!(document.warnings.iter().count(), 0, "an object without a prefix is read, too");
    let utf_16: Vec<u8> = "[\n{\"body\": \"text\"}]".encode_utf16().flat_map(u16::to_be_bytes).collect();
    assert_eq!(expecting.decode(&utf_16).unwrap().body.as_deref(), Some("text"));
}

#[test]
fn only_formats_with_a_prefix_or_a_schema_take_a_registry() {
    for (format, schema, url, is_fine) in [
        (PayloadFormat::Json, None, "http://r", true),
        (PayloadFormat::Json, Some("a.avsc"), "", false),
        (PayloadFormat::Json, Some("a.avsc"), "http://r", false),
        (PayloadFormat::Arrow, None, "http://r", false),
        (PayloadFormat::Bytes, None, "http://r", false),
        (PayloadFormat::Avro, None, "http://r", true),
        (PayloadFormat::Avro, Some("a.avsc"), "http://r", false),
    ] {
        let registry = RegistryConfig { url: url.into(), ..RegistryConfig::default() };
        let schema = schema.map(PathBuf::from);
        let config = DocumentsConfig { format, schema, registry, ..DocumentsConfig::default() };
        let mut problems = fenliu_config::Problems::default();
        config.check(false, &mut problems);
        assert_eq!(problems.problems.is_empty(), is_fine, "{format:?} {url}");
    }
}
