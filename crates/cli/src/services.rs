//! Compose's output on its way to its own run: what is kept as the services' is left out, and steps of builds are noted.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use logboom_capture::{
    command::OutputSink,
    compose::{
        attached::{Attached, Lines},
        table::{Flavour, Said},
    },
    docker::streamer::Stopper,
    masks::SharedMasks,
};
use logboom_files::{Session, session::RunMeta, timeline::What};
use logboom_record::{Stream, Time};

use crate::{commands::compose::Beside, recording::Noter};

/// How long a container may take to be known to us once compose prints its first line. Else the line is kept as compose's own.
const KNOWN_AFTER_MAX: Duration = Duration::from_secs(10);
/// How often it is looked for meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How many steps of builds are told apart.
const STEPS_MAX: usize = 10_000;

/// The containers that are followed, by what an attached `up` writes before their lines.
pub struct Services {
    session: Session,
    flavour: &'static Flavour,
    project: String,
    masks: SharedMasks,
    following: Stopper,
    names: HashMap<String, String>,
    /// Lines of containers are to be expected. What looks like one before, in a build say, is not waited for.
    attaching: bool,
    /// Those that did not become known.
    strangers: HashSet<String>,
}

impl Services {
    /// Of a project that is being followed into a session beside compose.
    pub fn new(session: Session, beside: &Beside, project: String, following: Stopper) -> Services {
        let (names, strangers) = (HashMap::new(), HashSet::new());
        let (flavour, masks) = (beside.flavour, beside.masks.clone());
        Services { session, flavour, project, masks, following, names, attaching: false, strangers }
    }

    /// The container whose lines have this prefix, if they are kept. One that was just made is waited for.
    fn container_of(&mut self, prefix: &str) -> Option<String> {
        if self.following.has_ended() || self.strangers.contains(prefix) {
            return None;
        }
        let until = Instant::now() + KNOWN_AFTER_MAX;
        // The session has the names without what is secret.
        let kept = self.masks.mask_str(prefix);
        while !self.names.contains_key(&kept) {
            self.look();
            if self.names.contains_key(&kept) || !self.attaching {
                break;
            }
            if Instant::now() > until {
                self.strangers.insert(prefix.to_owned());
                break;
            }
            thread::sleep(LOOK_EVERY);
        }
        let name = self.names.get(&kept)?;
        let whole = format!("{}{}{prefix}", self.project, self.flavour.separator);
        Some(if self.masks.mask_str(&whole) == *name { whole } else { name.clone() })
    }

    /// A container is followed once the session has it.
    fn look(&mut self) {
        let Ok(meta) = self.session.meta() else { return };
        for run in &meta.runs {
            self.add(run);
        }
    }

    fn add(&mut self, run: &RunMeta) {
        let label = |name: &str| run.run.labels.get(name).map(String::as_str);
        let (Some(project), Some(service), Some(number)) = (label("project"), label("service"), label("number")) else {
            return;
        };
        if project == self.masks.mask_str(&self.project) {
            for container in &run.containers {
                let prefix = self.flavour.prefix(&container.name, project, service, number);
                self.names.insert(prefix, container.name.clone());
            }
        }
    }
}

/// Takes compose's output.
pub struct ServicesSink {
    next: Arc<dyn OutputSink>,
    streams: [Mutex<Attached>; 3],
    shared: Mutex<Shared>,
}

struct Shared {
    services: Option<Services>,
    noter: Noter,
    masks: SharedMasks,
    steps: HashSet<String>,
}

impl ServicesSink {
    /// Hands on to `next` what is compose's own.
    pub fn new(
        next: Arc<dyn OutputSink>,
        services: Option<Services>,
        noter: Noter,
        masks: SharedMasks,
    ) -> ServicesSink {
        let shared = Mutex::new(Shared { services, noter, masks, steps: HashSet::new() });
        ServicesSink { next, streams: Default::default(), shared }
    }

    fn pass(&self, stream: Stream, what: impl FnOnce(&mut Attached, &mut Passing<'_>)) {
        let mut attached = self.streams[stream as usize].lock().unwrap_or_else(PoisonError::into_inner);
        what(&mut attached, &mut Passing { sink: self, stream });
    }
}

impl OutputSink for ServicesSink {
    fn started(&self, pid: u32, time: Time) {
        self.next.started(pid, time);
    }

    fn push(&self, stream: Stream, time: Time, bytes: &[u8]) {
        self.pass(stream, |attached, passing| attached.push(bytes, time, passing));
    }

    fn end(&self, stream: Stream) {
        self.pass(stream, |attached, passing| attached.finish(passing));
        self.next.end(stream);
    }
}

/// One stream's bytes on their way.
struct Passing<'a> {
    sink: &'a ServicesSink,
    stream: Stream,
}

impl Lines for Passing<'_> {
    fn container_of(&mut self, prefix: &str) -> Option<String> {
        let mut shared = self.sink.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.services.as_mut()?.container_of(prefix)
    }

    fn keep(&mut self, time: Time, bytes: &[u8]) {
        self.sink.next.push(self.stream, time, bytes);
    }

    fn said(&mut self, time: Time, what: Said<'_>) {
        let mut shared = self.sink.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let Shared { services, noter, masks, steps } = &mut *shared;
        match what {
            Said::Attaching => services.iter_mut().for_each(|services| services.attaching = true),
            Said::Step(step) if steps.len() < STEPS_MAX && steps.insert(step.to_owned()) => {
                noter.note(time, What::BuildStep { step: masks.mask_str(step) });
            }
            Said::Step(_) => {}
        }
    }
}
