//! What an engine says of a container: the members that logboom uses, each of which may be absent.

use std::{collections::BTreeMap, net::IpAddr, path::PathBuf};

use serde::{Deserialize, Deserializer};

use super::Framing;

/// A container, as `inspect` shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container {
    /// The whole id, 64 hex digits.
    pub id: String,
    /// The name, without the slash that the API writes before it.
    pub name: String,
    /// The image, as it was named when the container was created.
    pub image: String,
    /// When it was created, in nanoseconds since 1970 UTC.
    pub created_at_ns: Option<i64>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Whether it has a terminal, so that its output is one raw stream.
    pub tty: bool,
    /// The log driver: `json-file`, `local`, `none`, ..
    pub log_driver: String,
    /// The log driver's options, such as `max-size`.
    pub log_options: BTreeMap<String, String>,
    /// The driver's file on the engine's machine, if it has one; for `json-file` the one being written.
    pub log_path: Option<PathBuf>,
    /// Whether the engine removes it as soon as it ends.
    pub auto_remove: bool,
    /// How often its restart policy has started it again.
    pub restart_count: u32,
    /// Its addresses in the networks of the engine's machine.
    pub addresses: Vec<IpAddr>,
    /// Its TCP ports that the engine's machine has, too.
    pub published: Vec<Published>,
    /// How it is doing.
    pub state: State,
}

/// A TCP port of a container that the engine's machine passes on to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// The container's port.
    pub port: u16,
    /// The address on the engine's machine; 0.0.0.0 or :: is every one.
    pub host_address: IpAddr,
    /// The port on the engine's machine.
    pub host_port: u16,
}

impl Container {
    /// How its output comes.
    pub fn framing(&self) -> Framing {
        Framing::of_tty(self.tty)
    }
}

/// How a container is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The engine's word: `created`, `running`, `paused`, `restarting`, `removing`, `exited`, `dead`; podman has
    /// others.
    pub status: String,
    /// Whether it has a process; also while paused or restarting.
    pub running: bool,
    /// The process on the engine's machine, if there is one.
    pub pid: Option<u32>,
    /// How it ended last; 0 if it never did.
    pub exit_code: i32,
    /// Whether it ran out of memory.
    pub oom_killed: bool,
    /// Why it could not be started; empty if it could.
    pub error: String,
    /// When it was last started, in nanoseconds since 1970 UTC.
    pub started_at_ns: Option<i64>,
    /// When it last ended, in nanoseconds since 1970 UTC. Engines stamp the end of one that ends at once before its
    /// start.
    pub finished_at_ns: Option<i64>,
    /// What its health check says, if it has one.
    pub health: Option<Health>,
}

/// What a health check says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Nothing yet.
    Starting,
    /// All is well.
    Healthy,
    /// It failed as often as it may.
    Unhealthy,
}

impl Health {
    /// Reads the engine's word.
    pub fn of(word: &str) -> Option<Health> {
        match word {
            "starting" => Some(Health::Starting),
            "healthy" => Some(Health::Healthy),
            "unhealthy" => Some(Health::Unhealthy),
            _ => None,
        }
    }
}

/// Which containers to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListQuery {
    /// `KEY` or `KEY=VALUE`: they have all of these labels.
    pub labels: Vec<String>,
    /// Also those that do not run.
    pub all: bool,
}

/// A container, as the list shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// The whole id.
    pub id: String,
    /// The name, without the slash that the API writes before it.
    pub name: String,
    /// The image.
    pub image: String,
    /// The engine's word for its state, as [`State::status`].
    pub status: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// Reads the answer of `GET /containers/{id}/json`.
pub(super) fn container_of(json: &[u8]) -> serde_json::Result<Container> {
    let wire: ContainerWire = serde_json::from_slice(json)?;
    let WireConfig { image, labels, tty } = wire.config;
    let HostConfig { log_config, auto_remove } = wire.host_config;
    Ok(Container {
        id: wire.id,
        name: wire.name.trim_start_matches('/').to_owned(),
        image,
        created_at_ns: nanos(&wire.created),
        labels,
        tty,
        log_driver: log_config.driver,
        log_options: log_config.config,
        log_path: Some(PathBuf::from(wire.log_path)).filter(|path| !path.as_os_str().is_empty()),
        auto_remove,
        restart_count: wire.restart_count,
        addresses: wire.network_settings.addresses(),
        published: wire.network_settings.published(),
        state: state_of(wire.state),
    })
}

fn state_of(wire: WireState) -> State {
    let (started_at_ns, finished_at_ns) = (nanos(&wire.started_at), nanos(&wire.finished_at));
    let status = status_of(wire.status, started_at_ns, finished_at_ns);
    State {
        status,
        running: wire.running,
        pid: u32::try_from(wire.pid).ok().filter(|&pid| pid != 0),
        exit_code: to_i32(wire.exit_code),
        oom_killed: wire.oom_killed,
        error: wire.error,
        started_at_ns,
        finished_at_ns,
        health: Health::of(&wire.health.status),
    }
}

