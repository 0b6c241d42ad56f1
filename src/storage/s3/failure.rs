//! What an S3 server or the way to it answers, in words: what happened, to what, and what to do.

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use crate::error::{Error, ErrorKind};

/// What was being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    Writing,
    Reading,
    Listing,
    Deleting,
    Retaining,
}

impl Doing {
    fn verb(self) -> &'static str {
        match self {
            Self::Writing => "write",
            Self::Reading => "read",
            Self::Listing => "list",
            Self::Deleting => "delete",
            Self::Retaining => "extend the retention of",
        }
    }

    /// The permission that it needs.
    fn permission(self) -> &'static str {
        match self {
            Self::Writing => "s3:PutObject",
            // Without the second a server answers a read of an absent object with a refusal.
            Self::Reading => "s3:GetObject on the objects and s3:ListBucket on the bucket",
            Self::Listing => "s3:ListBucket on the bucket",
            Self::Deleting => "s3:DeleteObject",
            Self::Retaining => "s3:PutObjectRetention",
        }
    }
}

/// Where it was being done, as the messages name it.
#[derive(Debug, Clone)]
pub(super) struct Surface {
    pub(super) bucket: String,
    pub(super) region: Option<String>,
    pub(super) endpoint: Option<String>,
}

impl Surface {
    fn server(&self) -> String {
        match (&self.endpoint, &self.region) {
            (Some(endpoint), _) => format!("`{endpoint}`"),
            (None, Some(region)) => format!("S3 in {region}"),
            (None, None) => "S3".to_owned(),
        }
    }

    fn region(&self) -> &str {
        self.region.as_deref().unwrap_or("no region")
    }
}

/// What the server said, without the SDK's types.
#[derive(Debug, Clone, Default)]
struct Answer {
    status: u16,
    code: String,
    message: String,
    /// The region that the bucket is really in.
    bucket_region: Option<String>,
}

/// A connection on which nothing happened for too long.
pub(super) fn stalled(doing: Doing, what: &str, surface: &Surface, seconds: u64) -> Error {
    Error::new(
        ErrorKind::Transient,
        format!(
            "cannot {} `{what}`: the connection to {} stood still for {seconds} seconds",
            doing.verb(),
            surface.server()
        ),
    )
    .hint("Check the network; stall_seconds of the repository sets how long is waited.")
}

/// An answer that ended early.
pub(super) fn cut(
    doing: Doing,
    what: &str,
    surface: &Surface,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    Error::new(
        ErrorKind::Transient,
        format!(
            "cannot {} `{what}`: the answer of {} was cut off",
            doing.verb(),
            surface.server()
        ),
    )
    .source(source)
}

/// The error for what the SDK reports.
pub(super) fn explain<E>(
    doing: Doing,
    what: &str,
    surface: &Surface,
    error: SdkError<E, HttpResponse>,
) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    if let Some(response) = error.raw_response() {
        let answer = Answer {
            status: response.status().as_u16(),
            code: error.code().unwrap_or_default().to_owned(),
            message: error.message().unwrap_or_default().to_owned(),
            bucket_region: response
                .headers()
                .get("x-amz-bucket-region")
                .map(str::to_owned),
        };
        let explained = of_answer(doing, what, surface, &answer);
        // What could not be understood is kept as it is.
        return if answer.code.is_empty() && answer.status == 200 {
            explained.source(error)
        } else {
            explained
        };
    }
    of_the_way(doing, what, surface, &error)
}

