//! A bucket of what speaks like S3, conditional `PUT` included: moto, a child process of the second readers'
//! Python, which keeps objects in memory.

use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::proxy::{Proxy, http_request};
use crate::readers::{self, Server};

const START_TIMEOUT: Duration = Duration::from_secs(120);

/// A running store with one empty bucket.
#[derive(Debug)]
pub struct Bucket {
    endpoint: String,
    proxy: Proxy,
    _process: Server,
}

impl Bucket {
    /// Its name.
    pub const NAME: &str = "lake";

    /// Starts a store. Any key and secret will do.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start() -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let serve = "import moto.server, sys; moto.server.main(['-H', '127.0.0.1', '-p', sys.argv[1]])";
        let process = readers::start(serve, &[&port.to_string()])?;
        let deadline = Instant::now() + START_TIMEOUT;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            ensure!(Instant::now() < deadline, "moto does not start");
            thread::sleep(Duration::from_millis(100));
        }
        let endpoint = format!("http://127.0.0.1:{port}");
        let make = "import boto3, sys\n\
            keys = dict(region_name='us-east-1', aws_access_key_id='key', aws_secret_access_key='secret')\n\
            boto3.client('s3', endpoint_url=sys.argv[1], **keys).create_bucket(Bucket=sys.argv[2])\n\
            print('null')";
        readers::python(make, &[&endpoint, Self::NAME])?;
        let proxy = Proxy::start(port, http_request)?;
        Ok(Bucket { endpoint, proxy, _process: process })
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
