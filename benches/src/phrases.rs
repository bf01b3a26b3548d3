//! What the runs say: six kinds of work (a Go build, a Java build, a deployment, a web edge, a data pipeline, a simulation), each
//! with phrases for every level.
//!
//! `<3-9>` stands for a number from 3 up to, not including, 9; `<z4>` for four decimal and `<x16>` for 16 hex digits; `<own>` for the
//! number of the job; any other name for one of its words in [`crate::words`].
//! The number ranges, the length of the word lists and the share of hex tokens set how well the text compresses; they are tuned so
//! that it compresses as the reference workload does. A change here moves every figure: `tests/generator.rs` guards the ratio.

/// The phrases of one kind of work, by level, and the lines of its stack traces.
pub(crate) struct Work {
    pub(crate) debug: &'static str,
    pub(crate) info: &'static [&'static str],
    pub(crate) warn: &'static str,
    pub(crate) error: &'static [&'static str],
    pub(crate) trace: &'static str,
}

const GO: Work = Work {
    debug: "DEBUG build: cache key of <module>@v<0-3>.<0-60>.<0-30> changed, old action=<x16>",
    info: &[
        "go: downloading <module> v<0-3>.<0-60>.<0-200> into /go/pkg/mod/cache/download, sum=<x16>",
        "--- PASS: TestSuite/<part>/<action>/case_<0-400> (<0-3>.<z3>s) on worker <0-16> with seed <0-1000000>",
        "compiled package <module> v<0-3>.<0-60>.<0-200> in <0-900>.<0-10> ms, archive kept, <0-300> of 300 \
             packages still to go",
        "ok      ferry.example/<part>/internal/<part> (binary id <x16>) with <0-200> assertions, all of them checked",
    ],
    warn: "warning: internal/<part>/<action>.go:<0-900>:<0-80>: result of call to <module> is never used \
         (vet: unusedresult)",
    error: &[
        "error: internal/<part>/<action>.go:<0-900>:<0-80>: cannot use <part> (variable of type int) as string \
             value in argument to <action>",
        "--- FAIL: TestSuite/<part>/<action> (not equal: expected <0-1000>, actual <0-1000>, see the diff above)",
        "panic: runtime error: index out of range [<0-900>] with length <0-80> in goroutine started by <part>.<action>",
    ],
    trace: "        ferry.example/<part>/internal/<part>.<action>(0xc000<x6>) +0x<0-900>",
};

const JAVA: Work = Work {
    debug: "DEBUG resolve: GET 200 <artifact>:<0-20>.<0-30>.<0-40>.jar in <0-3000> ms (repository <repository>)",
    info: &[
        "BUILD SUCCESSFUL in <0-60>s, <900-1800> actionable tasks: <0-900> executed, <0-200> from cache, <0-3> \
             deprecated features were used by plugins",
        "> Task :<part>:jar wrote bundle-<0-400>.<x8>.jar, <0-900> KiB [signed] [stripped] [reproducible] with \
             <0-4> nested archives inside",
        "<class> \u{25b8} <part> \u{25b8} <action> keeps its promise with <0-12> accounts at once PASSED (<0-400> ms)",
    ],
    warn: "warning: <artifact>:<0-20>.<0-30>.<0-40> has been relocated and gets no fixes any more, move on to \
         <0-20>.0",
    error: &["error: could not resolve <artifact>:<0-20>.<0-30>.<0-40>, the server answered <errno> (try <1-6> of 5)"],
    trace: "\tat example.harbor.<part>.<type>.<action>(<type>.java:<10-910>)",
};

const DEPLOY: Work = Work {
    debug: "DEBUG layer <x32> sent <0-90>.<0-100> of <90-120>.<0-100> MiB after <0-60>.<0-10>s",
    info: &[
        "step <0-40> (stage <0-12>/12): apply the manifest of <module> with prune and wait, which finished in \
             <0-300>.<0-10>s",
        "step <0-40> (stage runtime): unpacked blob <x64> in <0-30>.<0-10>s",
        "<resource>.<part>[<0-8>]  <state>  (in namespace harbor-eu-<own>, probe: <probe>, evictions so far: <0-3>)",
    ],
    warn: "[WARN] value of <variable> is set twice, the later one counts; no cached plan for step <0-20>/<20-25>",
    error: &["error: release of <part> was rolled back: the command helm upgrade --install <module> ended with \
         status <exit>"],
    trace: "  #<0-12> <part>::<action> called from charts/<part>/<part>.tpl:<10-910>",
};