/// No answer came: credentials, names, connections, certificates.
fn of_the_way(
    doing: Doing,
    what: &str,
    surface: &Surface,
    error: &(dyn std::error::Error + 'static),
) -> Error {
    let mut texts: Vec<String> = Vec::new();
    let mut of_credentials = false;
    let mut next = Some(error);
    while let Some(one) = next {
        of_credentials |= one.downcast_ref::<CredentialsError>().is_some();
        let text = one.to_string();
        if texts.last().is_none_or(|last| !last.contains(&text)) {
            texts.push(text);
        }
        next = one.source();
    }
    let text = texts.join(": ");
    let folded = text.to_ascii_lowercase();
    let intro = format!("cannot {} `{what}`", doing.verb());
    if of_credentials || folded.contains("credentials") || folded.contains("no identity") {
        let metadata = if folded.contains("imds") || folded.contains("169.254") {
            " In a container on an EC2 machine the metadata service is one hop further away: \
             aws ec2 modify-instance-metadata-options --http-put-response-hop-limit 2."
        } else {
            ""
        };
        return Error::new(
            ErrorKind::Denied,
            format!("{intro}: no credentials for {} were found: {text}", surface.server()),
        )
        .hint(format!(
            "Give the machine a role, name a profile, set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or write \
             access_key_id and secret_access_key into the repository's section of obbackup.toml.{metadata}"
        ));
    }
    if folded.contains("region") && surface.region.is_none() {
        return Error::new(
            ErrorKind::Usage,
            format!(
                "{intro}: the region of bucket `{}` is not known",
                surface.bucket
            ),
        )
        .hint("Write region = \"…\" into the repository's section, or set AWS_REGION.");
    }
    if folded.contains("certificate") {
        return Error::new(
            ErrorKind::Denied,
            format!("{intro}: the certificate of {} is not trusted: {text}", surface.server()),
        )
        .hint("Add the authority that signed it to the system's certificates, and check the endpoint's name.");
    }
    Error::new(
        ErrorKind::Unreachable,
        format!("{intro}: no answer from {}: {text}", surface.server()),
    )
    .hint("Check the network, the endpoint and the region, and that no firewall is in the way.")
}

/// The table of what servers answer.
#[allow(clippy::too_many_lines)] // A table is as long as what it lists.
fn of_answer(doing: Doing, what: &str, surface: &Surface, answer: &Answer) -> Error {
    use ErrorKind as Kind;
    let bucket = &surface.bucket;
    let said = match (answer.code.as_str(), answer.message.as_str()) {
        ("", "") => format!("status {}", answer.status),
        ("", message) => format!("status {}: {message}", answer.status),
        (code, "") => code.to_owned(),
        (code, message) => format!("{code}: {}", message.trim_end_matches('.')),
    };
    let (kind, why, hint): (Kind, String, String) = match (answer.code.as_str(), answer.status) {
        ("NoSuchBucket", _) => (
            Kind::Usage,
            format!("there is no bucket `{bucket}` on {}", surface.server()),
            "Check the bucket's name and the endpoint, or create the bucket.".to_owned(),
        ),
        ("NoSuchKey" | "NotFound", _) | ("", 404) => {
            return Error::new(Kind::NotFound, format!("no object `{what}`"));
        }
        ("PreconditionFailed", _) | ("", 412) => {
            return Error::new(Kind::AlreadyExists, format!("`{what}` is there already"));
        }
        ("InvalidAccessKeyId", _) => (
            Kind::Denied,
            format!("{} does not know the access key", surface.server()),
            "Check access_key_id, and that the key belongs to this server and is active."
                .to_owned(),
        ),
        ("SignatureDoesNotMatch", _) => (
            Kind::Denied,
            "the secret key is not that of the access key".to_owned(),
            "Check secret_access_key; a key that was pasted may lack its last characters."
                .to_owned(),
        ),
        ("ExpiredToken" | "ExpiredTokenException" | "InvalidToken" | "TokenRefreshRequired", _) => (
            Kind::Denied,
            format!("the temporary credentials have expired or are not valid ({said})"),
            "Get new ones; with a role of the machine or web identity they are renewed by themselves."
                .to_owned(),
        ),
        ("RequestTimeTooSkewed" | "RequestExpired", _) => (
            // The next request is signed with the server's time.
            Kind::Transient,
            format!("the clock of this machine differs too much from that of {}", surface.server()),
            "Set the clock, best by a time service: timedatectl set-ntp true.".to_owned(),
        ),
        ("PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException", _)
        | (_, 301) => {
            let region = answer.bucket_region.clone().or_else(|| expected_region(&answer.message));
            let place = region.as_ref().map_or_else(
                || "in another region".to_owned(),
                |region| format!("in {region}"),
            );
            (
                Kind::Usage,
                format!("bucket `{bucket}` lies {place}, and not in {}", surface.region()),
                region.map_or_else(
                    || "Write the bucket's region into the repository's section.".to_owned(),
                    |region| format!("Write region = \"{region}\" into the repository's section."),
                ),
            )
        }
        ("TemporaryRedirect", _) | (_, 307) => (
            Kind::Transient,
            format!("bucket `{bucket}` is being moved: {} points elsewhere for now", surface.server()),
            "A new bucket needs up to some hours until its name is known everywhere; write its region into the \
             repository's section."
                .to_owned(),
        ),
        ("InvalidObjectState", _) => (
            Kind::Denied,
            format!("it lies in an archive class ({said})"),
            "Bring it back first: aws s3api restore-object; and keep lifecycle rules that archive away from packs."
                .to_owned(),
        ),
        ("QuotaExceeded" | "XMinioStorageFull" | "XMinioBackendDown" | "InsufficientStorage", _) | (_, 507) => (
            Kind::NoSpace,
            format!("{} has no room left ({said})", surface.server()),
            "Free room there, or raise the quota.".to_owned(),
        ),
        ("NotImplemented", _) | (_, 501) => (
            Kind::Incompatible,
            format!("{} does not know this operation ({said})", surface.server()),
            "Use a server that knows the basic operations of S3.".to_owned(),
        ),
        ("InvalidBucketName", _) => (
            Kind::Usage,
            format!("`{bucket}` is not the name of a bucket"),
            "Check the repository's url.".to_owned(),
        ),
        ("InvalidRange", _) | (_, 416) => {
            return Error::new(Kind::Damaged, format!("`{what}` is shorter than what is asked of it"));
        }
        (code, _) if code.starts_with("KMS") => (
            Kind::Denied,
            format!("the encryption key cannot be used ({said})"),
            "Check kms_key_id, and that the key allows kms:GenerateDataKey and kms:Decrypt.".to_owned(),
        ),
        (code, status) if is_passing(code, status) => (
            Kind::Transient,
            format!("{} is overloaded or in trouble ({said})", surface.server()),
            "Try again later.".to_owned(),
        ),
        (_, 401 | 403) => (
            Kind::Denied,
            format!("{} refuses it ({said})", surface.server()),
            if doing == Doing::Deleting && answer.message.to_ascii_lowercase().contains("lock") {
                "It is locked against deletion until its retention ends.".to_owned()
            } else {
                format!("The credentials need {}; `obbackup storage test` tries each permission.", doing.permission())
            },
        ),
        _ => (
            Kind::Io,
            format!("{} answers {said}", surface.server()),
            "`obbackup storage test` tries each operation by itself.".to_owned(),
        ),
    };
    Error::new(kind, format!("cannot {} `{what}`: {why}", doing.verb())).hint(hint)
}

/// What may succeed when tried again.
fn is_passing(code: &str, status: u16) -> bool {
    const CODES: &[&str] = &[
        "SlowDown",
        "ServiceUnavailable",
        "InternalError",
        "RequestTimeout",
        "RequestTimeoutException",
        "Throttling",
        "ThrottlingException",
        "RequestLimitExceeded",
        "TooManyRequests",
        "OperationAborted",
        "ConditionalRequestConflict",
        // The content arrived otherwise than it was sent.
        "BadDigest",
        "XAmzContentSHA256Mismatch",
        "IncompleteBody",
        "InvalidDigest",
    ];
    CODES.contains(&code)
        || matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504)
        // An answer that says success and cannot be read was cut or garbled.
        || (200..300).contains(&status)
}

