//! The choices of health as Dynamo's environment variables make them.

use std::time::Duration;

use super::Status;
use super::builder::{HealthBuilder, is_path};
use super::json;

/// Most seconds of a time: a year, which is as good as for ever, and can be added to any clock.
const MOST_SECONDS: f64 = 366.0 * 86_400.0;

/// An environment variable with a value that it cannot have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{variable} is {value:?}, and should be {expected}")]
#[non_exhaustive]
pub struct EnvError {
    /// The variable.
    pub variable: &'static str,
    /// Its value.
    pub value: String,
    /// What it should have been.
    pub expected: &'static str,
}

pub(super) fn apply(
    mut builder: HealthBuilder,
    look_up: impl Fn(&str) -> Option<String>,
) -> Result<HealthBuilder, EnvError> {
    let look_up = |name: &str| look_up(name).filter(|value| !value.trim().is_empty());
    let starting =
        read(&look_up, "DYN_SYSTEM_STARTING_HEALTH_STATUS", "ready or notready", status)?;
    if let Some(starting) = starting {
        builder = builder.starting(starting);
    }
    let (variable, expected) =
        ("DYN_SYSTEM_USE_ENDPOINT_HEALTH_STATUS", "a list of names as [\"generate\"]");
    if let Some(names) = read(&look_up, variable, expected, json::strings)? {
        builder = builder.require(names);
    }
    if let Some(path) = read(&look_up, "DYN_SYSTEM_HEALTH_PATH", "a path", path)? {
        builder = builder.health_path(&path);
    }
    if let Some(path) = read(&look_up, "DYN_SYSTEM_LIVE_PATH", "a path", path)? {
        builder = builder.live_path(&path);
    }
    let enabled = read(&look_up, "DYN_HEALTH_CHECK_ENABLED", "true or false", truth)?;
    let idle = read(&look_up, "DYN_CANARY_WAIT_TIME", SECONDS, seconds)?;
    let timeout = read(&look_up, "DYN_HEALTH_CHECK_REQUEST_TIMEOUT", SECONDS, seconds)?;
    let canary = builder.canary_mut();
    // Dynamo's default, and whoever asks the environment is asked for by it.
    canary.enabled = enabled.unwrap_or(false);
    canary.idle = idle.unwrap_or(canary.idle);
    canary.timeout = timeout.unwrap_or(canary.timeout);
    Ok(builder)
}

const SECONDS: &str = "a number of seconds above zero";

fn read<T>(
    look_up: &impl Fn(&str) -> Option<String>,
    variable: &'static str,
    expected: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, EnvError> {
    let Some(value) = look_up(variable) else { return Ok(None) };
    let parsed = parse(value.trim());
    parsed.map(Some).ok_or(EnvError { variable, value, expected })
}

fn status(text: &str) -> Option<Status> {
    match text.to_ascii_lowercase().as_str() {
        "ready" => Some(Status::Ready),
        "notready" => Some(Status::NotReady),
        _ => None,
    }
}

/// The words that Dynamo knows.
fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "on" | "yes" => Some(true),
        "false" | "0" | "off" | "no" => Some(false),
        _ => None,
    }
}

fn seconds(text: &str) -> Option<Duration> {
    let seconds: f64 = text.parse().ok()?;
    let time = Duration::try_from_secs_f64(seconds).ok()?;
    (!time.is_zero() && seconds <= MOST_SECONDS).then_some(time)
}

fn path(text: &str) -> Option<String> {
    is_path(text).then(|| text.to_owned())
}
