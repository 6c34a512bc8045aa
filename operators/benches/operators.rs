//! Every operator over `Utf8` and `Utf8View` columns of short, medium and long texts, in bytes per second.
//!
//! Each text gives its operator work to do. The benchmarks named `clean` run on a text that needs no change.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run has nothing to measure")]

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use datafusion_common::config::ConfigOptions;
use datafusion_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};

/// Text in one batch.
const BATCH_BYTES: usize = 256 << 10;

const TEXT_BYTES: [(&str, usize); 3] = [("32B", 32), ("1kB", 1 << 10), ("16kB", 16 << 10)];

const CLEAN: &str = "新华社北京电，记者从国家统计局获悉，今年一季度国内生产总值同比增长百分之五。\n";

/// The text that the input of an operator repeats.
fn sample(operator: &str) -> &'static str {
    match operator {
        "strip_html" | "extract_main" => "<p class=\"a\">央行&nbsp;宣布<b>降息</b></p>\n",
        "normalize" => "　　中国人民银行１月１日宣布  降息ＬＰＲ，市场反应积极。\n",
        "to_simplified" => "臺灣氣象局今日發布天氣預報，明天有雨。",
        _ => CLEAN,
    }
}

/// A column of `BATCH_BYTES` bytes of text, in rows of about `text_bytes` bytes.
fn column(text: &str, text_bytes: usize, data_type: &DataType) -> ArrayRef {
    let repeated = text.repeat(text_bytes / text.len() + 1);
    let row = &repeated[..repeated.floor_char_boundary(text_bytes)];
    let array: ArrayRef = Arc::new(StringArray::from(vec![row; BATCH_BYTES / text_bytes]));
    cast(&array, data_type).unwrap()
}

fn call(function: &ScalarUDF, column: &ArrayRef) -> ColumnarValue {
    let return_type = function.return_type(&[column.data_type().clone()]).unwrap();
    let args = ScalarFunctionArgs {
        args: vec![ColumnarValue::Array(Arc::clone(column))],
        arg_fields: vec![Arc::new(Field::new("text", column.data_type().clone(), true))],
        number_rows: column.len(),
        return_field: Arc::new(Field::new("result", return_type, true)),
        config_options: Arc::new(ConfigOptions::default()),
    };
    function.invoke_with_args(args).unwrap()
}

fn bench_operator(criterion: &mut Criterion, name: &str, function: &ScalarUDF, text: &str) {
    let layouts = match function.name() {
        "decode_bytes" => [("Binary", DataType::Binary), ("BinaryView", DataType::BinaryView)],
        _ => [("Utf8", DataType::Utf8), ("Utf8View", DataType::Utf8View)],
    };
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Bytes(BATCH_BYTES as u64));
    for (layout, data_type) in &layouts {
        for (size, text_bytes) in TEXT_BYTES {
            let column = column(text, text_bytes, data_type);
            group.bench_with_input(BenchmarkId::new(*layout, size), &column, |bencher, column| {
                bencher.iter(|| call(function, column));
            });
        }
    }
    group.finish();
}

fn bench_all(criterion: &mut Criterion) {
    for function in fenliu_operators::functions() {
        let name = function.name().to_owned();
        bench_operator(criterion, &name, &function, sample(&name));
        if sample(&name) != CLEAN {
            bench_operator(criterion, &format!("{name}/clean"), &function, CLEAN);
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = bench_all
}
criterion_main!(benches);
