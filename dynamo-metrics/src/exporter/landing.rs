//! The page at `/`, for people who come to look.

/// Links to what there is.
pub(super) const PAGE: &str = "<!doctype html>\n\
<html lang=\"en\">\n\
<head><meta charset=\"utf-8\"><title>dynamo-metrics</title></head>\n\
<body>\n\
<h1>dynamo-metrics</h1>\n\
<ul>\n\
<li><a href=\"metrics\">/metrics</a>: what is measured, for Prometheus</li>\n\
<li><a href=\"health\">/health</a>: whether it is ready</li>\n\
<li><a href=\"live\">/live</a>: whether it runs</li>\n\
</ul>\n\
</body>\n\
</html>\n";
