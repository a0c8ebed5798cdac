//! The sets of this module, for the catalogue. A new one is a line here; a test says which is missing.

use super::attribute::DescriptionSet;
use super::connection::ConnectionMetrics;
use super::endpoint::{EndpointSet, PREFIX};
use super::grpc::GrpcSet;
use super::queue::RejectMetrics;
use super::slo::SloSet;
use super::streams::StreamSet;
use super::uptime::UptimeSet;
use crate::label::LabelInfo;
use crate::registry::catalogue::Known;

/// Requests that are served, and those that are made.
const ENDPOINTS: &[&str] = &[PREFIX, "dynamo_upstream"];

/// What a layer may tell requests apart by.
const METHOD: &[LabelInfo] = &[LabelInfo::open("method")];

/// What code says of an endpoint.
const HELP: &[LabelInfo] = &[LabelInfo::open("help")];

/// Those of endpoints.
const OF_ENDPOINTS: &[Known] = &[
    Known::of::<EndpointSet>().under(ENDPOINTS).with(METHOD),
    Known::of::<StreamSet>().under(ENDPOINTS).with(METHOD),
    Known::of::<SloSet>().under(ENDPOINTS).with(METHOD),
    Known::of::<GrpcSet>().under(ENDPOINTS),
    Known::of::<RejectMetrics>(),
    Known::of::<ConnectionMetrics>(),
    Known::of::<UptimeSet>(),
    Known::of::<DescriptionSet>().with(HELP),
];

pub(crate) const SETS: &[&[Known]] = &[OF_ENDPOINTS, super::frontend::SETS, super::sets::SETS];
