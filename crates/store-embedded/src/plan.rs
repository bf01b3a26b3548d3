//! Which blocks have to be read for a query, and in which order.

use std::ops::ControlFlow;

use logboom_record::Time;
use logboom_store::{Order, Query, StoreError};

use crate::{
    find::Finder,
    lines::{Judge, Unit},
    place::{Place, Seen},
    source::{Chunk, Facts},
    sweep,
    view::{BlockAt, View},
};

/// A block to read, and between which times its entries stand in history.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Task {
    pub at: BlockAt,
    pub earliest: Time,
    pub latest: Time,
}

/// A query, taken apart for a view.
pub(crate) struct Plan<'a> {
    pub view: &'a View,
    pub query: &'a Query,
    pub seen: &'a Seen,
    pub place: Place,
    pub finder: Option<Finder>,
    pub tasks: Vec<Task>,
}

/// A thread's memory: the block it works on, and one to look into beside it.
#[derive(Default)]
pub(crate) struct Memory {
    pub chunk: Chunk,
    pub side: Chunk,
}

impl<'a> Plan<'a> {
    /// Finds the blocks that may have a line of the answer.
    pub fn new(view: &'a View, query: &'a Query, seen: &'a Seen, place: Place, unit: Unit) -> Plan<'a> {
        let finder = query.text.as_ref().map(Finder::new);
        let mut plan = Plan { view, query, seen, place, finder, tasks: Vec::new() };
        for (session, source) in view.sources() {
            let of = &view.sessions[session].sources[source];
            let may_match = plan.finder.as_ref().and_then(|finder| of.candidates(&finder.grams));
            for (block, facts) in of.blocks.iter().enumerate() {
                let joins = facts.joins_earlier || facts.joins_later;
                let ruled_out = !joins && may_match.as_ref().is_some_and(|set| set.get(block) == Some(&false));
                if !ruled_out && plan.is_wanted(facts, unit) {
                    let at = BlockAt { session, source, block };
                    plan.tasks.push(Task { at, earliest: facts.times.0, latest: facts.latest() });
                }
            }
        }
        match query.order {
            Order::Oldest => plan.tasks.sort_by_key(|task| task.earliest),
            Order::Newest => plan.tasks.sort_by_key(|task| std::cmp::Reverse(task.latest)),
        }
        plan
    }

    /// Whether a block may have something of the answer, by what is known without reading it. Parts of lines that start
    /// elsewhere follow other rules than their own, so where entries are asked for blocks with such are never left out.
    fn is_wanted(&self, facts: &Facts, unit: Unit) -> bool {
        let query = self.query;
        let picked = || facts.runs.iter().filter(|run| self.view.picked.contains(&run.id));
        let gaps = query.text.is_none()
            && (facts.has_gaps || facts.lead.iter().any(|gap| self.view.picked.contains(&gap.run)));
        if picked().next().is_none() && !gaps {
            return false;
        }
        if !self.place.admits_times(query.order, facts.times.0, facts.latest()) {
            return false;
        }
        if unit == Unit::Entries && facts.joins_earlier {
            return true;
        }
        let in_time = query.since.is_none_or(|since| facts.times.1 >= since)
            && query.until.is_none_or(|until| facts.times.0 < until);
        let in_seq = picked().any(|run| run.first_seq <= query.seq_max && run.next_seq > query.seq_min);
        let levels = picked().flat_map(|run| &run.levels[query.level_min as usize..]).any(|count| *count > 0);
        in_time && (gaps || (in_seq && levels))
    }

    /// A judge of its blocks.
    pub fn judge(&self, unit: Unit) -> Judge<'_> {
        let Plan { view, query, seen, place, finder, .. } = self;
        Judge { view, query, finder: finder.as_ref(), seen, place: *place, unit }
    }

    /// Whether everything that stands before `time` in the order is known when the first `done` tasks are.
    pub fn is_settled(&self, done: usize, time: Time) -> bool {
        self.tasks.get(done).is_none_or(|next| match self.query.order {
            Order::Oldest => time < next.earliest,
            Order::Newest => time > next.latest,
        })
    }

    /// Does the tasks on every core.
    pub fn sweep<T: Send>(
        &self,
        work: impl Fn(&Task, &mut Memory) -> Result<T, StoreError> + Sync,
        take: impl FnMut(usize, T) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<(), StoreError> {
        sweep::sweep(self.tasks.len(), |task, memory: &mut Memory| work(&self.tasks[task], memory), take)
    }
}
