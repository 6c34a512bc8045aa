//! Object stores by the address of a bucket: S3 and what speaks like it, Google Cloud Storage, and Azure.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use fenliu_config::Properties;
use fenliu_engine::{Error, Result};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::{Error as StoreError, ObjectStore, RetryConfig};

/// How long the library repeats a request. After that the error goes to the pipeline, which has its own pauses between
/// attempts.
const PATIENCE: Duration = Duration::from_secs(30);

/// The store of any kind at `url`, for reading. `storage` takes precedence over the environment variables of the kind
/// (`AWS_...`, `GOOGLE_...`, `AZURE_...`).
///
/// # Errors
/// An invalid address or option.
pub(super) fn any(url: &str, storage: &Properties) -> Result<Arc<dyn ObjectStore>> {
    match url.split_once("://").map_or("", |(scheme, _)| scheme) {
        "gs" => google(url, storage),
        "az" | "azure" | "abfs" | "abfss" => azure(url, storage),
        _ => Ok(Arc::new(s3(url, storage)?)),
    }
}

/// The store at `url`. `storage` takes precedence over the environment variables `AWS_...`.
///
/// # Errors
/// An invalid address or option.
pub(super) fn s3(url: &str, storage: &Properties) -> Result<AmazonS3> {
    let builder = AmazonS3Builder::from_env().with_url(url).with_retry(retry());
    let set = |builder: AmazonS3Builder, key, value: &str| builder.with_config(key, value);
    configured(url, builder, storage, set)?.build().map_err(refused(url))
}

fn google(url: &str, storage: &Properties) -> Result<Arc<dyn ObjectStore>> {
    let builder = GoogleCloudStorageBuilder::from_env().with_url(url).with_retry(retry());
    let set = |builder: GoogleCloudStorageBuilder, key, value: &str| builder.with_config(key, value);
    Ok(Arc::new(configured(url, builder, storage, set)?.build().map_err(refused(url))?))
}

fn azure(url: &str, storage: &Properties) -> Result<Arc<dyn ObjectStore>> {
    let builder = MicrosoftAzureBuilder::from_env().with_url(url).with_retry(retry());
    let set = |builder: MicrosoftAzureBuilder, key, value: &str| builder.with_config(key, value);
    Ok(Arc::new(configured(url, builder, storage, set)?.build().map_err(refused(url))?))
}

/// `builder` with all options of `storage`, whose names are keys of the kind.
fn configured<B, K: FromStr<Err = StoreError>>(
    url: &str,
    builder: B,
    storage: &Properties,
    set: impl Fn(B, K, &str) -> B,
) -> Result<B> {
    storage.iter().try_fold(builder, |builder, (name, value)| {
        Ok(set(builder, K::from_str(name).map_err(refused(url))?, value))
    })
}

fn retry() -> RetryConfig {
    RetryConfig { retry_timeout: PATIENCE, ..RetryConfig::default() }
}

fn refused(url: &str) -> impl Fn(StoreError) -> Error {
    move |error| Error::usage(format!("{url}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(url: &str, option: &str) -> String {
        let storage = Properties::from([(option.to_string(), "x".to_string())]);
        any(url, &storage).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn options_are_those_of_the_kind() {
        for (url, known, unknown) in [
            ("s3://bucket", "region", "google_service_account"),
            ("gs://bucket", "google_base_url", "aws_region"),
            ("az://container", "azure_storage_account_name", "aws_region"),
        ] {
            assert_eq!(problem(url, unknown).split(':').next(), url.split(':').next(), "{url}");
            assert!(problem(url, unknown).contains(unknown), "{url}: {}", problem(url, unknown));
            assert!(!problem(url, known).contains("not known"), "{url}: {}", problem(url, known));
        }
    }
}
