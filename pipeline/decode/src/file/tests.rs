use super::*;
use crate::config::DocumentsConfig;
use crate::decoder::Decoder;
use ::arrow::array::{ArrayRef, BinaryArray, Int64Array, RecordBatch, StringArray};
use ::arrow::ipc::CompressionType;
use ::arrow::ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
use ::parquet::arrow::ArrowWriter;
use proptest::prelude::*;
use std::io::{Cursor, Read, Write};

/// A file in memory.
#[derive(Debug)]
struct Bytes(String, Vec<u8>);

impl Input for Bytes {
    fn name(&self) -> &str {
        &self.0
    }

    fn length(&self) -> u64 {
        self.1.len() as u64
    }

    fn read_from(&self, offset: u64) -> std::io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(Cursor::new(self.1[offset as usize..].to_vec())))
    }
}

/// Numbers and payloads of rows, and what was left at the end.
type ReadRows = (Vec<(i64, String)>, Option<Rest>);

fn rules() -> FileRules {
    Decoder::for_files(&DocumentsConfig::default()).file_rules()
}

fn read_with(name: &str, bytes: &[u8], rules: &FileRules, first: i64) -> Result<ReadRows> {
    let mut rows = open(Arc::new(Bytes(name.into(), bytes.to_vec())), rules, first)?;
    let mut read = vec![];
    while let Some(row) = rows.next_row()? {
        read.push((row.number, String::from_utf8_lossy(row.content.payload()).into_owned()));
    }
    Ok((read, rows.rest()))
}

fn read(name: &str, bytes: &[u8]) -> Vec<(i64, String)> {
    read_with(name, bytes, &rules(), 0).unwrap().0
}

fn rows<const N: usize>(expected: [(i64, &str); N]) -> Vec<(i64, String)> {
    expected.map(|(number, text)| (number, text.to_owned())).to_vec()
}

/// Reading from any row on gives the rows that reading from the beginning gives from there on.
fn assert_resumes(name: &str, bytes: &[u8], rules: &FileRules) {
    let (all, _) = read_with(name, bytes, rules, 0).unwrap();
    let end = all.last().map_or(0, |row| row.0 + 1);
    for first in 0..=end {
        let (resumed, _) = read_with(name, bytes, rules, first).unwrap();
        let expected: Vec<_> = all.iter().filter(|row| row.0 >= first).cloned().collect();
        assert!(resumed == expected, "{name} from {first}");
    }
}

