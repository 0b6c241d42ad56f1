//! Ctrl-C: the first asks the work to stop where that is safe, the second ends the program.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use obbackup::error::{ErrorKind, IoContext, Result};

/// A flag that SIGINT and SIGTERM set. To be called only for work that looks at it: whatever does not
/// is better ended by the signal itself.
pub fn cancel_flag() -> Result<Arc<AtomicBool>> {
    let cancel = Arc::new(AtomicBool::new(false));
    let status = i32::from(ErrorKind::Cancelled.exit_code());
    for signal in [SIGINT, SIGTERM] {
        // In this order: the one that ends the program must see the flag of the signal before.
        flag::register_conditional_shutdown(signal, status, Arc::clone(&cancel))
            .and_then(|_| flag::register(signal, Arc::clone(&cancel)))
            .io_context(|| "cannot listen to signals".to_owned())?;
    }
    Ok(cancel)
}
