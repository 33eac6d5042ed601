//! What is done to a host's report once the host is finished: differences are waived, or left
//! out as asked. The counts follow, so that text, JSON and exit code go on saying the same.

use std::sync::Arc;

use super::{Difference, HostReport, Keep, ResourceReport, Waived};
use crate::protocol::Status;

impl HostReport {
    /// Drops the resources that are not to be kept; they remain counted.
    pub fn keep(&mut self, keep: Keep) {
        self.resources.retain(|resource| resource.is_kept(keep));
    }

    /// Waives the differences for which `waiver` gives a reason. A resource of which one
    /// difference is open remains drift.
    pub fn waive(
        &mut self,
        mut waiver: impl FnMut(&ResourceReport, &Difference) -> Option<Arc<Waived>>,
    ) {
        for at in 0..self.resources.len() {
            let resource = &self.resources[at];
            if resource.status != Status::Drift {
                continue;
            }
            let found: Vec<_> = resource
                .drift
                .iter()
                .map(|difference| waiver(resource, difference))
                .collect();
            let before = resource.is_waived();
            let resource = &mut self.resources[at];
            for (difference, waived) in resource.drift.iter_mut().zip(found) {
                difference.waived = waived;
            }
            self.move_count(before, at);
        }
    }

    /// Leaves out the differences that are not `worth` showing, and resources that have no
    /// other. What failed or could not be told stays: how bad it is, nobody knows.
    pub fn hide_unless(&mut self, worth: impl Fn(&Difference) -> bool) {
        let mut at = 0;
        while let Some(resource) = self.resources.get_mut(at) {
            if resource.status != Status::Drift || resource.drift.is_empty() {
                at += 1;
                continue;
            }
            let before = resource.is_waived();
            resource.drift.retain(&worth);
            if resource.drift.is_empty() {
                self.resources.remove(at);
                *self.drift_count(before) -= 1;
                self.counts.hidden += 1;
            } else {
                self.move_count(before, at);
                at += 1;
            }
        }
    }

    /// Counts a drifted resource that was, or was not, waived `before` as what it is now.
    fn move_count(&mut self, before: bool, at: usize) {
        let now = self.resources[at].is_waived();
        *self.drift_count(before) -= 1;
        *self.drift_count(now) += 1;
    }

    fn drift_count(&mut self, waived: bool) -> &mut usize {
        if waived {
            &mut self.counts.waived
        } else {
            &mut self.counts.drift
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fixture::{differences, host, resource, waived};
    use super::super::{Counts, HostStatus};
    use super::*;
    use crate::protocol::{Drift, Severity};

    fn drifted(attributes: &[(&str, Severity)]) -> ResourceReport {
        let drift = attributes
            .iter()
            .map(|(name, severity)| Drift::update(*name, "a", "b").severity(*severity));
        ResourceReport {
            drift: differences(drift),
            ..resource(Status::Drift)
        }
    }

    #[test]
    fn one_open_difference_keeps_a_resource_drift() {
        let both = [("mode", Severity::Low), ("owner", Severity::High)];
        let mut node = host("node1", [drifted(&both)]);
        node.waive(|_, found| (found.drift.attribute == "owner").then(waived));
        assert_eq!((node.counts.drift, node.counts.waived), (1, 0));
        assert_eq!(node.status(), HostStatus::Drifted);
        // What is open decides how bad it is.
        assert_eq!(node.resources[0].worst(), Severity::Low);

        node.waive(|_, _| Some(waived()));
        assert_eq!((node.counts.drift, node.counts.waived), (0, 1));
        assert_eq!(node.status(), HostStatus::InSync);
    }

    #[test]
    fn what_failed_or_is_unknown_is_neither_waived_nor_hidden() {
        let found = [resource(Status::Failed), resource(Status::Unknown)];
        let mut node = host("node1", found);
        node.waive(|_, _| Some(waived()));
        node.hide_unless(|_| false);
        assert_eq!((node.counts.failed, node.counts.unknown), (1, 1));
        assert_eq!(node.resources.len(), 2);
    }

    #[test]
    fn the_rest_of_a_resource_is_waived_when_the_open_difference_is_hidden() {
        let both = [("mode", Severity::Low), ("owner", Severity::High)];
        let mut node = host("node1", [drifted(&both)]);
        node.waive(|_, found| (found.drift.attribute == "owner").then(waived));
        node.hide_unless(|found| found.severity >= Severity::High);
        assert_eq!(
            node.counts,
            Counts {
                waived: 1,
                ..Counts::default()
            }
        );
    }

    proptest! {
        /// Whatever is waived and hidden, each resource is counted under exactly one name, and
        /// the counts say what is there.
        #[test]
        fn counts_follow(
            resources in prop::collection::vec(prop::collection::vec((0..3_usize, any::<bool>()), 0..4), 0..6),
            mildest in 0..3_usize,
        ) {
            let severity = |at: usize| Severity::ALL[at];
            let made = resources.iter().map(|drift| {
                let named: Vec<_> = drift
                    .iter()
                    .map(|(at, waived)| (if *waived { "w" } else { "o" }, severity(*at)))
                    .collect();
                drifted(&named)
            });
            let mut node = host("node1", made);
            node.waive(|_, found| (found.drift.attribute == "w").then(waived));
            node.hide_unless(|found| found.severity >= severity(mildest));
            let Counts { drift, waived, hidden, .. } = node.counts;
            prop_assert_eq!(drift + waived + hidden, resources.len());
            let kept = node.resources.iter();
            prop_assert_eq!(waived, kept.filter(|resource| resource.is_waived()).count());
            prop_assert_eq!(drift + waived, node.resources.len());
            let open = resources
                .iter()
                .filter(|drift| drift.is_empty() || drift.iter().any(|(at, waived)| !waived && *at >= mildest));
            prop_assert_eq!(drift, open.count());
        }
    }
}
