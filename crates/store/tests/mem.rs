//! The model keeps the law.

use logboom_store::mem::Mem;

logboom_store::conformance!(|_dir: &std::path::Path| Mem::new());