const EDGE: Work = Work {
    debug: "DEBUG upstream=main slot=<0-64> leased after <0-5000>us, free=<0-32> taken=<0-32> span=<x32>",
    info: &["172.<16-20>.<0-256>.<0-256> \"<verb> <route><0-100000> HTTP/2.0\" <status> <0-60000> \"<agent>\" \
         total=<0-900>ms"],
    warn: "[warn] late answer: GET <route><0-100000> needed <1000-5000>ms of the 800ms allowed, next try in \
         <100-1000>ms",
    error: &["[error] no answer from http://node-<0-40>.mesh.local<route><0-100000>, sent 50<0-5> after waiting \
         <1000-30000>ms"],
    trace: "    from <part>.<action> in /opt/edge/filters/<part>/<action>.lua:<10-910>",
};

const PIPELINE: Work = Work {
    debug: "DEBUG <loader>: position=<x16> read <0-10000> rows in <0-5>.<z3>s of <set> shard <0-32>",
    info: &[
        "INFO <loader>: chunk <0-400> of 400 done, rows=<0-10000> set=<set> took=<0-9>.<z3>s pace=<0-50000>/s",
        "INFO <loader>: stored gs://harbor-lake/<set>/<x16>.orc, <0-9000> KiB written, crc=<x8>",
        "checks/<part>.sql::<action>::<action>(<set>, <0-64>) holds .......................... [<0-101>%]",
    ],
    warn: "WARN <loader>: chunk <0-100000> has <0-500> rows without <set> key, left out; backlog of <0-10000> \
         is over the mark",
    error: &["ERROR <loader>: <fault> while trying to <doing> the set <set>, gave up after <1-6> attempts (peer \
         went away)"],
    trace: "  File \"/opt/lake/<part>/<set>.py\", line <10-810>, in <action>",
};

const SIMULATION: Work = Work {
    debug: PIPELINE.debug,
    info: &[
        "remote call finished: PUT http://node-<0-40>.mesh.local<route><0-100000> code=<code> took=<0-900>ms \
             size=<0-100000>",
        "round <0-20>/20 tick <0-100000> energy=<0-4>.<z6> dt=<0-10>e-04 residual=<0-9>.<z3> cells/s=<0-200000> \
             heap_used=<0-80000>MiB",
        "checkpoint of stage <0-40> of 40 of solver <part>: snapshot written to /scratch/harbor/snap/<x12> \
             after <0-5000>ms",
    ],
    warn: PIPELINE.warn,
    error: PIPELINE.error,
    trace: PIPELINE.trace,
};

/// The kinds of work; a task has one of them.
pub(crate) const WORKS: [&Work; 6] = [&GO, &JAVA, &DEPLOY, &EDGE, &PIPELINE, &SIMULATION];

/// A job's first line.
pub(crate) const JOB_STARTS: &str = "Job accepted: flow=<part>-nightly cause=timer tasks=5 expected=<0-60>m \
     queue=bulk number=<own>";
/// A job's line when it hands a task to a worker.
pub(crate) const TASK_STARTS: &str = "Task <1-6> of 5 placed on node-<0-32> (image \
     harbor/<part>:2.<0-9>.<0-20>) cpu=<1-40>00m memory=<1-17>28Mi run=<own>";
/// A job's last line, without the number of its lines.
pub(crate) const JOB_ENDS: &str = "Job ended as <ending> in <0-4000>s, files kept, node given back, lines written: ";

/// What belongs to no job.
pub(crate) const SYSTEM: &[&str] = &[
    "Storage self-test passed: running=<0-64> waiting=<0-400> memory_free=<0-32000>MiB up=<0-10000000>s on head-<0-4>",
    "New settings are in force: running=<0-64> waiting=<0-400> memory_free=<0-32000>MiB up=<0-10000000>s on head-<0-4>",
    "Planner woke up and looks for due jobs: running=<0-64> waiting=<0-400> memory_free=<0-32000>MiB \
         up=<0-10000000>s on head-<0-4>",
    "Old runs have been cleared away: running=<0-64> waiting=<0-400> memory_free=<0-32000>MiB up=<0-10000000>s \
         on head-<0-4>",
];

/// JSON objects that a fifth of the records carries.
pub(crate) const FIELDS: &[&str] = &[
    "{\"code\":<answer>,\"took_ms\":<0-3000>,\"route\":\"<route><0-1000>\"}",
    "{\"action\":\"<action>\",\"try\":<1-4>,\"node\":\"node-<0-32>\"}",
    "{\"rows\":<0-100000>,\"set\":\"<set>\",\"took_ms\":<0-9000>}",
    "{\"pid\":<0-32768>,\"module\":\"<part>-module\",\"release\":\"2.<0-10>.<0-10>\"}",
];

#[cfg(test)]
pub(crate) fn all() -> Vec<&'static str> {
    let of_work = |work: &&Work| [&[work.debug, work.warn, work.trace], work.info, work.error].concat();
    let mut all: Vec<&str> = WORKS.iter().flat_map(of_work).collect();
    all.extend([JOB_STARTS, TASK_STARTS, JOB_ENDS]);
    all.extend([SYSTEM, FIELDS].concat());
    all
}
