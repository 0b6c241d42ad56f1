//! S3 servers that the tests start themselves, and a plain client to prepare and to inspect buckets.

use std::ffi::OsStr;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use obbackup::config::{RepositorySection, Secret};

use super::programs::cache;
use super::warden::Warden;

pub const ACCESS_KEY: &str = "obbackup-tests";
pub const SECRET_KEY: &str = "a secret of the tests";
pub const REGION: &str = "us-east-1";

/// Which implementation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Versitygw,
    Minio,
}

impl Kind {
    fn program(self) -> PathBuf {
        cache().join("bin").join(match self {
            Self::Versitygw => "versitygw",
            Self::Minio => "minio",
        })
    }
}

/// A running server.
#[derive(Debug)]
pub struct S3Server {
    port: u16,
    warden: Warden,
}

impl S3Server {
    /// Starts a server of its own, or says why there is none.
    pub fn start(kind: Kind) -> Result<Self, String> {
        let program = kind.program();
        if !program.exists() {
            return Err(format!(
                "there is no {kind:?} here: run tests/support/setup.sh"
            ));
        }
        let home = tempfile::Builder::new()
            .prefix("obb-s3-")
            .tempdir()
            .unwrap()
            .keep();
        let port = TcpListener::bind(("127.0.0.1", 0))
            .and_then(|listener| listener.local_addr())
            .unwrap()
            .port();
        let address = format!("127.0.0.1:{port}");
        let paths = ["data", "versions", "iam"].map(|name| home.join(name));
        for path in &paths {
            std::fs::create_dir(path).unwrap();
        }
        let [data, versions, iam] = &paths;
        let (access, secret) = (
            format!("ROOT_ACCESS_KEY={ACCESS_KEY}"),
            format!("ROOT_SECRET_KEY={SECRET_KEY}"),
        );
        let arguments: Vec<&OsStr> = match kind {
            Kind::Versitygw => vec![
                "env".as_ref(),
                access.as_ref(),
                secret.as_ref(),
                program.as_ref(),
                "--port".as_ref(),
                address.as_ref(),
                "--iam-dir".as_ref(),
                iam.as_ref(),
                "--quiet".as_ref(),
                "posix".as_ref(),
                "--versioning-dir".as_ref(),
                versions.as_ref(),
                data.as_ref(),
            ],
            Kind::Minio => vec![
                "env".as_ref(),
                "MINIO_ROOT_USER=obbackup-tests".as_ref(),
                "MINIO_ROOT_PASSWORD=a secret of the tests".as_ref(),
                // Without one it takes every region's signature.
                "MINIO_SITE_REGION=us-east-1".as_ref(),
                program.as_ref(),
                "server".as_ref(),
                "--address".as_ref(),
                address.as_ref(),
                data.as_ref(),
            ],
        };
        let warden = Warden::start(&home, &arguments);
        let server = Self { port, warden };
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err()
            || server.try_run(|client| async move { client.list_buckets().send().await.is_ok() })
                != Some(true)
        {
            if began.elapsed() > Duration::from_mins(1) {
                return Err(format!("{kind:?} did not start: {}", server.warden.log()));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(server)
    }

    /// The one server that tests share which need nothing of their own but a bucket: versitygw, or what
    /// `OBBACKUP_TEST_S3` names.
    pub fn shared() -> Result<&'static Self, String> {
        static SHARED: OnceLock<Result<S3Server, String>> = OnceLock::new();
        let shared = SHARED.get_or_init(|| {
            let kind = match std::env::var("OBBACKUP_TEST_S3").as_deref() {
                Ok("minio") => Kind::Minio,
                Ok("versitygw") | Err(_) => Kind::Versitygw,
                Ok(other) => panic!("OBBACKUP_TEST_S3 is versitygw or minio, and not {other}"),
            };
            Self::start(kind)
        });
        shared.as_ref().map_err(Clone::clone)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn try_run<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
        &self,
        work: impl FnOnce(Client) -> F,
    ) -> Option<T> {
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .credentials_provider(Credentials::new(
                ACCESS_KEY, SECRET_KEY, None, None, "tests",
            ))
            .endpoint_url(self.endpoint())
            .force_path_style(true)
            .build();
        let client = Client::from_conf(config);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime
            .block_on(async { tokio::time::timeout(Duration::from_secs(30), work(client)).await })
            .ok()
    }

    /// Lets a plain client of the SDK do something.
    pub fn run<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
        &self,
        work: impl FnOnce(Client) -> F,
    ) -> T {
        self.try_run(work).expect("the server answers in time")
    }

    /// Makes a bucket with a name of its own.
    pub fn bucket(&self) -> String {
        self.bucket_with(false)
    }

    /// The same, with object lock, which brings versions with it.
    pub fn locking_bucket(&self) -> String {
        self.bucket_with(true)
    }

    fn bucket_with(&self, lock: bool) -> String {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("bucket-{}-{number}", std::process::id());
        let made = name.clone();
        self.run(move |client| async move {
            client
                .create_bucket()
                .bucket(&made)
                .object_lock_enabled_for_bucket(lock)
                .send()
                .await
                .unwrap();
        });
        name
    }

    /// The section of a repository in `bucket` below `prefix`, with keys; impatient, as tests are.
    pub fn section(&self, bucket: &str, prefix: &str) -> RepositorySection {
        RepositorySection {
            endpoint: Some(self.endpoint()),
            region: Some(REGION.to_owned()),
            access_key_id: Some(ACCESS_KEY.to_owned()),
            secret_access_key: Some(Secret::new(SECRET_KEY)),
            ..RepositorySection::at(format!("s3://{bucket}/{prefix}"))
        }
    }
}
