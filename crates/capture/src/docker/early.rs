//! Attaches to a container at once when it was created.
//!
//! `docker run` starts a container some 3 ms after it has created it, and while it is being started the engine answers nothing about
//! it that needs its lock, for a quarter of a second: neither `inspect` nor attaching. So whoever wants to be attached
//! before must not ask anything else first, and must not be held up by what is done for other containers. Whether it was
//! before is told by the engine's list, which needs no lock: a container that it calls created when attaching is done was not
//! being started then.

use crate::engine::{Container, Engine, EngineError, Frames, Framing};

/// What came of it.
#[derive(Debug)]
pub(super) struct Early {
    /// The container's id.
    pub id: String,
    /// The stream, and whether it is from the container's first byte on.
    pub frames: Option<(Frames, bool)>,
    /// What the engine knows of it; `None` if it is gone again.
    pub found: Result<Option<Container>, EngineError>,
}

impl Early {
    /// Attaches, and asks what the container is.
    pub async fn attach(engine: Engine, id: String) -> Early {
        // Where it cannot be attached to it is read by other ways, which tell why they cannot.
        let mut frames = None;
        if let Ok(attached) = engine.attach(&id, Framing::Multiplexed).await {
            let status = engine.status(&id).await;
            frames = Some((attached, matches!(status, Ok(Some(status)) if status == "created")));
        }
        let found = match engine.inspect(&id).await {
            Err(EngineError::NoSuchContainer { .. }) => Ok(None),
            other => other.map(Some),
        };
        Early { id, frames, found }
    }
}
