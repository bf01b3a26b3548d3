//! Which records of the `log` and `tracing` facades a collector wants.

use log::{Level, LevelFilter};

/// Level and targets, fixed when the collector is built.
#[derive(Clone, Debug)]
pub struct Filter {
    level: LevelFilter,
    targets: Vec<(String, LevelFilter)>,
    /// Whether only threads and tasks that are bound to the collector are heard.
    pub bound_only: bool,
}

impl Default for Filter {
    fn default() -> Filter {
        Filter { level: LevelFilter::Trace, targets: Vec::new(), bound_only: false }
    }
}

impl Filter {
    /// Sets the most detailed level that is wanted.
    pub fn set_level(&mut self, level: LevelFilter) {
        self.level = level;
    }

    /// Sets it for a target and all below it; the longest that fits decides.
    pub fn set_target(&mut self, target: String, level: LevelFilter) {
        self.targets.push((target, level));
        self.targets.sort_by_key(|(target, _)| std::cmp::Reverse(target.len()));
    }

    /// Whether a record of this level and target is wanted.
    #[inline]
    pub fn wants(&self, level: Level, target: &str) -> bool {
        if self.targets.is_empty() {
            return level <= self.level;
        }
        let decides = self.targets.iter().find(|(prefix, _)| is_within(target, prefix));
        level <= decides.map_or(self.level, |(_, level)| *level)
    }
}

fn is_within(target: &str, prefix: &str) -> bool {
    target.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_target_that_fits_decides() {
        let mut filter = Filter::default();
        filter.set_level(LevelFilter::Warn);
        filter.set_target("app".to_owned(), LevelFilter::Debug);
        filter.set_target("app::noisy".to_owned(), LevelFilter::Off);
        assert!(filter.wants(Level::Debug, "app::db"));
        assert!(!filter.wants(Level::Error, "app::noisy::inner"));
        assert!(!filter.wants(Level::Info, "application"));
        assert!(filter.wants(Level::Warn, "other"));
    }
}
