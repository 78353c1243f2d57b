//! SIGHUP: the settings are read again. What can change is changed, all of it or nothing, and the log says
//! what did and what waits for a restart.

use super::logging::Logging;
use crate::{
    config::{Change, Reloaded, Settings, Source},
    http::Server,
    pipeline::Pipeline,
};

/// What a reload changes.
pub(super) struct Service<'a> {
    pub(super) server: &'a Server,
    pub(super) pipeline: &'a Pipeline,
    pub(super) log: &'a Logging,
}

/// Reads the settings again and changes the service; what came of it, in a sentence.
pub(super) fn reload(running: &mut Settings, source: &Source, service: &Service<'_>) -> String {
    match source.reload(running).map_err(anyhow::Error::from).and_then(|reloaded| service.change(running, reloaded)) {
        Ok(said) => said,
        Err(error) => {
            let error = format!("{error:#}");
            tracing::error!(error, "the settings are not reloaded; the running ones stay");
            format!("the settings are not reloaded, the running ones stay: {error}")
        }
    }
}

impl Service<'_> {
    fn change(&self, running: &mut Settings, reloaded: Reloaded) -> anyhow::Result<String> {
        let Reloaded { settings, changed, needs_restart } = reloaded;
        // Before the level changes, which may hide them.
        for Change { key, old, new } in &changed {
            tracing::info!(key, old, new, "a setting changes");
        }
        for Change { key, old, new } in &needs_restart {
            tracing::warn!(key, old, new, "a setting changes with a restart only");
        }
        // First what can fail.
        if settings.log != running.log {
            self.log.change(&settings.log)?;
        }
        let Settings { pipeline, http, .. } = &settings;
        self.pipeline.change(pipeline.batch, pipeline.journal.keeping());
        self.server.change(http.clone(), pipeline.ack, pipeline.ack_timeout);
        *running = settings;
        let (changed, needs_restart) = (keys(&changed), keys(&needs_restart));
        tracing::info!(changed, needs_restart, "settings reloaded");
        Ok(format!("settings reloaded; changed: {changed}; a restart is needed for: {needs_restart}"))
    }
}

fn keys(changes: &[Change]) -> String {
    if changes.is_empty() {
        return "none".to_owned();
    }
    changes.iter().map(|change| change.key).collect::<Vec<_>>().join(", ")
}