fn assert_resumes_at(name: &str, bytes: &[u8], firsts: &[i64]) {
    let (all, _) = read_with(name, bytes, &rules(), 0).unwrap();
    for &first in firsts {
        let (resumed, _) = read_with(name, bytes, &rules(), first).unwrap();
        assert!(resumed.iter().eq(all.iter().filter(|row| row.0 >= first)), "{name} from {first}");
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(vec![], flate2::Compression::default());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

fn packed(bytes: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut bzip2 = bzip2::write::BzEncoder::new(vec![], bzip2::Compression::fast());
    bzip2.write_all(bytes).unwrap();
    let mut xz = liblzma::write::XzEncoder::new(vec![], 1);
    xz.write_all(bytes).unwrap();
    vec![
        ("gz", gzip(bytes)),
        ("zst", zstd::encode_all(bytes, 1).unwrap()),
        ("bz2", bzip2.finish().unwrap()),
        ("xz", xz.finish().unwrap()),
    ]
}

fn batch() -> RecordBatch {
    RecordBatch::try_from_iter([
        ("id", Arc::new(Int64Array::from(vec![1, 2, 3])) as ArrayRef),
        ("TITLE", Arc::new(StringArray::from(vec![Some("新闻\n二"), None, Some("c")])) as ArrayRef),
        ("raw_html", Arc::new(StringArray::from(vec!["<p>", "<p>", "<p>"])) as ArrayRef),
    ])
    .unwrap()
}

fn parquet(batch: &RecordBatch) -> Vec<u8> {
    let mut writer = ArrowWriter::try_new(vec![], batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap()
}

const TABLE: [(i64, &str); 3] =
    [(0, r#"{"id":1,"TITLE":"新闻\n二"}"#), (1, r#"{"id":2}"#), (2, r#"{"id":3,"TITLE":"c"}"#)];

#[test]
fn lines_are_numbered_as_an_editor_would_from_zero() {
    let lines = "{\"body\":1}\r\n\n{broken\n{\"body\":2}\n";
    assert_eq!(
        read("a.jsonl", lines.as_bytes()),
        rows([(0, "{\"body\":1}"), (2, "{broken"), (3, "{\"body\":2}")])
    );
    assert_resumes("a.jsonl", lines.as_bytes(), &rules());
}

#[test]
fn a_last_line_without_a_break_counts_if_it_is_a_whole_object() {
    let (read, rest) = read_with("a.jsonl", b"{\"body\":1}\n{\"body\":2}", &rules(), 0).unwrap();
    assert_eq!((read.len(), rest), (2, None));
    let (read, rest) = read_with("a.jsonl", b"{\"body\":1}\n{\"body\":2, \"ti", &rules(), 0).unwrap();
    assert_eq!((read.len(), rest), (1, Some(Rest::Unfinished { bytes: 14 })));
    let csv = b"id,title\n1,a\n2,b";
    assert_eq!(read_with("a.csv", csv, &rules(), 0).unwrap().0.len(), 1);
    let taking = FileRules { takes_final_line: true, ..rules() };
    assert_eq!(read_with("a.csv", csv, &taking, 0).unwrap().0.len(), 2);
    let plain = FileRules { plain: true, ..rules() };
    assert_eq!(read_with("a.txt", b"one\ntwo", &plain, 0).unwrap().0, rows([(0, "one")]));
}

#[test]
fn compressed_files_are_read_whatever_their_names() {
    let lines = b"{\"body\":1}\n{\"body\":2}\n{\"body\":3}";
    for (ending, bytes) in packed(lines) {
        for name in [format!("a.jsonl.{ending}"), "a.jsonl".into(), "a".into()] {
            assert_eq!(read(&name, &bytes).len(), 3, "{name}");
        }
        assert_resumes("a.jsonl", &bytes, &rules());
        let cut = &bytes[..bytes.len() - 4];
        let (_, rest) = read_with("a.jsonl", cut, &rules(), 0).unwrap();
        assert!(matches!(rest, Some(Rest::Truncated)), "{ending}: {rest:?}");
    }
    let members = [gzip(b"{\"body\":1}\n{\"bo"), gzip(b"dy\":2}\n")].concat();
    assert_eq!(read("a.jsonl.gz", &members).len(), 2);
}

#[test]
fn text_in_other_encodings_is_read() {
    let text = "{\"title\":\"央行\"}\n{\"title\":\"b\"}\n";
    let utf16 = |mark: &[u8], to: fn(u16) -> [u8; 2]| -> Vec<u8> {
        mark.iter().copied().chain(text.encode_utf16().flat_map(to)).collect()
    };
    for bytes in [
        utf16(b"\xff\xfe", u16::to_le_bytes),
        utf16(b"\xfe\xff", u16::to_be_bytes),
        utf16(b"", u16::to_le_bytes),
        utf16(b"", u16::to_be_bytes),
        [b"\xef\xbb\xbf", text.as_bytes()].concat(),
    ] {
        assert_eq!(read("a.jsonl", &bytes), rows([(0, "{\"title\":\"央行\"}"), (1, "{\"title\":\"b\"}")]));
    }
    let lines =
        encoding_rs::GBK.encode("{\"title\":\"新闻标题 0\"}\n{\"title\":\"新闻标题 1\"}\n").0.into_owned();
    assert_eq!(
        read("a.jsonl", &lines),
        rows([(0, "{\"title\":\"新闻标题 0\"}"), (1, "{\"title\":\"新闻标题 1\"}")])
    );
    // Lines in other charsets beside some in UTF-8 are passed on as they are.
    let mixed = [&lines[..], "{\"title\":\"央行\"}\n".as_bytes()].concat();
    let mut found = open(Arc::new(Bytes("a.jsonl".into(), mixed.clone())), &rules(), 0).unwrap();
    let first = found.next_row().unwrap().unwrap();
    assert_eq!(first.content.payload(), mixed.split(|byte| *byte == b'\n').next().unwrap());
    let gbk = encoding_rs::GBK
        .encode("标题,正文\n央行宣布降息,中国人民银行今天宣布降低存款准备金率\n")
        .0
        .into_owned();
    assert_eq!(
        read("a.csv", &gbk),
        rows([(0, r#"{"标题":"央行宣布降息","正文":"中国人民银行今天宣布降低存款准备金率"}"#)])
    );
}

#[test]
fn json_of_any_layout_is_read() {
    let expected = rows([(0, "{\"title\":\"a]\"}"), (1, "{\"title\":\"b\\\"}\"}")]);
    for text in [
        "[{\"title\":\"a]\"},{\"title\":\"b\\\"}\"}]",
        " [\n {\"title\":\"a]\"},\n\n {\"title\":\"b\\\"}\"}\n]\n",
        "{\"status\":\"ok\",\"articles\":[{\"title\":\"a]\"},{\"title\":\"b\\\"}\"}]}",
        "{\n\"response\": {\"docs\": [{\"title\":\"a]\"}, {\"title\":\"b\\\"}\"}]}\n}",
    ] {
        assert_eq!(read("a.json", text.as_bytes()), expected, "{text}");
        assert_resumes("a.json", text.as_bytes(), &rules());
    }
    let pretty = "{\n  \"title\": \"a\"\n}\n{\n  \"title\": \"b\"\n}\n";
    assert_eq!(read("a.json", pretty.as_bytes()).len(), 2);
    assert_resumes("a.json", pretty.as_bytes(), &rules());
    let story = "{\n\"title\": \"a\", \"items\": [{\"title\": \"related\"}]\n}";
    assert_eq!(read("a.json", story.as_bytes()).len(), 1);
    let at = FileRules { records: Some("x.y".into()), ..rules() };
    let (read_at, _) = read_with("a.json", br#"{"title":"t","x":{"y":[{"title":"a"}]}}"#, &at, 0).unwrap();
    assert_eq!(read_at, rows([(0, "{\"title\":\"a\"}")]));
}

#[test]
fn an_unfinished_array_gives_its_whole_elements_and_a_broken_one_is_an_error() {
    let (read, rest) = read_with("a.json", b"[{\"id\":1},{\"id\":2},{\"id\"", &rules(), 0).unwrap();
    assert_eq!((read.len(), rest), (2, Some(Rest::Unfinished { bytes: 5 })));
    for text in ["[{\"id\":1}, oops, {\"id\":2}]", "[{\"id\":1}] {\"id\":2}", "[1, 2]"] {
        let error = read_with("a.json", text.as_bytes(), &rules(), 0).unwrap_err().to_string();
        assert!(error.contains("a.json") && error.contains("byte"), "{error}");
    }
}

#[test]
fn a_record_of_csv_may_have_line_breaks_and_its_number_is_that_of_the_record() {
    let csv = "id;标题;url\n1;\"a\nb; c\"\"d\";u\n2;;\n";
    assert_eq!(
        read("a.csv", csv.as_bytes()),
        rows([(0, r#"{"id":"1","标题":"a\nb; c\"d","url":"u"}"#), (1, r#"{"id":"2","标题":"","url":""}"#)])
    );
    assert_resumes("a.csv", csv.as_bytes(), &rules());
    assert_eq!(read("a.tsv", b"id\ttitle\n1\ta, b\n"), rows([(0, r#"{"id":"1","title":"a, b"}"#)]));
}

#[test]
fn tables_are_read_by_their_wanted_columns() {
    let batch = batch();
    let bytes = parquet(&batch);
    assert_eq!(read("a.parquet", &bytes), rows(TABLE));
    assert_resumes("a.parquet", &bytes, &rules());
    let all = read_with("a.parquet", &bytes, &FileRules::default(), 0).unwrap().0;
    assert!(all[0].1.contains("raw_html"));
    for compression in [None, Some(CompressionType::LZ4_FRAME), Some(CompressionType::ZSTD)] {
        let options = || IpcWriteOptions::default().try_with_compression(compression).unwrap();
        let mut file = FileWriter::try_new_with_options(vec![], &batch.schema(), options()).unwrap();
        file.write(&batch).unwrap();
        let file = file.into_inner().unwrap();
        let mut stream = StreamWriter::try_new_with_options(vec![], &batch.schema(), options()).unwrap();
        stream.write(&batch).unwrap();
        stream.write(&batch.slice(0, 1)).unwrap();
        let stream = stream.into_inner().unwrap();
        assert_eq!(read("a.arrow", &file), rows(TABLE));
        assert_eq!(read("a.arrow", &stream).len(), 4);
        assert_resumes("a.arrow", &file, &rules());
        assert_resumes("a.arrow", &stream, &rules());
        assert_eq!(read("a.arrow.gz", &gzip(&file)), rows(TABLE));
    }
}

#[test]
fn a_table_without_a_text_is_refused_with_the_columns_that_it_has() {
    let batch =
        RecordBatch::try_from_iter([("headword", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]).unwrap();
    let error = read_with("a.parquet", &parquet(&batch), &rules(), 0).unwrap_err().to_string();
    assert!(error.contains("a.parquet") && error.contains("headword"), "{error}");
    let error = read_with("a.csv", b"headword,b\n1,2\n", &rules(), 0).unwrap_err().to_string();
    assert!(error.contains("headword, b"), "{error}");
}

/// A writer that marks its bytes as text without looking at them.
fn parquet_with_broken_text(values: &[&[u8]]) -> Vec<u8> {
    use ::parquet::basic::{LogicalType, Repetition, Type as Physical};
    use ::parquet::data_type::{ByteArray, ByteArrayType};
    use ::parquet::file::writer::SerializedFileWriter;
    use ::parquet::schema::types::Type;
    let title = Type::primitive_type_builder("title", Physical::BYTE_ARRAY)
        .with_repetition(Repetition::REQUIRED)
        .with_logical_type(Some(LogicalType::String))
        .build()
        .unwrap();
    let schema = Type::group_type_builder("schema").with_fields(vec![Arc::new(title)]).build().unwrap();
    let mut writer = SerializedFileWriter::new(vec![], Arc::new(schema), Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let values: Vec<ByteArray> = values.iter().map(|value| value.to_vec().into()).collect();
    column.typed::<ByteArrayType>().write_batch(&values, None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.into_inner().unwrap()
}

#[test]
fn a_byte_that_is_not_utf8_costs_no_row_of_a_parquet_file() {
    let mut values: Vec<&[u8]> = vec![b"good"; 3000];
    values[1500] = b"b\xffd";
    values[2999] = b"\xc3";
    let bytes = parquet_with_broken_text(&values);
    let (rows, _) = read_with("a.parquet", &bytes, &rules(), 0).unwrap();
    let odd: Vec<_> = rows.iter().filter(|row| row.1 != r#"{"title":"good"}"#).collect();
    assert_eq!(rows.len(), 3000);
    assert_eq!(odd.iter().map(|row| row.0).collect::<Vec<_>>(), [1500, 2999]);
    assert_resumes_at("a.parquet", &bytes, &[0, 1499, 1501, 2999, 3000]);
}

#[test]
fn plain_bytes_are_text_and_never_hexadecimal() {
    let gbk = encoding_rs::GBK.encode("央行宣布降低存款准备金率，市场反应平稳").0.into_owned();
    let batch = RecordBatch::try_from_iter([(
        "body",
        Arc::new(BinaryArray::from(vec!["新闻".as_bytes(), &gbk])) as ArrayRef,
    )])
    .unwrap();
    assert_eq!(
        read("a.parquet", &parquet(&batch)),
        rows([(0, r#"{"body":"新闻"}"#), (1, r#"{"body":"央行宣布降低存款准备金率，市场反应平稳"}"#)])
    );
}

#[test]
fn a_file_that_is_not_read_is_named_with_what_it_may_be() {
    for (name, bytes, said) in [
        ("b.xlsx", &b"PK\x03\x04\x14"[..], "ZIP"),
        ("b.pdf", b"%PDF-1.7", "PDF"),
        ("b.txt", b"plain words", "unknown kind"),
        ("b.xml", b"<?xml version='1.0'?><rss/>", "XML"),
        ("b.jsonl", b"id,title\n1,a\n", "is not JSON"),
        ("index.jsonl", b"{\"id\":1,\"charset\":\"big5\"}\n", "the fields are charset, id"),
    ] {
        let error = read_with(name, bytes, &rules(), 0).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(said), "{error}");
    }
}

#[test]
fn a_web_archive_gives_its_pages() {
    let page = "<html lang=\"zh\"><head><title>央行&amp;降息</title>\
        <meta property=\"article:published_time\" content=\"2023-11-14T22:13:20Z\"></head><body><p>正文</p></body></html>";
    let http = format!("HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n{page}");
    let record = |kind: &str, uri: &str, block: &str| {
        format!(
            "WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <urn:uuid:1>\r\nWARC-Target-URI: {uri}\r\n\
             Content-Length: {}\r\n\r\n{block}\r\n\r\n",
            block.len()
        )
    };
    let missing = http.replace("200 OK", "404 Not Found");
    let records = [
        record("warcinfo", "", "software: x"),
        record("response", "https://news.example/a", &http),
        record("response", "https://news.example/b", &missing),
        record("response", "https://news.example/c", &http),
    ];
    let members: Vec<u8> = records.iter().flat_map(|record| gzip(record.as_bytes())).collect();
    let found = read("a.warc.gz", &members);
    assert_eq!(found.iter().map(|row| row.0).collect::<Vec<_>>(), [1, 3]);
    let first: serde_json::Value = serde_json::from_str(&found[0].1).unwrap();
    assert_eq!(first["title"], "央行&降息");
    assert_eq!(first["body"], "正文");
    assert_eq!(first["url"], "https://news.example/a");
    assert_eq!(first["source"], "news.example");
    assert_eq!(first["published_at"], "2023-11-14T22:13:20Z");
    assert_eq!(first["lang"], "zh");
    assert_resumes("a.warc.gz", &members, &rules());
    let (_, rest) = read_with("a.warc.gz", &members[..members.len() - 30], &rules(), 0).unwrap();
    assert_eq!(rest, Some(Rest::Truncated));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_give_rows_or_an_error(
        magic in prop::sample::select(vec![
            &b""[..], b"PAR1", b"ARROW1\0\0", b"\xff\xff\xff\xff", b"Obj\x01", b"WARC/1.0\r\n", b"\x1f\x8b\x08",
            b"\x28\xb5\x2f\xfd", b"BZh9", b"\xfd7zXZ\0", b"[", b"{", b"\xff\xfe", b"a,title\n",
        ]),
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        name in prop::sample::select(vec!["a.jsonl", "a.csv", "a.parquet", "a"]),
    ) {
        let bytes = [magic, &bytes].concat();
        let _ = read_with(name, &bytes, &rules(), 0);
    }

    #[test]
    fn lines_come_back_from_any_row_on(lines in prop::collection::vec("\\{\"body\":[0-9]{1,3}\\}|", 1..12), pack in any::<bool>()) {
        let text = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
        let bytes = if pack { gzip(text.as_bytes()) } else { text.into_bytes() };
        assert_resumes("a.jsonl", &bytes, &rules());
    }
}
