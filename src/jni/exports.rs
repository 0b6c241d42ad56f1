//! The functions that the JVM calls, one for each native method of `BackupNative`.
//!
//! `build.rs` holds this list and that of the Java class to be the same, and writes the assertions of the types.
#![allow(unsafe_code)]

use std::time::Duration;

use jni::objects::{JClass, JString};
use jni::sys::{jboolean, jint, jlong};
use jni::{Env, EnvUnowned};
use once_cell::sync::Lazy;

use super::calls;
use super::children;
use super::exception::{Failure, Throw};
use super::handles::Handles;
use super::requests::{self, parse};
use super::schedules;
use super::workplace::Workplace;
use crate::error::{Error, ErrorKind};
use crate::postgresql::programs;
use crate::storage::s3;

static HANDLES: Lazy<Handles> = Lazy::new(Handles::new);

/// A function that Java calls: catches panics, and throws what fails.
macro_rules! export {
    ($name:ident($($argument:ident: $type:ty),*) -> $result:ty, $env:ident => $body:expr) => {
        #[unsafe(no_mangle)]
        extern "system" fn $name<'local>(
            mut unowned: EnvUnowned<'local>,
            _class: JClass<'local>,
            $($argument: $type),*
        ) -> $result {
            unowned
                .with_env(|$env| -> Result<$result, Failure> {
                    fault::here(stringify!($name));
                    $body
                })
                .resolve::<Throw>()
        }
    };
}

/// A call with a request; its answer is a string.
macro_rules! export_request {
    ($name:ident => $call:path) => {
        export!($name(handle: jlong, request: JString<'local>) -> JString<'local>, env => {
            let place = HANDLES.enter(handle)?;
            let request = text(env, &request)?;
            Ok(env.new_string($call(&place, &request)?)?)
        });
    };
}

/// A call without a request; its answer is a string.
macro_rules! export_question {
    ($name:ident => $call:path) => {
        export!($name(handle: jlong) -> JString<'local>, env => {
            let place = HANDLES.enter(handle)?;
            Ok(env.new_string($call(&place)?)?)
        });
    };
}

export!(Java_org_openbravo_backup_BackupNative_version() -> JString<'local>, env => {
    Ok(env.new_string(calls::version()?)?)
});

export!(Java_org_openbravo_backup_BackupNative_open(options: JString<'local>) -> jlong, env => {
    programs::prepare_with(children::keep_nothing);
    let options: requests::Open = parse(&text(env, &options)?)?;
    #[cfg(debug_assertions)]
    fault::arm(options.panic_in.as_deref());
    Ok(HANDLES.open(Workplace::open(options)?)?)
});

export!(Java_org_openbravo_backup_BackupNative_close(handle: jlong) -> (), _env => {
    HANDLES.close(handle);
    Ok(())
});

export_request!(Java_org_openbravo_backup_BackupNative_init => calls::init);
export_request!(Java_org_openbravo_backup_BackupNative_backup => calls::backup);
export_request!(Java_org_openbravo_backup_BackupNative_restore => calls::restore);
export_request!(Java_org_openbravo_backup_BackupNative_undo => calls::undo);
export_request!(Java_org_openbravo_backup_BackupNative_list => calls::list);
export_request!(Java_org_openbravo_backup_BackupNative_show => calls::show);
export_request!(Java_org_openbravo_backup_BackupNative_verify => calls::verify);
export_request!(Java_org_openbravo_backup_BackupNative_drill => calls::drill);
export_request!(Java_org_openbravo_backup_BackupNative_delete => calls::delete);
export_request!(Java_org_openbravo_backup_BackupNative_forget => calls::forget);
export_request!(Java_org_openbravo_backup_BackupNative_prune => calls::prune);
export_request!(Java_org_openbravo_backup_BackupNative_copy => calls::copy);
export_request!(Java_org_openbravo_backup_BackupNative_pin => calls::pin);
export_request!(Java_org_openbravo_backup_BackupNative_job => calls::job);
export_request!(Java_org_openbravo_backup_BackupNative_runs => calls::runs);
export_request!(Java_org_openbravo_backup_BackupNative_test => calls::test);
export_request!(Java_org_openbravo_backup_BackupNative_settings => calls::settings);
export_question!(Java_org_openbravo_backup_BackupNative_status => calls::status);
export_question!(Java_org_openbravo_backup_BackupNative_doctor => calls::doctor);
export_question!(Java_org_openbravo_backup_BackupNative_storage => calls::storage);
export_question!(Java_org_openbravo_backup_BackupNative_repositories => calls::repositories);
export_question!(Java_org_openbravo_backup_BackupNative_progress => calls::progress);

export!(Java_org_openbravo_backup_BackupNative_schedule(handle: jlong, request: JString<'local>) -> JString<'local>, env => {
    let place = HANDLES.enter(handle)?;
    let request = parse(&text(env, &request)?)?;
    Ok(env.new_string(schedules::answer(place, request)?)?)
});

export!(Java_org_openbravo_backup_BackupNative_cancel(handle: jlong) -> jboolean, _env => {
    Ok(HANDLES.enter(handle)?.operation().cancel())
});

export!(Java_org_openbravo_backup_BackupNative_shutdown(milliseconds: jint) -> (), _env => {
    let patience = Duration::from_millis(u64::try_from(milliseconds).unwrap_or_default());
    let closed = HANDLES.close_all(patience);
    s3::shutdown(patience);
    Ok(closed?)
});

/// What a Java string says. A surrogate without its other half, which no text of ours can hold, becomes
/// U+FFFD.
fn text(env: &Env, string: &JString) -> Result<String, Failure> {
    if string.is_null() {
        return Err(Error::new(ErrorKind::Usage, "the request is null").into());
    }
    Ok(string.try_to_string(env)?)
}

/// Lets the tests see what becomes of a panic in each call.
#[cfg(debug_assertions)]
mod fault {
    use std::sync::{Mutex, PoisonError};

    static ARMED: Mutex<Option<String>> = Mutex::new(None);

    /// The next call of this name will panic.
    pub fn arm(call: Option<&str>) {
        if let Some(call) = call {
            *ARMED.lock().unwrap_or_else(PoisonError::into_inner) = Some(call.to_owned());
        }
    }

    pub fn here(function: &str) {
        let mut armed = ARMED.lock().unwrap_or_else(PoisonError::into_inner);
        let hit = armed
            .as_ref()
            .is_some_and(|call| function.rsplit('_').next() == Some(call));
        if hit {
            *armed = None;
            drop(armed);
            std::panic::resume_unwind(Box::new(format!("a panic was asked for in {function}")));
        }
    }
}

#[cfg(not(debug_assertions))]
mod fault {
    pub fn here(_function: &str) {}
}

include!(concat!(env!("OUT_DIR"), "/exports.rs"));
