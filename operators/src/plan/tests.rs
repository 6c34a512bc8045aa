use super::*;
use arrow::compute::concat_batches;
use fenliu_schemas::{Document, Origin, RawBuilder, Reject, Stage, raw};
use proptest::prelude::*;

fn step(name: &str) -> Step {
    Step::Operator(name.to_owned())
}

fn column(column: &str, sql: &str) -> Step {
    Step::Column { column: column.to_owned(), sql: sql.to_owned() }
}

fn reject(reject: &str, when: &str) -> Step {
    Step::Reject { reject: reject.to_owned(), when: when.to_owned() }
}

fn with_steps(steps: Vec<Step>) -> CleanConfig {
    CleanConfig { steps, ..CleanConfig::default() }
}

fn plan(config: &CleanConfig) -> Plan {
    Plan::try_new(config, &raw::schema()).unwrap()
}

fn document<'a>(title: &'a str, body: &'a str) -> Document<'a> {
    Document { title: Some(title.into()), body: Some(body.into()), ..Document::default() }
}

fn batch(documents: &[Document<'_>]) -> RecordBatch {
    let mut builder = RawBuilder::default();
    for (offset, document) in (0..).zip(documents) {
        let origin = Origin { topic: "news", partition: 0, offset, timestamp_ms: None };
        builder.append(origin, "<p>原文</p>".as_bytes(), &Ok(document.clone()));
    }
    builder.finish().unwrap()
}

fn texts(rows: &RecordBatch, name: &str) -> Vec<Option<String>> {
    let column = rows.column_by_name(name).unwrap();
    column.as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect()
}

fn reasons(config: &CleanConfig, documents: &[Document<'_>]) -> Vec<Option<String>> {
    texts(&plan(config).run(&batch(documents)).unwrap(), "reject_reason")
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn the_default_steps_clean_title_and_body_and_set_the_language() {
    let documents = [
        document("臺灣　新聞１", "<p>總統&nbsp;發表</p><script>x</script><p>談話</p>"),
        Document { lang: Some("zh_CN".into()), ..document("Title", "English text") },
        Document { lang: Some("Chinese".into()), body: Some("央行降息".into()), ..Document::default() },
        Document::default(),
    ];
    let rows = plan(&CleanConfig::default()).run(&batch(&documents)).unwrap();
    assert_eq!(rows.schema(), raw::schema());
    assert_eq!(texts(&rows, "title"), [some("台湾 新闻1"), some("Title"), None, None]);
    assert_eq!(texts(&rows, "body")[0], some("总统 发表\n谈话"));
    // Chinese is declared of an English text, and not believed.
    assert_eq!(texts(&rows, "lang"), [some("zh"), some("en"), some("zh"), None]);
    assert_eq!(texts(&rows, "reject_reason"), [None, None, None, some("empty_text")]);
    assert_eq!(texts(&rows, "reject_stage")[3], some("clean"));
}

#[test]
fn decode_and_segment_apply_to_their_columns() {
    let config = with_steps(vec![step("decode_bytes"), step("strip_html"), step("segment")]);
    let rows = plan(&config).run(&batch(&[Document::default(), document("央行", "宣布降息")])).unwrap();
    assert_eq!(texts(&rows, "body"), [some("原文"), some("宣布降息")]);
    let tokens = rows.column_by_name("tokens").unwrap().as_list::<i32>().clone();
    assert_eq!(tokens.value(1).as_string::<i32>(), &StringArray::from(vec!["央行", "宣布", "降息"]));
    assert_eq!(rows.schema(), *plan(&config).schema());
}

#[test]
fn the_tokens_of_a_row_without_text_are_null() {
    let rows = plan(&with_steps(vec![step("segment")])).run(&batch(&[Document::default()])).unwrap();
    assert!(rows.column_by_name("tokens").unwrap().is_null(0));
}

#[test]
fn each_kind_of_rejection_has_its_reason_and_detail() {
    let config = CleanConfig {
        steps: vec![
            step("detect_lang"),
            reject("advert", "body LIKE '%广告%'"),
            column("year", "CAST(title AS INT)"),
        ],
        languages: vec!["zh".to_owned()],
        min_chars: 4,
        ..CleanConfig::default()
    };
    let documents = [
        document("2024", "央行宣布降息"),
        document("2024", "这是广告，快来买"),
        document("年份", "央行宣布降息"),
        document("1", " 央 \n 行 "),
        document("2024", "The central bank cut rates"),
    ];
    let rows = plan(&config).run(&batch(&documents)).unwrap();
    let expected = [None, some("advert"), some("clean_error"), some("empty_text"), some("language")];
    assert_eq!(texts(&rows, "reject_reason"), expected);
    let details = texts(&rows, "reject_detail");
    assert_eq!((&details[0], &details[1]), (&None, &None));
    let contains = |row: usize, part: &str| details[row].as_ref().is_some_and(|detail| detail.contains(part));
    assert!(contains(2, "CAST(title AS INT)") && contains(2, "年份"), "{details:?}");
    assert!(contains(3, "3 characters, at least 4 are required"), "{details:?}");
    assert!(contains(4, "`en` is not one of zh"), "{details:?}");
}

#[test]
fn a_row_keeps_its_first_reason_and_a_null_predicate_does_not_reject() {
    let steps =
        vec![reject("first", "title = 'a'"), reject("second", "body = 'b'"), reject("third", "url = 'c'")];
    let documents = [document("a", "b"), document("x", "b"), document("x", "y")];
    assert_eq!(reasons(&with_steps(steps), &documents), [some("first"), some("second"), None]);
}

#[test]
fn a_row_that_was_rejected_before_stays_as_it_is() {
    let mut builder = RawBuilder::default();
    let origin = Origin { topic: "news", partition: 0, offset: 7, timestamp_ms: None };
    let why = Reject::new(Stage::Decode, "invalid_json", Some("at 1".to_owned()));
    builder.append(origin, b"{oops", &Err(why));
    builder.append(origin, b"{}", &Ok(document("", "")));
    let rows = plan(&CleanConfig::default()).run(&builder.finish().unwrap()).unwrap();
    assert_eq!(texts(&rows, "reject_stage"), [some("decode"), some("clean")]);
    assert_eq!(texts(&rows, "reject_reason"), [some("invalid_json"), some("empty_text")]);
    assert_eq!(texts(&rows, "reject_detail")[0], some("at 1"));
}

#[test]
fn columns_are_added_or_replaced_and_existing_ones_keep_their_type() {
    let steps = vec![
        column("title", "substr(title, 1, 2)"),
        column("characters", "character_length(body)"),
        column("kind", "CASE WHEN characters > 3 THEN upper('long') ELSE 'short' END"),
        column("label", "characters"),
    ];
    let plan = plan(&with_steps(steps));
    let field = |name: &str| plan.schema().field_with_name(name).unwrap().data_type().clone();
    assert_eq!(
        (field("title"), field("kind"), field("label")),
        (DataType::Utf8, DataType::Utf8, DataType::Utf8)
    );
    let rows = plan.run(&batch(&[document("央行降息", "正文"), document("a", "正文很长")])).unwrap();
    assert_eq!(texts(&rows, "title"), [some("央行"), some("a")]);
    assert_eq!(texts(&rows, "kind"), [some("short"), some("LONG")]);
    assert_eq!(texts(&rows, "label"), [some("2"), some("4")]);
}

#[test]
fn a_row_on_which_sql_fails_keeps_its_old_value_and_the_others_get_the_new_one() {
    let config = with_steps(vec![column("title", "CAST(CAST(title AS INT) + 1 AS VARCHAR)")]);
    let documents: Vec<String> =
        (0..50).map(|row| if row % 17 == 3 { format!("x{row}") } else { row.to_string() }).collect();
    let documents: Vec<Document<'_>> = documents.iter().map(|title| document(title, "正文")).collect();
    let rows = plan(&config).run(&batch(&documents)).unwrap();
    for (row, title) in texts(&rows, "title").into_iter().enumerate() {
        let expected = if row % 17 == 3 { format!("x{row}") } else { (row + 1).to_string() };
        assert_eq!(title, Some(expected));
    }
    let rejected =
        texts(&rows, "reject_reason").into_iter().filter(|r| r.as_deref() == Some("clean_error")).count();
    assert_eq!(rejected, 3);
}

#[test]
fn every_problem_is_reported_at_once() {
    let config = CleanConfig {
        steps: vec![
            step("strip_htm"),
            column("payload", "body"),
            column("score", "1"),
            column("new", "missing_column + 1"),
            column("newer", "concat(new, 'x')"),
            column("a", "no_such_function(body)"),
            column("b", "count(body)"),
            column("c", "row_number() OVER ()"),
            column("d", "(SELECT 1)"),
            column("e", "random()"),
            column("f", "now()"),
            column("g", "body body body"),
            reject("Not OK", "true"),
            reject("number", "1 + 1"),
        ],
        languages: vec!["zh-Hans".to_owned()],
        user_dict: Some("missing.txt".into()),
        min_chars: 1,
        ..CleanConfig::default()
    };
    let problems = Plan::try_new(&config, &raw::schema()).unwrap_err();
    let text = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    let parts = [
        "`steps[0]` is `strip_htm`, which is not an operator; the operators are decode_bytes, strip_html",
        "`steps[1].column` is `payload`",
        "`steps[2].column` is `score`",
        "`steps[3].sql` has the SQL `missing_column + 1`: Schema error: No field named missing_column",
        "`no_such_function(body)`: Error during planning: Invalid function 'no_such_function'",
        "`count` is an aggregate",
        "`row_number` is a window function",
        "subquery",
        "`random` gives another value",
        "`now` gives another value",
        "`body body body`",
        "`steps[12].reject` is `Not OK`",
        "`steps[13].when` has the SQL `1 + 1`: Error during planning: a predicate must be boolean",
        "`languages` is `zh-Hans`, but must be an ISO 639-1 code",
        "no step sets `lang`",
        "missing.txt",
    ];
    for part in parts {
        assert!(text.contains(part), "{part}\nis not in:\n{text}");
    }
    assert_eq!(problems.len(), parts.len(), "{text}");
}

#[test]
fn an_input_without_the_columns_of_a_document_is_refused() {
    let schema = Schema::new(vec![Field::new("title", DataType::Int32, true)]);
    let problems = Plan::try_new(&with_steps(vec![]), &schema).unwrap_err();
    assert_eq!(problems.len(), 6);
    assert_eq!(problems[0].to_string(), "the input needs a column `title` of type Utf8, but it is Int32");
}

#[test]
fn a_batch_of_another_schema_is_refused() {
    let batch = batch(&[document("a", "b")]).project(&[0, 1]).unwrap();
    let error = plan(&CleanConfig::default()).run(&batch).unwrap_err();
    assert!(error.to_string().contains("topic Utf8, partition Int32]"), "{error}");
}

#[test]
fn an_empty_batch_gives_an_empty_batch() {
    let config = with_steps(vec![step("normalize"), column("x", "CAST(title AS INT)"), step("segment")]);
    let rows = plan(&config).run(&batch(&[])).unwrap();
    assert_eq!((rows.num_rows(), rows.schema()), (0, Arc::clone(plan(&config).schema())));
}

fn any_document() -> impl Strategy<Value = (Option<String>, Option<String>)> {
    let text = "(\\PC|臺|<p>|&lt;|　|9|\n){0,12}";
    (proptest::option::of(text), proptest::option::of(text))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_result_does_not_depend_on_where_batches_end(
        documents in proptest::collection::vec(any_document(), 0..12),
        cut in 0_usize..12,
    ) {
        let documents: Vec<Document<'_>> = documents
            .iter()
            .map(|(title, body)| Document {
                title: title.as_deref().map(Into::into),
                body: body.as_deref().map(Into::into),
                ..Document::default()
            })
            .collect();
        let plan = plan(&CleanConfig {
            steps: vec![
                step("strip_html"),
                step("normalize"),
                step("to_simplified"),
                step("detect_lang"),
                step("segment"),
                reject("long", "character_length(body) > 8"),
                column("number", "CAST(title AS INT)"),
            ],
            languages: vec!["zh".to_owned(), "und".to_owned()],
            ..CleanConfig::default()
        });
        let whole = batch(&documents);
        let cut = cut.min(documents.len());
        let parts = [whole.slice(0, cut), whole.slice(cut, documents.len() - cut)];
        let parts = parts.map(|part| plan.run(&part).unwrap());
        prop_assert_eq!(plan.run(&whole).unwrap(), concat_batches(plan.schema(), &parts).unwrap());
    }
}
