//! Nothing lost and nothing twice in files in a bucket, whatever dies and whichever request is lost. boto3 and pyarrow
//! read them in two ways, by a pattern of names and by the manifests.

use std::time::Duration;

use fenliu_tests::bucket::Bucket;
use fenliu_tests::proxy::Fate;
use fenliu_tests::readers::python;
use fenliu_tests::{binary, kafka};

use crate::fixtures::{PATIENCE, articles, config, fails, json, run, stop};
use crate::job::{Counts, Job, randomness};
use crate::network::lose_requests_to;
use crate::outages::{expire_keys, outage};

/// Steps at which the process can be made to die.
const STEPS: [&str; 4] = ["files-staged", "files-before-manifest", "files-after-manifest", "files-named"];

/// Labelled rows in the bucket at `endpoint`.
fn sinks(endpoint: &str) -> String {
    let sink = r#"
        [[sinks]]
        type = "files"
        path = "s3://lake/news/labelled"
        columns = ["partition", "\"offset\"", "label"]
        partition_by = ["label"]
        max_age = "300ms"
        [sinks.storage]
    "#;
    format!("{sink}{}", storage(endpoint))
}

/// How to reach the bucket.
fn storage(endpoint: &str) -> String {
    let options = r#"
        endpoint = "ENDPOINT"
        region = "us-east-1"
        access_key_id = "key"
        secret_access_key = "secret"
        allow_http = true
    "#;
    options.replace("ENDPOINT", endpoint)
}

/// The places in the files that the Python function `names(keys, text)` selects of all keys; `text(key)` is a small
/// object's content.
fn read(job: &Job, bucket: &Bucket, function: &str) -> Counts {
    let reader = r"
import boto3, io, json, pyarrow.parquet
keys = dict(region_name='us-east-1', aws_access_key_id='key', aws_secret_access_key='secret')
store = boto3.resource('s3', endpoint_url='ENDPOINT', **keys).Bucket('lake')
content = lambda key: store.Object(key).get()['Body'].read()
rows = []
for name in names({object.key for object in store.objects.all()}, content):
    table = pyarrow.parquet.ParquetFile(io.BytesIO(content(name))).read(['partition', 'offset'])
    rows += zip(table['partition'].to_pylist(), table['offset'].to_pylist())
print(json.dumps(rows))
";
    job.read_by(&format!("{function}{}", reader.replace("ENDPOINT", bucket.endpoint())))
}

fn by_names(job: &Job, bucket: &Bucket) -> Counts {
    read(
        job,
        bucket,
        r"
import fnmatch
def names(keys, text):
    return fnmatch.filter(keys, 'news/labelled/label=*/*.parquet')
",
    )
}

fn by_manifests(job: &Job, bucket: &Bucket) -> Counts {
    read(
        job,
        bucket,
        r"
import json
def names(keys, text):
    root = 'news/labelled/'
    log = [json.loads(text(key)) for key in keys if key.startswith(root + '_manifests/')]
    removed = {name for entry in log for name in entry.get('removed', [])}
    files = {file['name'] for entry in log for file in entry['files']} - removed
    hidden = lambda name: f'{root}.{name.rsplit(chr(47))[-1]}.inprogress'
    return [root + name if root + name in keys else hidden(name) for name in files]
",
    )
}

fn check(job: &Job, bucket: &Bucket, name: &str) {
    job.check(name, &[("names", by_names(job, bucket)), ("manifests", by_manifests(job, bucket))]);
    let finished = binary::run(&["verify", "-c", job.config(), "--json"], PATIENCE).unwrap();
    let report = json(&finished.stdout);
    assert_eq!(report["ok"], true, "{report}");
    assert_eq!(report["sinks"][0]["total"]["documents"], job.sent, "{report}");
}

#[test]
fn killed_at_every_step_they_lose_nothing_and_repeat_nothing() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let bucket = Bucket::start().unwrap();
    let mut job = Job::new(broker, 500, &sinks(bucket.endpoint()));
    let done = job.die_at(&STEPS, STEPS.len() as u64);
    check(&job, &bucket, &done);
}