/// `… the region 'x' is wrong; expecting 'y'`, with or without quotes.
fn expected_region(message: &str) -> Option<String> {
    let (_, rest) = message.split_once("expecting ")?;
    let region: String = rest
        .trim_start_matches(['\'', '"'])
        .chars()
        .take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '-')
        .collect();
    (!region.is_empty()).then_some(region)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(doing: Doing, status: u16, code: &str, message: &str) -> Error {
        let surface = Surface {
            bucket: "backups".to_owned(),
            region: Some("eu-west-1".to_owned()),
            endpoint: None,
        };
        let answer = Answer {
            status,
            code: code.to_owned(),
            message: message.to_owned(),
            bucket_region: None,
        };
        of_answer(doing, "packs/x", &surface, &answer)
    }

    #[test]
    #[allow(clippy::too_many_lines)] // A table.
    fn each_trouble_has_its_kind_its_words_and_its_remedy() {
        use ErrorKind as Kind;
        let cases = [
            (
                403,
                "AccessDenied",
                "",
                Kind::Denied,
                "refuses",
                "s3:PutObject",
            ),
            (
                403,
                "InvalidAccessKeyId",
                "",
                Kind::Denied,
                "access key",
                "access_key_id",
            ),
            (
                403,
                "SignatureDoesNotMatch",
                "",
                Kind::Denied,
                "secret key",
                "secret_access_key",
            ),
            (
                400,
                "ExpiredToken",
                "",
                Kind::Denied,
                "expired",
                "Get new ones",
            ),
            (
                403,
                "RequestTimeTooSkewed",
                "",
                Kind::Transient,
                "clock",
                "Set the clock",
            ),
            (
                301,
                "PermanentRedirect",
                "",
                Kind::Usage,
                "another region",
                "region",
            ),
            (
                400,
                "AuthorizationHeaderMalformed",
                "the region 'eu-west-1' is wrong; expecting 'us-west-2'",
                Kind::Usage,
                "lies in us-west-2, and not in eu-west-1",
                "region = \"us-west-2\"",
            ),
            (
                307,
                "TemporaryRedirect",
                "",
                Kind::Transient,
                "elsewhere",
                "region",
            ),
            (
                404,
                "NoSuchBucket",
                "",
                Kind::Usage,
                "no bucket `backups`",
                "name",
            ),
            (
                403,
                "InvalidObjectState",
                "",
                Kind::Denied,
                "archive",
                "restore-object",
            ),
            (503, "SlowDown", "", Kind::Transient, "overloaded", "later"),
            (
                500,
                "InternalError",
                "",
                Kind::Transient,
                "trouble",
                "later",
            ),
            (429, "", "", Kind::Transient, "429", "later"),
            (
                400,
                "RequestTimeout",
                "",
                Kind::Transient,
                "trouble",
                "later",
            ),
            (507, "", "", Kind::NoSpace, "room", "quota"),
            (
                501,
                "NotImplemented",
                "",
                Kind::Incompatible,
                "not know",
                "server",
            ),
            (
                400,
                "KMS.NotFoundException",
                "",
                Kind::Denied,
                "key",
                "kms_key_id",
            ),
            (
                405,
                "MethodNotAllowed",
                "",
                Kind::Io,
                "MethodNotAllowed",
                "storage test",
            ),
        ];
        for (status, code, message, kind, words, remedy) in cases {
            let error = explained(Doing::Writing, status, code, message);
            assert_eq!(error.kind(), kind, "{error:?}");
            assert!(error.to_string().contains(words), "{error:?}");
            assert!(error.to_string().contains("packs/x"), "{error:?}");
            assert!(error.hint_text().unwrap().contains(remedy), "{error:?}");
        }
        let absent = explained(Doing::Reading, 404, "NoSuchKey", "");
        assert_eq!(absent.kind(), Kind::NotFound);
        let present = explained(Doing::Writing, 412, "PreconditionFailed", "");
        assert_eq!(present.kind(), Kind::AlreadyExists);
        let locked = explained(
            Doing::Deleting,
            403,
            "AccessDenied",
            "object is WORM locked",
        );
        assert!(locked.hint_text().unwrap().contains("retention"));
    }
}
