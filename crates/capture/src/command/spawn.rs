//! Lays the command's pipes and terminals and starts it.
//!
//! The hard part is to fail as a shell would: a script without `#!` is given to sh, and "not found" is told from "cannot be
//! run" and from "its interpreter is missing".

use std::{
    env,
    ffi::OsStr,
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::Instant,
};

use logboom_record::{Stream, Time};
use rustix::{
    io::Errno,
    pipe::{PipeFlags, fcntl_setpipe_size, pipe_with},
    process::Pid,
    stdio::{stderr, stdout},
    termios::isatty,
};

use super::{CommandError, Group, PassThrough, Spec, Tty, failed, relay::Target};
use crate::pty::{self, Modes, Sizes};

/// What a pipe to the command is to hold; more than the usual 64 KiB saves both sides from waking each other.
const PIPE_BYTES: usize = 256 << 10;

/// Our end of one of the command's streams.
pub(super) struct Source {
    pub(super) stream: Stream,
    pub(super) fd: Arc<OwnedFd>,
    pub(super) target: Option<Target>,
}

/// What keeps the command's terminals and ours in step.
#[derive(Default)]
pub(super) struct InStep {
    pub(super) sizes: Sizes,
    pub(super) modes: Arc<Modes>,
}

/// The command's ends, which must be closed on our side once it runs.
enum Ends {
    Apart { stdout: OwnedFd, stderr: OwnedFd },
    Full(pty_process::blocking::Pts),
}

/// The command's streams before it runs.
pub(super) struct Wires {
    sources: Vec<Source>,
    in_step: InStep,
    ends: Ends,
}

/// A command that runs.
pub(super) struct Running {
    pub(super) pid: Pid,
    pub(super) started: Instant,
    pub(super) started_at: Time,
    pub(super) sources: Vec<Source>,
    pub(super) in_step: InStep,
}

impl Wires {
    pub(super) fn lay(spec: &Spec) -> Result<Wires, CommandError> {
        if spec.tty == Tty::Full {
            return full(spec).map_err(failed("open a terminal"));
        }
        let mut in_step = InStep::default();
        let (out, out_end) = apart(spec, Stream::Stdout, &mut in_step)?;
        let (err, err_end) = apart(spec, Stream::Stderr, &mut in_step)?;
        Ok(Wires { sources: vec![out, err], in_step, ends: Ends::Apart { stdout: out_end, stderr: err_end } })
    }
}

fn full(spec: &Spec) -> io::Result<Wires> {
    let (ours, theirs) = pty_process::blocking::open().map_err(io_error)?;
    pty::copy_modes(theirs.as_fd())?;
    let ours = OwnedFd::from(ours);
    pty::never_block(&ours)?;
    let fd = Arc::new(ours);
    let mut in_step = InStep::default();
    in_step.sizes.follow(stdout(), &fd)?;
    let source = Source { stream: Stream::Stdout, fd, target: target(spec, Stream::Stdout) };
    Ok(Wires { sources: vec![source], in_step, ends: Ends::Full(theirs) })
}

fn io_error(error: pty_process::Error) -> io::Error {
    match error {
        pty_process::Error::Io(error) => error,
        pty_process::Error::Rustix(errno) => errno.into(),
    }
}

/// A pipe or a terminal for one stream.
fn apart(spec: &Spec, stream: Stream, in_step: &mut InStep) -> Result<(Source, OwnedFd), CommandError> {
    let like = if stream == Stream::Stdout { stdout() } else { stderr() };
    let terminal = spec.tty == Tty::Always || spec.tty == Tty::Auto && isatty(like);
    let (ours, theirs) = if terminal {
        pty::open_for_stream().map_err(failed("open a terminal"))?
    } else {
        open_pipe().map_err(failed("open a pipe"))?
    };
    let fd = Arc::new(ours);
    if terminal {
        in_step.sizes.follow(like, &fd).map_err(failed("set the size of a terminal"))?;
    }
    if terminal && isatty(like) {
        in_step.modes.follow(like, &fd).map_err(failed("read the modes of a terminal"))?;
    }
    Ok((Source { stream, fd, target: target(spec, stream) }, theirs))
}

