//! Events of every protocol, as their servers stream them.
