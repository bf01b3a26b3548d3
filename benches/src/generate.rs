//! Makes records in the order in which a log server would receive them: 48 runs at a time, in bursts.
//!
//! The same number of lines and seed give the same records, whatever they are written as. Jobs have five tasks each, which
//! follow one another with some overlap; sizes of jobs are heavy-tailed; about one line in fifty is an error, most of them
//! lines of stack traces; a rare token is planted so that a search has something to find.
//! No I/O, and no allocation per record: callers borrow the fields for the time of the call.

use logboom_record::{Kind, Level, Stream, Time};

use crate::phrase::push_number;
use crate::phrases::WORKS;
use crate::random::Random;
use crate::repertoire::Repertoire;

/// How many jobs write at the same time.
pub const ACTIVE_RUNS: usize = 48;
/// A token that [`PLANTED_TIMES`] lines contain, hex digits in its middle so that a search filter has to work for it.
pub const RARE_TOKEN: &str = "wq5eadfacade08zk";
/// How many lines contain [`RARE_TOKEN`].
pub const PLANTED_TIMES: u64 = 5;

const TASKS: usize = 5;
const START_US: u64 = 1_773_446_400_000_000; // 2026-03-14T00:00:00Z
const DAY_US: u64 = 86_400_000_000;

/// One record, borrowed from the generator until the callback returns.
#[derive(Clone, Copy, Debug)]
pub struct Generated<'a> {
    /// What the run is: a job, a task, or the system.
    pub kind: Kind,
    /// Counts the jobs from 0; `None` for the system's records.
    pub job_number: Option<u64>,
    /// The job's id (a UUID); `None` for the system's records.
    pub job: Option<&'a str>,
    /// Counts the tasks of the job from 0; only for a task's records.
    pub task_number: Option<usize>,
    /// The task's id (a UUID); only for a task's records.
    pub task: Option<&'a str>,
    /// When it arrived; records are in this order.
    pub time: Time,
    /// How serious it is.
    pub level: Level,
    /// Where it was printed.
    pub stream: Stream,
    /// The line, without a newline.
    pub message: &'a [u8],
    /// A JSON object, on a fifth of the records.
    pub fields: Option<&'a str>,
}

/// Calls `each` for every one of `lines` records, in order of arrival.
pub fn generate(lines: u64, seed: u64, mut each: impl FnMut(&Generated<'_>)) {
    let mut world = World::new(lines, seed);
    while world.made < lines {
        let said = world.next();
        world.finish();
        each(&world.record(&said));
        world.made += 1;
        world.replace_ended(&said);
    }
}

/// Who says the next record, and how; the message itself is in the world's buffer.
struct Said {
    kind: Kind,
    task: usize,
    level: Level,
    stream: Stream,
}

struct World {
    repertoire: Repertoire,
    random: Random,
    lines: u64,
    made: u64,
    jobs: Vec<Job>,
    jobs_made: u64,
    turn_of: usize,
    turn_left: u64,
    time: Time,
    message: Vec<u8>,
    fields: Vec<u8>,
}

impl World {
    fn new(lines: u64, seed: u64) -> Self {
        let mut random = Random::new(seed);
        Self {
            repertoire: Repertoire::new(),
            jobs: (0..ACTIVE_RUNS as u64).map(|number| Job::new(number, &mut random)).collect(),
            jobs_made: ACTIVE_RUNS as u64,
            random,
            lines,
            made: 0,
            turn_of: 0,
            turn_left: 0,
            time: Time::default(),
            message: Vec::with_capacity(512),
            fields: Vec::with_capacity(512),
        }
    }

    /// Lets a job go on with its burst, gives the turn to another, or lets the system speak.
    fn next(&mut self) -> Said {
        if self.turn_left == 0 {
            self.turn_of = self.random.below(ACTIVE_RUNS as u64) as usize;
            self.turn_left = 1 + self.random.below(12);
        }
        self.turn_left -= 1;
        self.message.clear();
        if self.random.one_in(100) {
            return self.system_speaks();
        }
        let job = &mut self.jobs[self.turn_of];
        let traced_before = job.trace_left;
        let said = job.speak(&self.repertoire, &mut self.random, &mut self.message);
        self.turn_left += job.trace_left.saturating_sub(traced_before);
        said
    }

    fn system_speaks(&mut self) -> Said {
        let level = match self.random.below(50) {
            0 => Level::Error,
            1 | 2 => Level::Warn,
            _ => Level::Info,
        };
        let phrase = self.random.pick(&self.repertoire.system);
        phrase.say(0, &mut self.random, &mut self.message);
        Said { kind: Kind::System, task: 0, level, stream: Stream::System }
    }

    /// Adds what every record may have: the planted token, the fields, the time.
    fn finish(&mut self) {
        let nth = self.lines / PLANTED_TIMES;
        if self.made % nth.max(1) == nth / 2 && self.made / nth.max(1) < PLANTED_TIMES {
            self.message.extend_from_slice(b" mark=");
            self.message.extend_from_slice(RARE_TOKEN.as_bytes());
        }
        self.fields.clear();
        if self.random.one_in(5) {
            let phrase = self.random.pick(&self.repertoire.fields);
            phrase.say(0, &mut self.random, &mut self.fields);
        }
        let since_start = (u128::from(self.made) * u128::from(DAY_US) / u128::from(self.lines)) as u64;
        let time_us = START_US + since_start + self.random.below(DAY_US / self.lines);
        self.time = Time::from_micros(time_us as i64);
    }

    fn record(&self, said: &Said) -> Generated<'_> {
        let job = (said.kind != Kind::System).then(|| &self.jobs[self.turn_of]);
        let task = job.filter(|_| said.kind == Kind::Task).map(|job| &job.tasks[said.task]);
        Generated {
            kind: said.kind,
            job_number: job.map(|job| job.number),
            job: job.map(|job| job.id.as_str()),
            task_number: task.map(|_| said.task),
            task: task.map(|task| task.0.as_str()),
            time: self.time,
            level: said.level,
            stream: said.stream,
            message: &self.message,
            fields: std::str::from_utf8(&self.fields).ok().filter(|fields| !fields.is_empty()),
        }
    }

    fn replace_ended(&mut self, said: &Said) {
        if said.kind != Kind::System && self.jobs[self.turn_of].left == 0 {
            self.jobs[self.turn_of] = Job::new(self.jobs_made, &mut self.random);
            self.jobs_made += 1;
            self.turn_left = 0;
        }
    }
}

