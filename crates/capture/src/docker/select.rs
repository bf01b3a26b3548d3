//! Which containers are followed, and which service of the session each is.
//!
//! A container that replaces another under the same compose service, or under the same name, is the same service: its lines
//! go on in the same log.

use std::collections::BTreeMap;

use crate::masks::Masks;

/// Compose's labels, which are the same in v1 and v2.
const PROJECT: &str = "com.docker.compose.project";
const SERVICE: &str = "com.docker.compose.service";
const NUMBER: &str = "com.docker.compose.container-number";
/// On a container that a test session has started: the name of the service that it is.
pub const TEST_SERVICE: &str = "logboom.service";
/// `True` on a container of `compose run`, `False` on others; the same in v1 and v2.
pub const ONE_OFF: &str = "com.docker.compose.oneoff";

/// The fewest digits of an id that are taken for one.
const ID_DIGITS_MIN: usize = 4;

/// Which containers to follow: those that have one of the names, all of the labels, and are of the project. An empty
/// selection is every container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Names or ids, or the first digits of ids.
    pub containers: Vec<String>,
    /// Labels, each with the value it must have, or any.
    pub labels: Vec<(String, Option<String>)>,
    /// The compose project.
    pub project: Option<String>,
}

impl Selection {
    /// Whether it is every container.
    pub fn is_all(&self) -> bool {
        *self == Selection::default()
    }

    /// Whether a container belongs to it.
    pub fn has(&self, id: &str, name: &str, labels: &BTreeMap<String, String>) -> bool {
        let named = self.containers.is_empty() || self.containers.iter().any(|wanted| is_called(wanted, id, name));
        let labelled = self.labels.iter().all(|(key, value)| {
            labels.get(key).is_some_and(|found| value.as_ref().is_none_or(|wanted| wanted == found))
        });
        let project = self.project.as_ref().is_none_or(|project| labels.get(PROJECT) == Some(project));
        named && labelled && project
    }
}

/// Whether `wanted` is the container's name, its id, or the beginning of that.
pub fn is_called(wanted: &str, id: &str, name: &str) -> bool {
    wanted == name || (wanted.len() >= ID_DIGITS_MIN && id.starts_with(wanted))
}

/// What stays the same when a container is replaced by another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceKey {
    /// A container of a compose service.
    Compose {
        /// The project.
        project: String,
        /// The service.
        service: String,
        /// Which of its containers, from 1.
        number: u32,
    },
    /// Any other, by its name.
    Named(String),
}

impl ServiceKey {
    /// Of a container.
    pub fn of(name: &str, labels: &BTreeMap<String, String>) -> ServiceKey {
        let one_off = labels.get(ONE_OFF).is_some_and(|value| value.eq_ignore_ascii_case("true"));
        match (labels.get(PROJECT), labels.get(SERVICE)) {
            (Some(project), Some(service)) if !one_off => {
                let number = labels.get(NUMBER).and_then(|number| number.parse().ok()).unwrap_or(1);
                ServiceKey::Compose { project: project.clone(), service: service.clone(), number }
            }
            _ => ServiceKey::Named(labels.get(TEST_SERVICE).map_or(name, String::as_str).to_owned()),
        }
    }

    /// What its run is called, and its text log: `web`, `web.2` where the service is scaled, or the container's name.
    pub fn name(&self) -> String {
        match self {
            ServiceKey::Compose { service, number: 1, .. } => service.clone(),
            ServiceKey::Compose { service, number, .. } => format!("{service}.{number}"),
            ServiceKey::Named(name) => name.clone(),
        }
    }

    /// The labels of its run, by which it is known again in the metadata.
    pub fn labels(&self) -> BTreeMap<String, String> {
        let labels = match self {
            ServiceKey::Compose { project, service, number } => {
                vec![("project", project.clone()), ("service", service.clone()), ("number", number.to_string())]
            }
            ServiceKey::Named(name) => vec![("container", name.clone())],
        };
        labels.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }

    /// The same without what is secret, as it is written.
    pub fn masked(&self, masks: &Masks) -> ServiceKey {
        match self {
            ServiceKey::Compose { project, service, number } => ServiceKey::Compose {
                project: masks.mask_str(project),
                service: masks.mask_str(service),
                number: *number,
            },
            ServiceKey::Named(name) => ServiceKey::Named(masks.mask_str(name)),
        }
    }

    /// Reads what [`ServiceKey::labels`] gives.
    pub fn of_labels(labels: &BTreeMap<String, String>) -> Option<ServiceKey> {
        if let Some(name) = labels.get("container") {
            return Some(ServiceKey::Named(name.clone()));
        }
        let (project, service) = (labels.get("project")?.clone(), labels.get("service")?.clone());
        Some(ServiceKey::Compose { project, service, number: labels.get("number")?.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(of: &[(&str, &str)]) -> BTreeMap<String, String> {
        of.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    /// The labels that compose v1 1.29 and v2 2.29 put on a container, as `docker inspect` shows them.
    fn web(number: &str, one_off: &str) -> BTreeMap<String, String> {
        labels(&[(PROJECT, "shop"), (SERVICE, "web"), (NUMBER, number), (ONE_OFF, one_off)])
    }

    #[test]
    fn a_container_is_picked_by_its_name_or_the_beginning_of_its_id() {
        let picked = |wanted: &str| {
            let selection = Selection { containers: vec!["other".into(), wanted.into()], ..Selection::default() };
            selection.has("0123456789ab", "web", &labels(&[]))
        };
        assert_eq!(
            ["web", "0123", "0123456789ab", "012", "we", "1234"].map(picked),
            [true, true, true, false, false, false]
        );
    }

    #[test]
    fn labels_and_project_must_all_fit() {
        let all = |of: &[(&str, Option<&str>)], project: Option<&str>| {
            let of = of.iter().map(|(key, value)| ((*key).to_owned(), value.map(str::to_owned)));
            let selection = Selection { labels: of.collect(), project: project.map(str::to_owned), containers: vec![] };
            selection.has("0123", "web", &labels(&[("a", "1"), ("b", "2"), (PROJECT, "shop")]))
        };
        assert!(all(&[], None) && all(&[("a", Some("1")), ("b", None)], Some("shop")));
        assert!(!all(&[("a", Some("1")), ("b", Some("1"))], None) && !all(&[("c", None)], None));
        assert!(!all(&[], Some("other")));
    }

    #[test]
    fn a_recreated_container_is_the_same_service() {
        let first = ServiceKey::of("shop_web_1", &web("1", "False"));
        assert_eq!((first.name().as_str(), &first), ("web", &ServiceKey::of("shop-web-1", &web("1", "False"))));
        assert_eq!(ServiceKey::of("shop_web_2", &web("2", "False")).name(), "web.2");
        for one_off in ["True", "true"] {
            assert_eq!(ServiceKey::of("shop_web_run_1f", &web("1", one_off)).name(), "shop_web_run_1f");
        }
    }

    #[test]
    fn a_container_of_a_test_session_is_called_as_its_service() {
        assert_eq!(ServiceKey::of("logboom-1f-cache", &labels(&[(TEST_SERVICE, "cache")])).name(), "cache");
    }

    #[test]
    fn the_labels_of_a_run_tell_its_service() {
        for key in [ServiceKey::of("x", &web("3", "False")), ServiceKey::of("alone", &labels(&[]))] {
            assert_eq!(ServiceKey::of_labels(&key.labels()), Some(key));
        }
        assert_eq!(ServiceKey::of_labels(&labels(&[("service", "web")])), None);
    }
}
