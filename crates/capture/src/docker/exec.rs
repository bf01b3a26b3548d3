//! A command in a container that runs, as `docker exec` does it. What it prints is in no log: who starts it has to read it.
//!
//! Two things the engine does not let us do: it has no way to end such a command or to signal it, and it says that a program
//! cannot be started in the command's own output, in words of its runtime. So the first words are held back until it is clear
//! whose they are.

use logboom_record::Stream;

use crate::engine::{BlockingFrames, Engine, EngineError, Exec, ExecConfig, Frame, Host, HostError, Input, Stopper};

/// How a runtime begins to say that it cannot start a program.
const RUNTIME_FAILED: &[u8] = b"OCI runtime exec failed: ";
/// What it says where there is no such program; of a directory that is not there it says `chdir`.
const NOT_FOUND: [&str; 2] = ["executable file not found", "no such file or directory"];
const NO_DIRECTORY: &str = "chdir";

/// Why a command was not run, or how it ended is not known.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// What the environment says of the engine.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The engine refuses, or is not there.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Containers that do not run run no commands.
    #[error("container {container} is {status}, not running: start it (`docker start {container}`)")]
    NotRunning {
        /// Its name.
        container: String,
        /// How it is.
        status: String,
    },
    /// The container went while the command ran, and the engine has forgotten the command with it.
    #[error("container {0} was removed while the command ran: how that ended is not known")]
    Removed(String),
    /// The system.
    #[error("cannot run a command in a container")]
    System(#[source] std::io::Error),
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With this exit code; over 128 if a signal killed it.
    Code(i32),
    /// There is no such program in the container (a shell says 127); what the engine said.
    NotFound(String),
    /// The program cannot be run (a shell says 126); what the engine said.
    NotExecutable(String),
    /// We were told to stop. It may go on in the container.
    Left,
}

/// A command that is ready to be run. Blocks; needs no runtime around it.
#[derive(Debug)]
pub struct InContainer {
    /// The container's name.
    pub container: String,
    /// The container's id.
    pub id: String,
    runtime: tokio::runtime::Runtime,
    engine: Engine,
    exec: Exec,
}

/// A command that runs.
#[derive(Debug)]
pub struct Running {
    of: InContainer,
    frames: BlockingFrames,
    /// The process on the engine's machine; 0 if it has ended already.
    pub pid: u32,
}

/// Sets the size of a command's terminal.
#[derive(Clone, Debug)]
pub struct Resizer {
    engine: Engine,
    exec: Exec,
}

impl InContainer {
    /// Makes it ready: the container is there and runs.
    ///
    /// # Errors
    /// [`ExecError`].
    pub fn create(host: &Host, container: &str, config: &ExecConfig) -> Result<InContainer, ExecError> {
        let runtime = new_runtime()?;
        let (engine, found, exec) = runtime.block_on(async {
            let engine = Engine::connect(host).await?;
            let found = engine.inspect(container).await?;
            if !found.state.running {
                let (container, status) = (found.name, found.state.status);
                return Err(ExecError::NotRunning { container, status });
            }
            let exec = engine.exec_create(&found.id, config).await?;
            Ok((engine, found, exec))
        })?;
        Ok(InContainer { container: found.name, id: found.id, runtime, engine, exec })
    }

    /// The hand on its terminal, also before it runs.
    pub fn resizer(&self) -> Resizer {
        Resizer { engine: self.engine.clone(), exec: self.exec.clone() }
    }

    /// Runs it.
    ///
    /// # Errors
    /// [`ExecError::Engine`].
    pub fn start(self) -> Result<Running, ExecError> {
        let (frames, pid) = self.runtime.block_on(async {
            let frames = self.engine.exec_start(&self.exec).await?;
            let pid = self.engine.exec_inspect(&self.exec).await.map_or(0, |state| state.pid);
            Ok::<_, ExecError>((frames.into_blocking()?, pid))
        })?;
        let within_http = || self.engine.unreadable_logs(&self.container, "attached streams come within HTTP");
        let frames = frames.map_err(|_| within_http())?;
        Ok(Running { of: self, frames, pid })
    }
}

