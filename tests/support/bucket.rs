//! A bucket of what speaks like S3, conditional `PUT` included: moto, a child process of the second readers'
//! Python, which keeps objects in memory.

use anyhow::Result;
use tempfile::TempDir;

use crate::proxy::{Proxy, http_request};
use crate::readers::{self, Server};

/// Makes the empty bucket, too.
const SERVE: &str = r#"
import boto3, os, sys, threading
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
port = server.get_host_and_port()[1]
keys = dict(region_name="us-east-1", aws_access_key_id="key", aws_secret_access_key="secret")
boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}", **keys).create_bucket(Bucket="lake")
with open(f"{sys.argv[1]}/port.new", "w") as file:
    file.write(str(port))
os.rename(f"{sys.argv[1]}/port.new", f"{sys.argv[1]}/port")
threading.Event().wait()
"#;

/// A running store with one empty bucket.
#[derive(Debug)]
pub struct Bucket {
    endpoint: String,
    proxy: Proxy,
    _process: Server,
    _directory: TempDir,
}

impl Bucket {
    /// Starts a store with the bucket `lake`. Any key and secret will do.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start() -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let (process, port) = readers::serve(SERVE, directory.path())?;
        let proxy = Proxy::start(port, http_request)?;
        Ok(Bucket {
            endpoint: format!("http://127.0.0.1:{port}"),
            proxy,
            _process: process,
            _directory: directory,
        })
    }

    /// Its address, `http://host:port`.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The proxy before it, for clients that are to be disturbed.
    #[must_use]
    pub fn proxy(&self) -> &Proxy {
        &self.proxy
    }
}
