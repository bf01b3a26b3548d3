//! An engine within a container, for a session that is to touch no other.

use std::{collections::BTreeSet, ffi::OsString};

use logboom_capture::{
    test_spec::{DIND as NAME, Dind, Restart, STOP_GRACE, ServiceSpec, Start},
    waiting::{Condition, HttpUrl, Wait},
};
use logboom_record::Level;

use super::{Stopped, TestSession};

/// Where the inner engine listens.
const PORT: u16 = 2375;
/// What an engine needs that is not to be called privileged: a machine without CAP_SYS_RESOURCE cannot give that.
const CAPABILITIES: [&str; 34] = [
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PTRACE",
    "SYS_TIME",
    "WAKE_ALARM",
];

impl TestSession<'_> {
    /// Starts the engine, waits for it, and gives it the images. From then on all containers of the session are its.
    ///
    /// # Errors
    /// [`Stopped`].
    pub fn start_dind(&mut self, dind: &Dind) -> Result<(), Stopped> {
        if !self.engine().host().is_ok_and(|host| host.is_local()) {
            let why = "[dind] needs an engine on this machine: the inner one is reached at its container's own address";
            return Err(anyhow::anyhow!(why).into());
        }
        let service = ServiceSpec {
            name: NAME.to_owned(),
            start: Start::Container {
                image: dind.image.clone(),
                command: Vec::new(),
                env: [].into(),
                ports: Vec::new(),
                volumes: Vec::new(),
            },
            waits: vec![Wait {
                service: NAME.to_owned(),
                condition: Condition::Http(HttpUrl { host: NAME.to_owned(), port: PORT, path: "/_ping".to_owned() }),
            }],
            after: BTreeSet::new(),
            restart: Restart::No,
            stop_grace: STOP_GRACE,
        };
        let listens = format!("--host=tcp://0.0.0.0:{PORT}");
        // Without the last it waits for some seconds to be noticed.
        let command = ["dockerd", "--host=unix:///var/run/docker.sock", &listens, "--tls=false"].map(str::to_owned);
        self.run_container(&service, (options(), Vec::new()), (&dind.image, &command))?;
        self.wait_for(|started| started.name == NAME)?;
        let address = self.address_of_dind()?;
        let host = format!("tcp://{address}:{PORT}");
        self.tell(Level::Info, &format!("containers are in {host} now"));
        self.load(dind, &host)?;
        self.inner_host = Some(host);
        Ok(())
    }

    fn address_of_dind(&mut self) -> Result<std::net::IpAddr, Stopped> {
        let started = self.started.iter_mut().find(|started| started.name == NAME);
        let address = started.and_then(|started| started.looker.address(&self.masks.mask_str(NAME)));
        address.ok_or_else(|| anyhow::anyhow!("the engine within the container has no address").into())
    }

    fn load(&self, dind: &Dind, host: &str) -> Result<(), Stopped> {
        if dind.load.is_empty() {
            return Ok(());
        }
        let script = format!("docker save -- \"$@\" | docker --host {host} load");
        let words = ["sh".to_owned(), "-c".to_owned(), script, "sh".to_owned()].into_iter().chain(dind.load.clone());
        self.up(&self.chore("docker load", "docker", words.map(OsString::from).collect()))
    }
}

fn options() -> Vec<String> {
    let fixed = [
        "--cap-drop=ALL",
        "--security-opt=seccomp=unconfined",
        "--security-opt=apparmor=unconfined",
        "--env=DOCKER_TLS_CERTDIR=",
        "--volume=/sys/fs/cgroup:/sys/fs/cgroup:rw",
        "--volume=/var/lib/docker",
    ];
    let capabilities = CAPABILITIES.iter().map(|name| format!("--cap-add={name}"));
    fixed.map(str::to_owned).into_iter().chain(capabilities).collect()
}