/// The store may have done what it does not confirm. It is asked again, and then says that what is to be made is
/// there and what is to be renamed is not. `FENLIU_OUTAGE` is how long nothing arrives at last, in seconds.
#[test]
fn requests_and_answers_that_are_lost_lose_no_row_and_repeat_none() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let bucket = Bucket::start().unwrap();
    let mut job = Job::new(broker, 1_000, &sinks(&format!("http://{}", bucket.proxy().address())));
    let (rounds, random) = randomness(15);
    let lost = lose_requests_to(&bucket, random, "_manifests");
    let running = job.start(Some("a"), "", &[]);
    for _ in 0..rounds {
        job.send(200);
        std::thread::sleep(Duration::from_millis(500));
    }
    // Nothing arrives, for longer than a request is repeated.
    bucket.proxy().judge(|_| Fate::NoEffect);
    job.send(500);
    std::thread::sleep(outage(20));
    bucket.proxy().judge(|_| Fate::Passes);
    job.wait_until_committed(job.sent);
    let stopped = stop(running);
    let tries = stopped.events("retrying");
    println!("requests lost: {:?}; {tries} tries failed", lost.lock().unwrap());
    assert!(tries > 0, "{}", stopped.stderr);
    check(&job, &bucket, "requests and answers lost");
}

#[test]
fn keys_that_expired_are_waited_for() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let bucket = Bucket::start().unwrap();
    let mut job = Job::new(broker, 1_000, &sinks(&format!("http://{}", bucket.proxy().address())));
    expire_keys(&bucket, &mut job);
    check(&job, &bucket, "keys expired");
}

#[test]
fn dead_letters_lie_there_and_are_read_back() {
    let bucket = Bucket::start().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let rows: Vec<_> = articles(200).iter().map(ToString::to_string).collect();
    let text = format!("{}\n{{\"broken\n{{\"body\": true}}\n", rows.join("\n"));
    std::fs::write(directory.path().join("rows.jsonl"), text).unwrap();
    let text = r#"
        [source]
        type = "files"
        paths = ["DIR/rows.jsonl"]
        [[sinks]]
        type = "files"
        path = "s3://lake/desk/labelled"
        format = "jsonl"
        [sinks.storage]
        STORAGE
        [dead_letters]
        type = "files"
        path = "s3://lake/desk/dead"
        [dead_letters.storage]
        STORAGE
    "#;
    let config = config(directory.path(), &text.replace("STORAGE", &storage(bucket.endpoint())));
    run(&["run", "-c", &config]);
    let letters = json(&run(&["dlq", "-c", &config, "--json", "list"]));
    assert_eq!(letters["total"], 2, "{letters}");
    run(&["verify", "-c", &config]);
}

#[test]
fn objects_are_read_as_files_are_and_a_replaced_one_is_noticed() {
    let bucket = Bucket::start().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let put = |key: &str, text: &str| {
        let code = r"
import boto3, gzip, sys
keys = dict(region_name='us-east-1', aws_access_key_id='key', aws_secret_access_key='secret')
store = boto3.client('s3', endpoint_url=sys.argv[1], **keys)
body = sys.argv[3].encode()
store.put_object(Bucket='lake', Key=sys.argv[2], Body=gzip.compress(body) if sys.argv[2].endswith('.gz') else body)
print(0)
";
        python(code, &[bucket.endpoint(), key, text]).unwrap();
    };
    put("in/day=1/a.jsonl", "{\"id\":\"a\",\"title\":\"A\"}\n{\"id\":\"b\",\"title\":\"B\"}\n");
    put("in/day=1/c.jsonl.gz", "{\"id\":\"c\",\"title\":\"C\"}\n");
    put("in/day=1/_SUCCESS", "");
    put("in/d.csv", "id,title\nd,D\n");
    let text = r#"
        [source]
        type = "files"
        paths = ["s3://lake/in"]
        [source.storage]
        STORAGE
        [[sinks]]
        type = "files"
        path = "DIR/rows"
        format = "jsonl"
        columns = ["id", "topic"]
        [dead_letters]
        path = "DIR/dead"
    "#;
    let config = config(directory.path(), &text.replace("STORAGE", &storage(bucket.endpoint())));
    let summary = json(&run(&["run", "-c", &config, "--json"]));
    assert_eq!(summary["labelled"], 4, "{summary}");
    assert_eq!(json(&run(&["run", "-c", &config, "--json"]))["documents"], 0);
    run(&["verify", "-c", &config]);
    put("in/d.csv", "id,title\ne,E\n");
    let error = fails(&["run", "-c", &config], 1);
    assert!(error.contains("s3://lake/in/d.csv") && error.contains("source.replaced"), "{error}");
}