/// Podman goes on to say `created` for a while of a container that runs, or has run; docker never does of one that was started.
fn status_of(said: String, started_at_ns: Option<i64>, finished_at_ns: Option<i64>) -> String {
    match (said.as_str(), started_at_ns) {
        ("created", Some(_)) if finished_at_ns < started_at_ns => "running".to_owned(),
        ("created", Some(_)) => "exited".to_owned(),
        _ => said,
    }
}

/// Reads the answer of `GET /containers/json`.
pub(super) fn list_of(json: &[u8]) -> serde_json::Result<Vec<Listed>> {
    let list: Vec<WireListed> = serde_json::from_slice(json)?;
    Ok(list.into_iter().map(listed_of).collect())
}

fn listed_of(wire: WireListed) -> Listed {
    // A container that others link to has names below theirs, too: `/theirs/alias`.
    let names = wire.names.iter().map(|name| name.trim_start_matches('/'));
    let name = names.clone().find(|name| !name.contains('/')).or_else(|| names.clone().next());
    Listed {
        name: name.unwrap_or_default().to_owned(),
        id: wire.id,
        image: wire.image,
        status: wire.state,
        labels: wire.labels,
    }
}

/// Nanoseconds since 1970 of a time stamp; `None` of the year 1, by which engines say never.
pub(super) fn nanos(text: &str) -> Option<i64> {
    let time = text.parse::<jiff::Timestamp>().ok()?;
    i64::try_from(time.as_nanosecond()).ok()
}

/// An exit code of Windows is a number without a sign there, with one elsewhere.
pub(super) fn to_i32(exit_code: i64) -> i32 {
    exit_code as i32
}

