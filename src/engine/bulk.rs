//! Several plans as one act: the first alone as a canary, then one after the other; the first that is not seen to
//! have come about stops the rest. A result for each. Pure: the caller sends and tells what came of it.

use crate::domain::command::{Outcome, OutcomeState};
use crate::domain::plan::Plan;
use crate::domain::text::Line;
use crate::domain::time::Time;

/// Where one plan of a bulk stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StepState {
    /// Not sent yet.
    Waiting,
    /// Sent; the newest that is known, `None` until something is.
    Running(Option<Outcome>),
    /// Nothing more will come.
    Over(Outcome),
    /// Never sent, because another one stopped the bulk.
    Skipped,
}

/// One plan of a bulk.
#[derive(Clone, PartialEq, Debug)]
pub struct Step {
    /// What.
    pub plan: Plan,
    /// Where it stands.
    pub state: StepState,
}

/// Plans that are carried out one after the other.
#[derive(Clone, PartialEq, Debug)]
pub struct Bulk {
    steps: Vec<Step>,
}

impl Bulk {
    /// In this order; the first is the canary.
    #[must_use]
    pub fn new(plans: Vec<Plan>) -> Self {
        Self { steps: plans.into_iter().map(|plan| Step { plan, state: StepState::Waiting }).collect() }
    }

    /// All plans and where they stand.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The next plan to send, marked as running; `None` while one runs, and at the end.
    pub fn take_next(&mut self) -> Option<(usize, Plan)> {
        let at = self.steps.iter().position(|s| !matches!(s.state, StepState::Over(_) | StepState::Skipped))?;
        let step = &mut self.steps[at];
        if step.state != StepState::Waiting {
            return None;
        }
        step.state = StepState::Running(None);
        Some((at, step.plan.clone()))
    }

    /// News of the plan at `at`. Anything final but "observed" skips those that wait.
    pub fn on_outcome(&mut self, at: usize, outcome: Outcome) {
        let Some(step) = self.steps.get_mut(at).filter(|s| matches!(s.state, StepState::Running(_))) else { return };
        if !outcome.state.is_final() {
            step.state = StepState::Running(Some(outcome));
            return;
        }
        let stops = outcome.state != OutcomeState::Observed;
        step.state = StepState::Over(outcome);
        if stops {
            self.stop();
        }
    }

    /// Sends nothing more.
    pub fn stop(&mut self) {
        for step in self.steps.iter_mut().filter(|s| s.state == StepState::Waiting) {
            step.state = StepState::Skipped;
        }
    }

    /// Nobody will tell more about the one that runs (the engine has ended): it is unknown.
    pub fn lose(&mut self, now: Time) {
        let detail = Line::new("peerdeck ended before anything was seen");
        for at in 0..self.steps.len() {
            self.on_outcome(at, Outcome { state: OutcomeState::Unknown, at: now, detail: detail.clone() });
        }
    }

    /// Whether nothing more will happen.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.steps.iter().all(|s| matches!(s.state, StepState::Over(_) | StepState::Skipped))
    }

    /// The worst that came of it: observed only when all are; skipped ones don't count beside what stopped them.
    #[must_use]
    pub fn result(&self) -> Option<OutcomeState> {
        let mut over = self.steps.iter().filter_map(|s| match &s.state {
            StepState::Over(outcome) => Some(outcome.state),
            StepState::Waiting | StepState::Running(_) | StepState::Skipped => None,
        });
        if self.is_over() { over.next_back() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Basis, Command, PeerId};

    fn plan(peer: &str) -> Plan {
        let command = Command::Disconnect { peer: PeerId::new(peer), reason: Line::default() };
        Plan { command, evidence: vec![], effects: vec![], obstacles: vec![], basis: Basis::default() }
    }

    fn outcome(state: OutcomeState) -> Outcome {
        Outcome { state, at: Time::ZERO, detail: Line::default() }
    }

    #[test]
    fn d7_the_canary_goes_first_and_each_waits_for_the_one_before() {
        let mut bulk = Bulk::new(vec![plan("a"), plan("b")]);
        let (at, first) = bulk.take_next().unwrap();
        assert_eq!((at, first.command.target().as_str()), (0, "a"));
        assert_eq!(bulk.take_next(), None, "the canary is on its way");
        bulk.on_outcome(0, outcome(OutcomeState::Accepted));
        assert_eq!(bulk.take_next(), None, "accepted is not done");
        bulk.on_outcome(0, outcome(OutcomeState::Observed));
        assert_eq!(bulk.take_next().unwrap().0, 1);
        assert_eq!(bulk.result(), None);
        bulk.on_outcome(1, outcome(OutcomeState::Observed));
        assert_eq!(bulk.result(), Some(OutcomeState::Observed));
    }

    #[test]
    fn d7_the_first_failure_stops_the_rest_and_each_has_a_result() {
        for bad in [OutcomeState::Refused, OutcomeState::Failed, OutcomeState::Unknown] {
            let mut bulk = Bulk::new(vec![plan("a"), plan("b"), plan("c")]);
            bulk.take_next().unwrap();
            bulk.on_outcome(0, outcome(OutcomeState::Observed));
            bulk.take_next().unwrap();
            bulk.on_outcome(1, outcome(bad));
            assert_eq!(bulk.take_next(), None);
            assert!(bulk.is_over());
            assert_eq!(bulk.steps()[2].state, StepState::Skipped);
            assert_eq!(bulk.result(), Some(bad));
        }
    }
}
