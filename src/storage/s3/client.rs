//! From settings to a client of the AWS SDK: credentials, region, server, and who decides what.

use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    Builder, Credentials, Region, RequestChecksumCalculation, StalledStreamProtectionConfig,
};

use crate::config::{RepositorySection, RequestChecksums};

/// A server that cannot be connected to in this time is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What servers other than Amazon's take where nobody names a region.
const ANY_REGION: &str = "us-east-1";

/// The client, and the region that it signs for.
///
/// Where the settings do not name them, the SDK finds credentials and region by itself: environment, profile,
/// web identity, the container's or the machine's role; temporary ones are renewed before they expire.
/// Retrying and noticing stalls are this crate's own, so that both work alike for each operation and
/// can be tested: the SDK's are off.
pub(super) async fn build(settings: &RepositorySection) -> (Client, Option<String>) {
    let mut loader = aws_config::defaults(BehaviorVersion::latest());
    if let Some(profile) = &settings.profile {
        loader = loader.profile_name(profile);
    }
    if let (Some(id), Some(secret)) = (&settings.access_key_id, &settings.secret_access_key) {
        let token = settings
            .session_token
            .as_ref()
            .map(|token| token.expose().to_owned());
        loader = loader.credentials_provider(Credentials::new(
            id,
            secret.expose(),
            token,
            None,
            "configuration",
        ));
    }
    if let Some(region) = &settings.region {
        loader = loader.region(Region::new(region.clone()));
    } else if settings.endpoint.is_some() {
        // Not the whole chain: it ends in asking a metadata service that is not there.
        let mut profile = ProfileFileRegionProvider::builder();
        if let Some(name) = &settings.profile {
            profile = profile.profile_name(name);
        }
        loader = loader.region(
            RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
                .or_else(profile.build())
                .or_else(ANY_REGION),
        );
    }
    let shared = loader.load().await;
    let region = shared.region().map(ToString::to_string);
    let mut builder = Builder::from(&shared)
        .retry_config(RetryConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(CONNECT_TIMEOUT)
                .build(),
        )
        .request_checksum_calculation(match settings.request_checksums {
            RequestChecksums::WhenRequired => RequestChecksumCalculation::WhenRequired,
            RequestChecksums::WhenSupported => RequestChecksumCalculation::WhenSupported,
        })
        .force_path_style(settings.path_style.unwrap_or(settings.endpoint.is_some()));
    if let Some(endpoint) = &settings.endpoint {
        builder = builder.endpoint_url(endpoint);
    }
    (Client::from_conf(builder.build()), region)
}
