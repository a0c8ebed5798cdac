//! A Kubernetes operator: reconciling, admission, and what there is.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::whole;
use crate::label::LabelValue;
use crate::metric::{Counter, Gauge, Histogram};
use crate::registry::{DynamicFamily, MetricSet, RegisterError, Scope};

/// In seconds.
const RECONCILE: [f64; 13] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
const WEBHOOK: [f64; 11] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// A Kubernetes operator, under the prefix `dynamo_operator`.
///
/// Kinds of resources, operations and namespaces are labels; each name has at most 2 000 series, unless
/// the registry says otherwise, so that a cluster with more namespaces cannot fill it.
///
/// # Unit
/// Seconds; the rest are counts.
/// # Source
/// The controller: after each reconciling, in its webhooks, and where it lists what there is.
///
/// # Examples
/// In a controller of `kube-rs`, around `reconcile` and in its `error_policy`:
/// ```
/// use std::time::Duration;
/// use dynamo_metrics::llm::{KubeError, OperatorMetrics, Reconciled};
/// use dynamo_metrics::{encode, registry::Registry};
///
/// let registry = Registry::new();
/// let operator = OperatorMetrics::register(&registry)?;
/// let kind = "DynamoGraphDeployment";
/// // `kube::Error::Api(response)` has both of these
/// let failed = KubeError::of(409, "AlreadyExists");
/// operator.reconciled(kind, "prod", Reconciled::Error(failed), Duration::from_millis(20));
/// operator.inventory(kind, [("prod", "successful", 3), ("test", "pending", 1)]);
/// operator.inventory(kind, [("prod", "successful", 3)]);
/// let text = encode::text(&registry);
/// assert!(text.contains("error_type=\"already_exists\""));
/// assert!(!text.contains("namespace=\"test\""), "what is gone is gone");
/// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
/// ```
#[derive(Debug, Clone)]
pub struct OperatorMetrics {
    set: Arc<OperatorSet>,
    listed: Arc<Listed>,
}

/// A Kubernetes operator.
///
/// # Source
/// The controller: after each reconciling, in its webhooks, and where it lists what there is.
#[derive(Debug, MetricSet)]
#[metric_set(name = "OperatorMetrics", prefix = "dynamo_operator")]
pub(super) struct OperatorSet {
    /// Time of reconciling a resource.
    #[metric(labels(resource_type, namespace, result), unit = seconds, buckets = RECONCILE)]
    reconcile_duration_seconds: DynamicFamily<Histogram, 3>,
    /// Times that a resource was reconciled, by what came of it.
    #[metric(labels(resource_type, namespace, result))]
    reconcile_total: DynamicFamily<Counter, 3>,
    /// Times that this failed, by how.
    #[metric(labels(resource_type, namespace, error_type))]
    reconcile_errors_total: DynamicFamily<Counter, 3>,
    /// Resources that there are.
    #[metric(labels(resource_type, namespace, status))]
    resources_total: DynamicFamily<Gauge, 3>,
    /// Pods that the operator manages.
    #[metric(labels(component_type, namespace))]
    managed_pods_total: DynamicFamily<Gauge, 2>,
    /// Time of a webhook.
    #[metric(labels(resource_type, operation), unit = seconds, buckets = WEBHOOK)]
    webhook_duration_seconds: DynamicFamily<Histogram, 2>,
    /// Requests to webhooks, by whether they were allowed.
    #[metric(labels(resource_type, operation, result))]
    webhook_requests_total: DynamicFamily<Counter, 3>,
    /// Requests that were denied, by why.
    #[metric(labels(resource_type, operation, reason))]
    webhook_denials_total: DynamicFamily<Counter, 3>,
}

/// What was listed last, so that what is not listed any more goes.
#[derive(Debug, Default)]
struct Listed {
    resources: Mutex<HashSet<[Box<str>; 3]>>,
    pods: Mutex<HashSet<[Box<str>; 2]>>,
}

/// How reconciling ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reconciled {
    /// All is as it should be.
    Success,
    /// It is to be looked at again.
    Requeue,
    /// It failed.
    Error(KubeError),
}

/// What a webhook said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Admission {
    /// Yes.
    Allowed,
    /// No.
    Denied(KubeError),
}

/// What Kubernetes says of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, LabelValue)]
#[non_exhaustive]
pub enum KubeError {
    /// It is not there.
    NotFound,
    /// It is there already.
    AlreadyExists,
    /// It was changed meanwhile.
    Conflict,
    /// It is not valid.
    Validation,
    /// The request cannot be understood.
    BadRequest,
    /// Nobody knows who asks.
    Unauthorized,
    /// Who asks may not.
    Forbidden,
    /// It took too long.
    Timeout,
    /// The server says that it takes too long.
    ServerTimeout,
    /// The server is not there.
    Unavailable,
    /// Too many requests.
    RateLimited,
    /// Anything else.
    Internal,
}