impl Running {
    /// The way to its standard input.
    ///
    /// # Errors
    /// [`ExecError::Engine`] if there is no file descriptor left.
    pub fn input(&self) -> Result<Input, ExecError> {
        Ok(self.frames.input()?)
    }

    /// By which another thread has us leave it.
    ///
    /// # Errors
    /// As [`Running::input`].
    pub fn stopper(&self) -> Result<Stopper, ExecError> {
        Ok(self.frames.stopper()?)
    }

    /// Hands out all that it prints, as it comes, and tells how it ended. `is_left` tells whether the stream ends because it was
    /// stopped.
    ///
    /// # Errors
    /// [`ExecError::Engine`] if the connection broke.
    pub fn read(mut self, mut take: impl FnMut(Stream, &[u8]), is_left: impl Fn() -> bool) -> Result<Ended, ExecError> {
        let mut first = match self.frames.next() {
            Ok(Some(frame)) => frame.bytes.starts_with(RUNTIME_FAILED).then(|| frame.bytes.to_vec()).or_else(|| {
                take_frame(&mut take, &frame);
                None
            }),
            Ok(None) => None,
            Err(_) if is_left() => return Ok(Ended::Left),
            Err(error) => return Err(error.into()),
        };
        loop {
            match self.frames.next() {
                Ok(Some(frame)) => {
                    first.take().into_iter().for_each(|held| take(Stream::Stdout, &held));
                    take_frame(&mut take, &frame);
                }
                _ if is_left() => return Ok(Ended::Left),
                Ok(None) => break,
                Err(error) => return Err(error.into()),
            }
        }
        let Some(code) = self.exit_code(is_left)? else { return Ok(Ended::Left) };
        match first {
            Some(said) if code == 126 || code == 127 => Ok(not_started(&said)),
            held => {
                held.into_iter().for_each(|held| take(Stream::Stdout, &held));
                Ok(Ended::Code(code))
            }
        }
    }

    /// Nothing if we are told to stop before there is one.
    fn exit_code(&self, is_left: impl Fn() -> bool) -> Result<Option<i32>, ExecError> {
        let InContainer { runtime, engine, exec, container, .. } = &self.of;
        runtime.block_on(async {
            // A command may close its streams long before its end.
            let mut pause = std::time::Duration::from_millis(1);
            loop {
                let state = match engine.exec_inspect(exec).await {
                    Err(EngineError::Said { status: 404, .. }) => return Err(ExecError::Removed(container.clone())),
                    state => state?,
                };
                match state.exit_code {
                    Some(code) if !state.running => return Ok(Some(code)),
                    _ if is_left() => return Ok(None),
                    _ => {}
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(std::time::Duration::from_millis(100));
            }
        })
    }
}

fn take_frame(take: &mut impl FnMut(Stream, &[u8]), frame: &Frame<'_>) {
    take(frame.stream, frame.bytes);
}

fn not_started(said: &[u8]) -> Ended {
    let said = String::from_utf8_lossy(said).trim_end().to_owned();
    match NOT_FOUND.iter().any(|words| said.contains(words)) && !said.contains(NO_DIRECTORY) {
        true => Ended::NotFound(said),
        false => Ended::NotExecutable(said),
    }
}

impl Resizer {
    /// Tells the command how large its terminal is; waits until there is a command.
    ///
    /// # Errors
    /// [`ExecError`].
    pub fn resize(&self, rows: u16, columns: u16) -> Result<(), ExecError> {
        Ok(new_runtime()?.block_on(self.engine.exec_resize(&self.exec, rows, columns))?)
    }
}

fn new_runtime() -> Result<tokio::runtime::Runtime, ExecError> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ExecError::System)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_not_there_is_told_from_one_that_cannot_be_run() {
        let said =
            b"OCI runtime exec failed: exec failed: container_linux.go:380: starting container process caused: exec: \
                     \"nope\": executable file not found in $PATH: unknown\r\n";
        assert!(matches!(not_started(said), Ended::NotFound(_)));
        let said =
            b"OCI runtime exec failed: exec failed: unable to start container process: exec: \"/etc\": permission \
                     denied: unknown\r\n";
        assert!(matches!(not_started(said), Ended::NotExecutable(_)));
    }
}
