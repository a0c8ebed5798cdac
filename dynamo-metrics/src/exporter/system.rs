//! Dynamo's variables for its system status server, so that its operators' configuration works
//! unchanged.

use std::io;

use super::{Exporter, Server};

/// Where Dynamo listens if it is not told a host.
const HOST: &str = "0.0.0.0";

/// Why the variables lead to no server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SystemError {
    /// The port is no number from -1 to 65535.
    #[error("DYN_SYSTEM_PORT={0:?} is no port: expected -1 (off), 0 (any) or a number to 65535")]
    Port(String),
    /// The system cannot listen there.
    #[error("cannot listen at {host}:{port} (DYN_SYSTEM_HOST, DYN_SYSTEM_PORT)")]
    Bind {
        /// The host.
        host: String,
        /// The port.
        port: u16,
        /// What the system says.
        source: io::Error,
    },
}

impl Exporter {
    /// Listens where Dynamo's variables say; `None` if they turn the server off, as they do by
    /// default.
    ///
    /// | variable | default | |
    /// |---|---|---|
    /// | `DYN_SYSTEM_PORT` | -1 | -1 for no server, 0 for any port that is free |
    /// | `DYN_SYSTEM_HOST` | 0.0.0.0 | |
    ///
    /// `DYN_SYSTEM_ENABLED`, which Dynamo does not heed any more, is not heeded here. What is answered
    /// at `DYN_SYSTEM_HEALTH_PATH` and `DYN_SYSTEM_LIVE_PATH` is the business of
    /// [`Health`](crate::health::Health).
    ///
    /// # Errors
    /// [`SystemError`]: a port that is none, or what the system says if it cannot listen there.
    ///
    /// # Examples
    /// ```
    /// use dynamo_metrics::{exporter::Exporter, registry::Registry};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let exporter = Exporter::new(&Registry::new());
    /// let server = exporter.bind_system(|name| std::env::var(name).ok()).await?;
    /// assert!(server.is_none(), "it is off unless DYN_SYSTEM_PORT says otherwise");
    /// # Ok::<(), dynamo_metrics::exporter::SystemError>(())
    /// # }).unwrap();
    /// ```
    pub async fn bind_system(
        &self,
        look_up: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Server>, SystemError> {
        let text = look_up("DYN_SYSTEM_PORT").unwrap_or_default();
        let port = match text.trim() {
            "" | "-1" => return Ok(None),
            text => text.parse().map_err(|_| SystemError::Port(text.to_owned()))?,
        };
        let host = look_up("DYN_SYSTEM_HOST").filter(|host| !host.trim().is_empty());
        let host = host.unwrap_or_else(|| HOST.to_owned());
        let bound = self.bind((host.trim(), port)).await;
        bound.map(Some).map_err(|source| SystemError::Bind { host, port, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Registry;

    async fn bind(variables: &[(&str, &str)]) -> Result<Option<Server>, SystemError> {
        let look_up = |name: &str| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Exporter::new(&Registry::new()).bind_system(look_up).await
    }

    #[tokio::test]
    async fn the_variables_say_where() {
        for off in [&[][..], &[("DYN_SYSTEM_PORT", "-1")], &[("DYN_SYSTEM_PORT", "")]] {
            assert!(bind(off).await.unwrap().is_none());
        }
        assert!(bind(&[("DYN_SYSTEM_ENABLED", "true")]).await.unwrap().is_none());
        let local = [("DYN_SYSTEM_PORT", "0"), ("DYN_SYSTEM_HOST", "127.0.0.1")];
        let address = bind(&local).await.unwrap().unwrap().local_addr().unwrap();
        assert!(address.ip().is_loopback());
    }

    #[tokio::test]
    async fn what_is_no_port_or_host_is_an_error() {
        for bad in ["-2", "65536", "x", "1.5"] {
            let error = bind(&[("DYN_SYSTEM_PORT", bad)]).await.unwrap_err();
            assert!(matches!(error, SystemError::Port(text) if text == bad));
        }
        let nowhere = [("DYN_SYSTEM_PORT", "1"), ("DYN_SYSTEM_HOST", "203.0.113.1")];
        assert!(matches!(bind(&nowhere).await.unwrap_err(), SystemError::Bind { port: 1, .. }));
    }
}