impl KubeError {
    /// The error of a status that the API server answers: its code and its reason.
    #[must_use]
    pub fn of(code: u16, reason: &str) -> Self {
        match (code, reason) {
            (_, "AlreadyExists") => Self::AlreadyExists,
            (_, "Conflict") | (409, _) => Self::Conflict,
            (_, "NotFound") | (404, _) => Self::NotFound,
            (_, "Invalid") | (422, _) => Self::Validation,
            (_, "BadRequest") | (400, _) => Self::BadRequest,
            (_, "Unauthorized") | (401, _) => Self::Unauthorized,
            (_, "Forbidden") | (403, _) => Self::Forbidden,
            (_, "ServerTimeout") => Self::ServerTimeout,
            (_, "Timeout") | (504, _) => Self::Timeout,
            (_, "ServiceUnavailable") | (503, _) => Self::Unavailable,
            (_, "TooManyRequests") | (429, _) => Self::RateLimited,
            _ => Self::Internal,
        }
    }
}

impl OperatorMetrics {
    /// Registers the set in `scope`, under the prefix `dynamo_operator` unless the scope was given
    /// another.
    ///
    /// # Errors
    /// [`RegisterError::Conflict`] and its like, if one of the names is taken by something else.
    pub fn register(scope: &Scope) -> Result<Self, RegisterError> {
        Ok(Self { set: Arc::new(OperatorSet::register(scope)?), listed: Arc::default() })
    }

    /// A resource of this kind was reconciled, which took so long.
    pub fn reconciled(
        &self,
        resource_type: &str,
        namespace: &str,
        how: Reconciled,
        took: Duration,
    ) {
        let result = match how {
            Reconciled::Success => "success",
            Reconciled::Requeue => "requeue",
            Reconciled::Error(error) => {
                let labels = [resource_type, namespace, error.as_label()];
                self.set.reconcile_errors_total.with_ref(labels, Counter::inc);
                "error"
            }
        };
        let labels = [resource_type, namespace, result];
        self.set.reconcile_total.with_ref(labels, Counter::inc);
        let duration = &self.set.reconcile_duration_seconds;
        duration.with_ref(labels, |time| time.observe_duration(took));
    }

    /// A webhook was asked about an operation (`CREATE`, `UPDATE`, ..) on a resource of this kind, and
    /// answered after so long.
    pub fn admitted(&self, resource_type: &str, operation: &str, said: Admission, took: Duration) {
        let duration = &self.set.webhook_duration_seconds;
        duration.with_ref([resource_type, operation], |time| time.observe_duration(took));
        let result = match said {
            Admission::Allowed => "allowed",
            Admission::Denied(why) => {
                let labels = [resource_type, operation, why.as_label()];
                self.set.webhook_denials_total.with_ref(labels, Counter::inc);
                "denied"
            }
        };
        let labels = [resource_type, operation, result];
        self.set.webhook_requests_total.with_ref(labels, Counter::inc);
    }

    /// All resources of this kind that there are: by namespace and status, how many. What is not
    /// listed any more goes.
    pub fn inventory<'a>(
        &self,
        resource_type: &str,
        counts: impl IntoIterator<Item = (&'a str, &'a str, u64)>,
    ) {
        let mut listed = self.listed.resources.lock().unwrap_or_else(PoisonError::into_inner);
        let mut now = HashSet::new();
        for (namespace, status, count) in counts {
            let labels = [resource_type, namespace, status];
            self.set.resources_total.with_ref(labels, |gauge| gauge.set(whole(count)));
            now.insert(labels.map(Box::from));
        }
        listed.retain(|labels| {
            let [kind, namespace, status] = labels;
            let stays = **kind != *resource_type || now.contains(labels);
            if !stays {
                self.set.resources_total.remove([kind, namespace, status]);
            }
            stays
        });
        listed.extend(now);
    }

    /// All pods that the operator manages: by type of component and namespace, how many. What is
    /// not listed any more goes.
    pub fn managed_pods<'a>(&self, counts: impl IntoIterator<Item = (&'a str, &'a str, u64)>) {
        let mut listed = self.listed.pods.lock().unwrap_or_else(PoisonError::into_inner);
        let mut now = HashSet::new();
        for (component_type, namespace, count) in counts {
            let labels = [component_type, namespace];
            self.set.managed_pods_total.with_ref(labels, |gauge| gauge.set(whole(count)));
            now.insert(labels.map(Box::from));
        }
        for [component_type, namespace] in listed.difference(&now) {
            self.set.managed_pods_total.remove([component_type, namespace]);
        }
        *listed = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_api_server_says_has_a_word() {
        for (code, reason, error) in [
            (404, "NotFound", KubeError::NotFound),
            (409, "AlreadyExists", KubeError::AlreadyExists),
            (409, "Conflict", KubeError::Conflict),
            (422, "Invalid", KubeError::Validation),
            (500, "ServerTimeout", KubeError::ServerTimeout),
            (504, "Timeout", KubeError::Timeout),
            (503, "", KubeError::Unavailable),
            (429, "", KubeError::RateLimited),
            (418, "", KubeError::Internal),
        ] {
            assert_eq!(KubeError::of(code, reason), error);
        }
    }
}