/// Takes `null` for the default, which engines write where there is nothing.
pub(super) fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ContainerWire {
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    created: String,
    #[serde(default, deserialize_with = "or_default")]
    config: WireConfig,
    #[serde(default, deserialize_with = "or_default")]
    host_config: HostConfig,
    #[serde(default)]
    log_path: String,
    #[serde(default)]
    restart_count: u32,
    #[serde(default, deserialize_with = "or_default")]
    network_settings: NetworkSettings,
    state: WireState,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct NetworkSettings {
    #[serde(rename = "IPAddress")]
    ip_address: String,
    #[serde(deserialize_with = "or_default")]
    networks: BTreeMap<String, Network>,
    /// By `6379/tcp`; null where a port is not published.
    #[serde(deserialize_with = "or_default")]
    ports: BTreeMap<String, Option<Vec<Binding>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Network {
    #[serde(rename = "IPAddress")]
    ip_address: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Binding {
    host_ip: String,
    host_port: String,
}

impl NetworkSettings {
    fn addresses(&self) -> Vec<IpAddr> {
        let all = self.networks.values().map(|network| &network.ip_address).chain([&self.ip_address]);
        let mut addresses: Vec<IpAddr> = all.filter_map(|text| text.parse().ok()).collect();
        addresses.sort();
        addresses.dedup();
        addresses
    }

    fn published(&self) -> Vec<Published> {
        let of_port = |(name, bindings): (&String, &Option<Vec<Binding>>)| {
            let port = name.strip_suffix("/tcp")?.parse().ok()?;
            let bindings = bindings.iter().flatten().filter_map(move |binding| {
                // An empty address is every one.
                let host_address = binding.host_ip.parse().unwrap_or(IpAddr::from([0, 0, 0, 0]));
                Some(Published { port, host_address, host_port: binding.host_port.parse().ok()? })
            });
            Some(bindings.collect::<Vec<_>>())
        };
        self.ports.iter().filter_map(of_port).flatten().collect()
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct WireConfig {
    image: String,
    #[serde(deserialize_with = "or_default")]
    labels: BTreeMap<String, String>,
    tty: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct HostConfig {
    #[serde(deserialize_with = "or_default")]
    log_config: LogConfig,
    auto_remove: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct LogConfig {
    #[serde(rename = "Type")]
    driver: String,
    #[serde(deserialize_with = "or_default")]
    config: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct WireState {
    status: String,
    running: bool,
    pid: i64,
    exit_code: i64,
    #[serde(rename = "OOMKilled")]
    oom_killed: bool,
    error: String,
    started_at: String,
    finished_at: String,
    #[serde(deserialize_with = "or_default")]
    health: WireHealth,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct WireHealth {
    status: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireListed {
    id: String,
    #[serde(default, deserialize_with = "or_default")]
    names: Vec<String>,
    #[serde(default)]
    image: String,
    #[serde(default)]
    state: String,
    #[serde(default, deserialize_with = "or_default")]
    labels: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_member_of_a_container_is_read() {
        let json = br#"{"Id":"ab12","Created":"2026-11-27T00:00:00.000000001Z","Name":"/web","RestartCount":2,
            "LogPath":"/var/lib/docker/containers/ab12/ab12-json.log","Driver":"overlay2","Image":"sha256:00",
            "State":{"Status":"running","Running":true,"Paused":false,"OOMKilled":true,"Dead":false,"Pid":77,"ExitCode":137,
              "Error":"no","StartedAt":"2026-11-27T00:00:01Z","FinishedAt":"0001-01-01T00:00:00Z",
              "Health":{"Status":"healthy","FailingStreak":0,"Log":null}},
            "HostConfig":{"LogConfig":{"Type":"json-file","Config":{"max-size":"10m"}},"AutoRemove":true},
            "Config":{"Tty":true,"Image":"busybox:local","Labels":{"a":"b"}},
            "NetworkSettings":{"IPAddress":"","Ports":{"53/udp":[{"HostIp":"","HostPort":"53"}],"80/tcp":null,
              "6379/tcp":[{"HostIp":"127.0.0.1","HostPort":"32768"}]},"Networks":{"n":{"IPAddress":"172.18.0.2"},"m":{"IPAddress":""}}}}"#;
        let want = Container {
            id: "ab12".into(),
            name: "web".into(),
            image: "busybox:local".into(),
            created_at_ns: Some(1_795_737_600_000_000_001),
            labels: BTreeMap::from([("a".into(), "b".into())]),
            tty: true,
            log_driver: "json-file".into(),
            log_options: BTreeMap::from([("max-size".into(), "10m".into())]),
            log_path: Some("/var/lib/docker/containers/ab12/ab12-json.log".into()),
            auto_remove: true,
            restart_count: 2,
            addresses: vec![[172, 18, 0, 2].into()],
            published: vec![Published { port: 6379, host_address: [127, 0, 0, 1].into(), host_port: 32768 }],
            state: State {
                status: "running".into(),
                running: true,
                pid: Some(77),
                exit_code: 137,
                oom_killed: true,
                error: "no".into(),
                started_at_ns: Some(1_795_737_601_000_000_000),
                finished_at_ns: None,
                health: Some(Health::Healthy),
            },
        };
        assert_eq!(container_of(json).unwrap(), want);
    }

    #[test]
    fn members_may_be_absent_or_null() {
        let bare = Container { id: "ab".into(), ..Container::default() };
        assert_eq!(container_of(br#"{"Id":"ab","State":{}}"#).unwrap(), bare);
        let nulls = br#"{"Id":"ab","State":{"Health":null},"Config":{"Labels":null},"HostConfig":{"LogConfig":{"Config":null}}}"#;
        assert_eq!(container_of(nulls).unwrap(), bare);
        assert_eq!(container_of(br#"{"Id":"ab","State":{},"Config":null,"HostConfig":null}"#).unwrap(), bare);
    }

    #[test]
    fn another_json_is_no_container() {
        for json in ["{}", "[]", "null", r#"{"Id":"ab"}"#, r#"{"Id":1,"State":{}}"#, r#"{"Id":"ab","State":{}"#] {
            assert!(container_of(json.as_bytes()).is_err(), "{json}");
        }
    }

    #[test]
    fn a_listed_container_is_called_by_its_own_name() {
        let json = br#"[{"Id":"ab","Names":["/db/alias","/web"],"Image":"i","State":"exited","Labels":{"a":"b"}},{"Id":"cd"}]"#;
        let web = Listed {
            id: "ab".into(),
            name: "web".into(),
            image: "i".into(),
            status: "exited".into(),
            labels: BTreeMap::from([("a".into(), "b".into())]),
        };
        assert_eq!(list_of(json).unwrap(), [web, Listed { id: "cd".into(), ..Listed::default() }]);
    }

    #[test]
    fn what_was_started_is_not_called_created() {
        let status = |started, finished| status_of("created".to_owned(), started, finished);
        assert_eq!((status(None, None), status(Some(5), None)), ("created".to_owned(), "running".to_owned()));
        assert_eq!((status(Some(5), Some(4)), status(Some(5), Some(6))), ("running".to_owned(), "exited".to_owned()));
        assert_eq!(status_of("paused".to_owned(), Some(5), None), "paused");
    }

    #[test]
    fn time_stamps_may_be_in_any_zone() {
        assert_eq!(nanos("2026-11-27T01:00:00.1+01:00"), nanos("2026-11-27T00:00:00.1Z"));
        assert_eq!(nanos("1970-01-01T00:00:00.000000007Z"), Some(7));
        assert_eq!((nanos(""), nanos("soon")), (None, None));
    }
}
