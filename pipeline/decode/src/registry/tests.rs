//! A registry that answers, refuses, is away or lacks a schema.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};

use super::*;
use crate::avro::AvroSchema;
use crate::names::FieldNames;
use crate::protobuf::ProtobufSchema;

const STORY: &str = r#"{"schema": "{\"type\": \"record\", \"name\": \"S\", \"fields\": [{\"name\": \"body\", \"type\": \"string\"}]}"}"#;

/// Answers one request after the other, and hands out their heads.
pub(crate) fn serve(answers: Vec<(u16, &'static str)>) -> (RegistryConfig, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (sender, requests) = channel();
    std::thread::spawn(move || {
        for (status, body) in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(|line| line.ok());
            let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            sender.send(head.join("\n")).unwrap();
            let length = body.len();
            let answer =
                format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    (RegistryConfig { url, ..RegistryConfig::default() }, requests)
}

fn find(registry: &mut SchemaRegistry<AvroSchema>, number: u32) -> Result<(), Undecoded> {
    find_id(registry, SchemaId::Number(number))
}

fn find_id<S: Schema>(registry: &mut SchemaRegistry<S>, id: SchemaId) -> Result<(), Undecoded> {
    registry.find(id, &Fields::new(&FieldNames::default())).map(drop)
}

fn rejected(answer: Result<(), Undecoded>) -> (String, String) {
    match answer {
        Err(Undecoded::Reject(reject)) => (reject.reason.into_owned(), reject.detail.unwrap()),
        other => panic!("{other:?}"),
    }
}

fn reason(answer: Result<(), Undecoded>) -> String {
    rejected(answer).0
}

#[test]
fn a_schema_is_asked_for_once_and_with_the_password() {
    let missing = r#"{"error_code": 40403, "message": "Schema not found"}"#;
    let json = r#"{"schemaType": "JSON", "schema": "{}"}"#;
    let (config, requests) = serve(vec![(200, STORY), (404, missing), (200, json)]);
    let config = RegistryConfig { username: "news".into(), password: "hunter2".into(), ..config };
    let mut registry = SchemaRegistry::new(&config);
    for _ in 0..3 {
        find(&mut registry, 7).unwrap();
        assert_eq!(reason(find(&mut registry, 8)), "unknown_schema");
        assert_eq!(reason(find(&mut registry, 9)), "schema_incompatible");
    }
    let requests: Vec<String> = requests.iter().collect();
    let paths: Vec<&str> = requests.iter().filter_map(|head| head.split(' ').nth(1)).collect();
    assert_eq!(paths, ["/schemas/ids/7", "/schemas/ids/8", "/schemas/ids/9"]);
    assert!(requests[0].to_lowercase().contains("authorization: basic bmv3czpodw50zxiy"), "{requests:?}");
}

/// The answer with `schema`, which is of the type `kind` and refers to `references`: name, subject and version.
fn answer(kind: &str, schema: &str, references: &[(&str, &str, u32)]) -> &'static str {
    let references: Vec<_> = references
        .iter()
        .map(|(name, subject, version)| serde_json::json!({ "name": name, "subject": subject, "version": version }))
        .collect();
    let answer = serde_json::json!({ "schemaType": kind, "schema": schema, "references": references });
    answer.to_string().leak()
}

fn paths(requests: &Receiver<String>) -> Vec<String> {
    requests.iter().filter_map(|head| Some(head.split(' ').nth(1)?.to_owned())).collect()
}

#[test]
fn what_avro_schemas_refer_to_is_fetched_once() {
    let record = |name: &str, fields: &[(&str, &str)]| {
        let fields: Vec<_> =
            fields.iter().map(|(name, kind)| serde_json::json!({ "name": name, "type": kind })).collect();
        serde_json::json!({ "type": "record", "name": name, "fields": fields }).to_string()
    };
    let text = ("news.Text", "news/text", 1);
    let story = record("S", &[("head", "news.Head"), ("body", "news.Text")]);
    let head = record("news.Head", &[("line", "news.Text")]);
    let (config, requests) = serve(vec![
        (200, answer("AVRO", &story, &[text, ("news.Head", "news/head", 2)])),
        (200, answer("AVRO", &head, &[text])),
        (200, answer("AVRO", &record("news.Text", &[("string", "string")]), &[])),
    ]);
    find(&mut SchemaRegistry::new(&config), 7).unwrap();
    let wanted = [
        "/schemas/ids/7",
        "/subjects/news%2Fhead/versions/2?deleted=true",
        "/subjects/news%2Ftext/versions/1?deleted=true",
    ];
    assert_eq!(paths(&requests), wanted);
}

#[test]
fn what_protobuf_schemas_refer_to_is_fetched_once() {
    let text = ("news/text.proto", "text", 1);
    let story = r#"syntax = "proto3"; import "news/head.proto"; import "news/text.proto";
        message S { news.Head head = 1; news.Text body = 2; }"#;
    let head = r#"syntax = "proto3"; package news; import "news/text.proto"; import "google/type/date.proto";
        message Head { Text line = 1; google.type.Date day = 2; }"#;
    let (config, requests) = serve(vec![
        (200, answer("PROTOBUF", story, &[text, ("news/head.proto", "head", 2)])),
        (200, answer("PROTOBUF", head, &[text])),
        (
            200,
            answer("PROTOBUF", r#"syntax = "proto3"; package news; message Text { string value = 1; }"#, &[]),
        ),
    ]);
    let mut registry = SchemaRegistry::<ProtobufSchema>::new(&config);
    find_id(&mut registry, SchemaId::Number(7)).unwrap();
    assert_eq!(requests.iter().count(), 3);
}

#[test]
fn a_reference_that_is_missing_is_named() {
    let missing = r#"{"error_code": 40402, "message": "Version not found"}"#;
    let story = answer("AVRO", "{}", &[("news.Head", "news-head", 2)]);
    let (config, _requests) = serve(vec![(200, story), (404, missing)]);
    let wanted = "the registry has no version 2 of `news-head`, which schema 7 refers to as `news.Head`";
    let (reason, detail) = rejected(find(&mut SchemaRegistry::new(&config), 7));
    assert_eq!((reason.as_str(), detail.as_str()), ("unknown_schema", wanted));
}

#[test]
fn a_schema_is_found_by_guid_where_the_registry_does_that() {
    let id = |last: u8| {
        SchemaId::Guid([
            0x89, 0x79, 0x17, 0x62, 0x23, 0x36, 0x41, 0x86, 0x96, 0x74, 0x29, 0x9b, 0x90, 0xa8, 2, last,
        ])
    };
    let path = |last: &str| format!("/schemas/guids/89791762-2336-4186-9674-299b90a802{last}");
    let (config, requests) = serve(vec![
        (200, STORY),
        (404, r#"{"error_code": 40403, "message": "Schema not found"}"#),
        // Registries that do not know the request.
        (404, r#"{"message": "Not found", "code": 404}"#),
        (405, ""),
        (422, r#"{"error_code": 422, "message": "not a number"}"#),
        (501, ""),
        (503, ""),
    ]);
    let mut registry = SchemaRegistry::<AvroSchema>::new(&config);
    for _ in 0..2 {
        find_id(&mut registry, id(0)).unwrap();
    }
    for last in 1..6 {
        let (reason, detail) = rejected(find_id(&mut registry, id(last)));
        assert_eq!(reason, "unknown_schema");
        assert!(
            detail.contains("299b90a8020") && detail.contains("does not find schemas by GUID"),
            "{detail}"
        );
    }
    assert!(matches!(find_id(&mut registry, id(6)), Err(Undecoded::Wait)));
    assert_eq!(paths(&requests), ["00", "01", "02", "03", "04", "05", "06"].map(path));
}

#[test]
fn an_outage_is_waited_for_and_a_refusal_is_not() {
    let (config, requests) = serve(vec![(503, ""), (200, STORY), (401, "")]);
    let mut registry = SchemaRegistry::new(&config);
    assert!(matches!(find(&mut registry, 7), Err(Undecoded::Wait)));
    while matches!(find(&mut registry, 7), Err(Undecoded::Wait)) {
        std::thread::sleep(Duration::from_millis(5));
    }
    find(&mut registry, 7).unwrap();
    match find(&mut registry, 8) {
        Err(Undecoded::Failed(error)) => {
            let error = error.to_string();
            assert!(
                error.contains(config.url.trim_end_matches('/')) && error.contains("username"),
                "{error}"
            );
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(requests.iter().count(), 3, "waiting asks nothing");
}
