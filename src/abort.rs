//! A panic that must end the process instead of one thread or task.

/// Aborts the process if it is dropped by a panic.
#[derive(Debug)]
pub(crate) struct AbortOnPanic(pub(crate) &'static str);

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(part = self.0, "a part that everything depends on panicked; the process ends");
            std::process::abort();
        }
    }
}
