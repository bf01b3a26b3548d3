//! The sessions of a data dir keep the law.

use logboom_store_embedded::Embedded;

logboom_store::conformance!(|dir: &std::path::Path| Embedded::open(dir).unwrap());
