//! Commands in a container that runs. What they print is in no log, so whoever starts one has to read it.

use serde::{Deserialize, Serialize};

use super::{
    ApiVersion, Engine, EngineError, Frames, Framing,
    call::{Call, json_of},
};

/// The first API by which a terminal has its size from the beginning.
const KNOWS_SIZE: ApiVersion = ApiVersion { major: 1, minor: 42 };

/// A command to run in a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ExecConfig {
    /// The program and its arguments.
    pub cmd: Vec<String>,
    /// `NAME=VALUE`, beside those of the container.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// As which user; empty for the container's.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// In which directory; empty for the container's.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// Whether it gets a terminal, which stdout and stderr then share.
    pub tty: bool,
    /// Whether what is written to [`BlockingFrames::input`](super::BlockingFrames::input) is its standard input; else that is empty.
    #[serde(rename = "AttachStdin")]
    pub stdin: bool,
    /// Rows and columns of its terminal. Engines before API 1.42 do not know it: the terminal has no size then until
    /// [`exec_resize`](Engine::exec_resize) gives it one.
    #[serde(rename = "ConsoleSize", skip_serializing_if = "Option::is_none")]
    pub size: Option<[u16; 2]>,
}

/// A command that was created in a container, and how to read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exec {
    /// The engine's name for it.
    pub id: String,
    framing: Framing,
}

/// How a command in a container is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ExecState {
    /// Whether it runs. The engine may say so for a moment after the end of its output.
    pub running: bool,
    /// How it ended, once it has.
    #[serde(default)]
    pub exit_code: Option<i32>,
    /// Its process on the engine's machine; 0 if there is none.
    #[serde(default)]
    pub pid: u32,
}

impl Engine {
    /// Makes a command ready to run in a container; [`exec_start`](Engine::exec_start) runs it.
    ///
    /// # Errors
    /// [`EngineError::NoSuchContainer`]; [`EngineError::Conflict`] if the container does not run, or is paused.
    pub async fn exec_create(&self, container: &str, config: &ExecConfig) -> Result<Exec, EngineError> {
        let call = self.call(format!("run {:?} in container {container}", config.cmd)).of_container(container)?;
        let about = call.about.clone();
        let wanted = CreateExec::of(config, self.version());
        let body = serde_json::to_string(&wanted).map_err(|error| about.clone().unreadable(error))?;
        let json = call.post(&format!("/containers/{container}/exec"), body).json().await?;
        let created: CreatedExec = json_of(&json, about)?;
        Ok(Exec { id: created.id, framing: Framing::of_tty(config.tty) })
    }

    /// Runs the command; the stream is what it prints, and ends when it does.
    ///
    /// # Errors
    /// [`EngineError::Conflict`] if the container has ended since; [`EngineError::Said`] if the program cannot be
    /// started.
    pub async fn exec_start(&self, exec: &Exec) -> Result<Frames, EngineError> {
        let body = format!(r#"{{"Detach":false,"Tty":{}}}"#, exec.framing == Framing::Raw);
        self.exec_call("start", exec).post(&format!("/exec/{}/start", exec.id), body).hijack(exec.framing).await
    }

    /// How the command is doing.
    ///
    /// # Errors
    /// [`EngineError::Said`] with status 404 if the engine has forgotten it, some minutes after its end.
    pub async fn exec_inspect(&self, exec: &Exec) -> Result<ExecState, EngineError> {
        let call = self.exec_call("inspect", exec);
        let about = call.about.clone();
        json_of(&call.get(&format!("/exec/{}/json", exec.id)).json().await?, about)
    }

    /// Sets the size of the command's terminal. For a command that is not started yet the engine waits some seconds that it is.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn exec_resize(&self, exec: &Exec, rows: u16, columns: u16) -> Result<(), EngineError> {
        let target = format!("/exec/{}/resize?h={rows}&w={columns}", exec.id);
        self.exec_call("resize", exec).post(&target, String::new()).json().await.map(drop)
    }

    fn exec_call(&self, what: &str, exec: &Exec) -> Call {
        self.call(format!("{what} the command with the exec id {}", exec.id))
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct CreateExec {
    attach_stdout: bool,
    attach_stderr: bool,
    #[serde(flatten)]
    config: ExecConfig,
}

impl CreateExec {
    /// In the words of this API.
    fn of(config: &ExecConfig, version: ApiVersion) -> CreateExec {
        let size = config.size.filter(|_| version >= KNOWS_SIZE);
        CreateExec { attach_stdout: true, attach_stderr: true, config: ExecConfig { size, ..config.clone() } }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreatedExec {
    id: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_is_told_to_engines_that_know_it() {
        let config = ExecConfig { size: Some([30, 110]), tty: true, ..ExecConfig::default() };
        let told = |minor| serde_json::to_value(CreateExec::of(&config, ApiVersion { major: 1, minor })).unwrap();
        assert_eq!(told(42)["ConsoleSize"], serde_json::json!([30, 110]));
        assert!(told(41).get("ConsoleSize").is_none());
        assert_eq!((&told(41)["Tty"], &told(41)["AttachStdin"]), (&true.into(), &false.into()));
    }
}