struct Job {
    number: u64,
    id: String,
    /// The id of each task, and which of the works it does.
    tasks: [(String, usize); TASKS],
    lines: u64,
    left: u64,
    own: u64,
    trace_left: u64,
    trace_task: usize,
}

impl Job {
    fn new(number: u64, random: &mut Random) -> Self {
        let id = random.uuid();
        let tasks = std::array::from_fn(|_| (random.uuid(), random.below(WORKS.len() as u64) as usize));
        // About log-normal: half of the jobs below 1,400 lines, a mean of 2,500, one in a thousand over 20,000.
        let bell: f64 = (0..6).map(|_| random.fraction()).sum::<f64>() - 3.0;
        let lines = ((1400.0 * (1.55 * bell).exp()) as u64).max(20);
        Self { number, id, tasks, lines, left: lines, own: random.below(10_000), trace_left: 0, trace_task: 0 }
    }

    /// Says the job's next line.
    fn speak(&mut self, repertoire: &Repertoire, random: &mut Random, message: &mut Vec<u8>) -> Said {
        let task = self.task_at_work(random);
        let (first, last) = (self.left == self.lines, self.left == 1);
        self.left -= 1;
        if self.trace_left > 0 && !last {
            self.trace_left -= 1;
            let voice = &repertoire.works[self.tasks[self.trace_task].1];
            voice.trace.say(self.own, random, message);
            return Said { kind: Kind::Task, task: self.trace_task, level: Level::Error, stream: Stream::Stderr };
        }
        if !(first || last || random.one_in(40)) {
            return self.task_speaks(task, repertoire, random, message);
        }
        match (first, last) {
            (true, _) => repertoire.job_starts.say(self.own, random, message),
            (_, true) => self.say_end(repertoire, random, message),
            _ => repertoire.task_starts.say(self.own, random, message),
        }
        Said { kind: Kind::Job, task, level: Level::Info, stream: Stream::System }
    }

    fn say_end(&self, repertoire: &Repertoire, random: &mut Random, message: &mut Vec<u8>) {
        repertoire.job_ends.say(self.own, random, message);
        push_number(self.lines, message);
    }

    /// Tasks follow one another; the next one may already have begun.
    fn task_at_work(&self, random: &mut Random) -> usize {
        let task = ((self.lines - self.left) as usize * TASKS / self.lines as usize).min(TASKS - 1);
        if task + 1 < TASKS && random.one_in(4) { task + 1 } else { task }
    }

    fn task_speaks(
        &mut self,
        task: usize,
        repertoire: &Repertoire,
        random: &mut Random,
        message: &mut Vec<u8>,
    ) -> Said {
        let voice = &repertoire.works[self.tasks[task].1];
        let (level, phrases) = match random.below(10_000) {
            0..54 => (Level::Error, &voice.error),
            54..554 => (Level::Warn, &voice.warn),
            554..1354 => (Level::Debug, &voice.debug),
            _ => (Level::Info, &voice.info),
        };
        random.pick(phrases).say(self.own, random, message);
        if level == Level::Error && random.below(10) < 3 {
            (self.trace_left, self.trace_task) = (6 + random.below(7), task);
        }
        let stream = if level >= Level::Warn || random.one_in(12) { Stream::Stderr } else { Stream::Stdout };
        Said { kind: Kind::Task, task, level, stream }
    }
}