fn open_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (ours, theirs) = pipe_with(PipeFlags::CLOEXEC)?;
    pty::never_block(&ours)?;
    // Refused where the user's pipes hold too much already; the usual size works as well.
    let _ = fcntl_setpipe_size(&ours, PIPE_BYTES);
    Ok((ours, theirs))
}

fn target(spec: &Spec, stream: Stream) -> Option<Target> {
    let fd = if stream == Stream::Stdout { stdout() } else { stderr() };
    let close_with_reader = spec.pass_through == PassThrough::Attached;
    (spec.pass_through != PassThrough::Quiet).then_some(Target { fd, close_with_reader })
}

/// Starts the command; its ends of the wires are closed on our side when this returns.
pub(super) fn spawn(spec: &Spec, wires: Wires) -> Result<Running, CommandError> {
    let Wires { sources, in_step, ends } = wires;
    let started_at = Time::now();
    let pid = start(spec, &ends).map_err(|error| explain(spec, error))?;
    Ok(Running { pid, started: Instant::now(), started_at, sources, in_step })
}

fn start(spec: &Spec, ends: &Ends) -> io::Result<Pid> {
    match limited(spec, || start_program(&spec.program, &[], spec, ends)) {
        Err(error) if error.raw_os_error() == Some(Errno::NOEXEC.raw_os_error()) => {
            let script = find(&spec.program).unwrap_or_else(|| PathBuf::from(&spec.program));
            limited(spec, || start_program(OsStr::new("/bin/sh"), &[script.as_os_str()], spec, ends))
        }
        other => other,
    }
}

fn limited(spec: &Spec, start: impl FnOnce() -> io::Result<Pid>) -> io::Result<Pid> {
    match &spec.open_files {
        Some(limit) => limit.start(start),
        None => start(),
    }
}

fn start_program(program: &OsStr, first_args: &[&OsStr], spec: &Spec, ends: &Ends) -> io::Result<Pid> {
    let mut command = Command::new(program);
    command.args(first_args).args(&spec.args).envs(spec.env.iter().map(|(name, value)| (name, value)));
    if let Some(dir) = &spec.cwd {
        command.current_dir(dir);
    }
    let mut stdin = Stdio::inherit();
    if spec.group == Group::Own {
        command.process_group(0);
        stdin = Stdio::null();
    }
    let child = match ends {
        Ends::Apart { stdout, stderr } => {
            command.stdin(stdin).stdout(stdout.try_clone()?).stderr(stderr.try_clone()?).spawn()?
        }
        Ends::Full(theirs) => pty_process::blocking::Command::from(command).spawn_borrowed(theirs).map_err(io_error)?,
    };
    // The child is waited for by its id, together with what else we adopt.
    i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or_else(|| io::Error::other("no process id"))
}

fn explain(spec: &Spec, source: io::Error) -> CommandError {
    let program = spec.program.to_string_lossy().into_owned();
    if let Some(dir) = spec.cwd.clone().filter(|dir| !dir.is_dir()) {
        return CommandError::NoSuchDir { program, dir };
    }
    match Errno::from_io_error(&source) {
        Some(Errno::NOENT) if find(&spec.program).is_some() => CommandError::NotExecutable {
            program,
            source: io::Error::new(io::ErrorKind::NotFound, "the interpreter it names is missing"),
        },
        Some(Errno::NOENT) => CommandError::NotFound { program },
        Some(Errno::AGAIN | Errno::NOMEM | Errno::MFILE | Errno::NFILE) => {
            CommandError::Other { action: "start a process", source }
        }
        _ => CommandError::NotExecutable { program, source },
    }
}

/// The file that a program's name stands for.
fn find(program: &OsStr) -> Option<PathBuf> {
    if program.as_encoded_bytes().contains(&b'/') {
        return Some(PathBuf::from(program)).filter(|path| path.is_file());
    }
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|dir| dir.join(Path::new(program))).find(|path| path.is_file())
}
