//! Errors and panics as `org.openbravo.backup.BackupException`.

use std::any::Any;

use jni::Env;
use jni::errors::ErrorPolicy;
use jni::objects::{JThrowable, JValue};
use jni::{jni_sig, jni_str};

use crate::error::Error;

/// The code of a panic, beside those of [`crate::error::ErrorKind`].
pub const INTERNAL: &str = "INTERNAL";

/// Why a call fails.
#[derive(Debug)]
pub enum Failure {
    /// The handle is closed, or never was one.
    Stale,
    /// What the library said.
    Library(Error),
    /// The JVM refused.
    Jni(jni::errors::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Library(error)
    }
}

impl From<jni::errors::Error> for Failure {
    fn from(error: jni::errors::Error) -> Self {
        Self::Jni(error)
    }
}

/// Throws every failure and every panic.
pub struct Throw;

impl<T: Default> ErrorPolicy<T, Failure> for Throw {
    type Captures<'local: 'method, 'method> = ();

    fn on_error<'local: 'method, 'method>(
        env: &mut Env<'local>,
        _captures: &mut (),
        failure: Failure,
    ) -> jni::errors::Result<T> {
        // What is thrown already says more than what came of it here.
        if env.exception_check() {
            return Ok(T::default());
        }
        match failure {
            Failure::Stale => thrown(env.throw_new(
                jni_str!("java/lang/IllegalStateException"),
                jni_str!("this Backup is closed"),
            ))?,
            Failure::Library(error) => throw(
                env,
                error.kind().name(),
                &error.message(),
                error.hint_text(),
            )?,
            Failure::Jni(error) => throw(env, INTERNAL, &error.to_string(), None)?,
        }
        Ok(T::default())
    }

    fn on_panic<'local: 'method, 'method>(
        env: &mut Env<'local>,
        _captures: &mut (),
        payload: Box<dyn Any + Send>,
    ) -> jni::errors::Result<T> {
        let message = payload
            .downcast_ref::<&str>()
            .map(ToString::to_string)
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_default();
        throw(
            env,
            INTERNAL,
            &format!("internal error: {message}"),
            Some(
                "This is a mistake in obbackup; the server's standard error says where it happened.",
            ),
        )?;
        Ok(T::default())
    }
}

fn throw(env: &mut Env, code: &str, message: &str, hint: Option<&str>) -> jni::errors::Result<()> {
    let class = env.find_class(jni_str!("org/openbravo/backup/BackupException"))?;
    let code = env.new_string(code)?;
    let message = env.new_string(message)?;
    let hint = hint.map(|hint| env.new_string(hint)).transpose()?;
    let hint = hint.unwrap_or_default();
    let exception = env.new_object(
        class,
        jni_sig!("(Ljava/lang/String;Ljava/lang/String;Ljava/lang/String;)V"),
        &[
            JValue::Object(&code),
            JValue::Object(&message),
            JValue::Object(&hint),
        ],
    )?;
    let exception = env.cast_local::<JThrowable>(exception)?;
    thrown(env.throw(exception))
}

/// Throwing always ends in an error that says that something was thrown.
fn thrown(result: jni::errors::Result<()>) -> jni::errors::Result<()> {
    match result {
        Err(jni::errors::Error::JavaException) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn java_knows_every_code() {
        let java =
            include_str!("../../java/src/main/java/org/openbravo/backup/BackupException.java");
        for code in ErrorKind::all().map(ErrorKind::name).chain([INTERNAL]) {
            let constant = format!("    {code}");
            assert!(
                java.lines()
                    .any(|line| line.trim_end_matches([',', ';']) == constant),
                "{code} is not in BackupException.java"
            );
        }
    }
}
