//! What has to be known of docker compose to capture it: v1 (`docker-compose`) and v2 (the plugin, `docker compose`).
//!
//! [`table`] has all in which the two differ. [`arguments`] reads compose's command line, [`project`] finds the project's name as
//! v1 does, which cannot be asked for it; [`attached`] tells the lines of containers, which an attached `up` prints again, from
//! compose's own. Nothing here runs anything.

pub mod arguments;
pub mod attached;
pub mod project;
pub mod table;
