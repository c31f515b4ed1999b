//! Which pictures a step sees and how large its learning rate is: functions of the step's number.

use rand::seq::SliceRandom as _;
use serde::{Deserialize, Serialize};

use crate::random;
use crate::run_file::{Schedule, TrainConfig};

/// Length of a run, fixed before its first step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Training pictures.
    pub n_pictures: usize,
    /// Pictures per step.
    pub batch: usize,
    /// Steps of the whole run.
    pub n_steps: u64,
}

impl Plan {
    /// A run of a number of epochs; what does not fill a batch at the end of an epoch is left out.
    pub fn of_epochs(n_pictures: usize, batch: usize, epochs: usize) -> Self {
        let batch = batch.min(n_pictures).max(1);
        let n_steps = (n_pictures / batch) as u64 * epochs as u64;
        Self { n_pictures, batch, n_steps }
    }

    /// A run of a number of steps.
    pub fn of_steps(n_pictures: usize, batch: usize, n_steps: u64) -> Self {
        Self { n_steps, ..Self::of_epochs(n_pictures, batch, 0) }
    }

    /// A run that fits a time, given what a step and the first look at a picture cost.
    pub fn of_time(
        n_pictures: usize,
        batch: usize,
        budget_s: f64,
        step_s: f64,
        first_look_s: f64,
    ) -> Self {
        let batch = batch.min(n_pictures).max(1);
        // While every picture is new, a step costs its first looks as well.
        let all_new = budget_s / (step_s + batch as f64 * first_look_s).max(1e-6);
        let n_steps = if all_new * batch as f64 <= n_pictures as f64 {
            all_new
        } else {
            (budget_s - n_pictures as f64 * first_look_s) / step_s.max(1e-6)
        };
        Self { n_pictures, batch, n_steps: (n_steps as u64).max(1) }
    }

    /// Steps of one pass over the pictures.
    pub fn steps_per_epoch(&self) -> u64 {
        ((self.n_pictures / self.batch) as u64).max(1)
    }

    /// Number of the epoch that `step` belongs to, from 0.
    pub fn epoch(&self, step: u64) -> u64 {
        step / self.steps_per_epoch()
    }

    /// Number of the phase that `step` belongs to, from 0, where the run is shared out by `shares`.
    pub fn phase(&self, step: u64, shares: &[f64]) -> usize {
        let mut end = 0.0;
        for (phase, share) in shares.iter().enumerate() {
            end += share * self.n_steps as f64;
            if (step as f64) < end {
                return phase;
            }
        }
        shares.len().saturating_sub(1)
    }

    /// The pictures of an epoch in their order.
    pub fn order(&self, seed: u64, epoch: u64) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.n_pictures).collect();
        order.shuffle(&mut random::stream(seed, "order of pictures", epoch));
        order.truncate(self.steps_per_epoch() as usize * self.batch);
        order
    }

    /// Learning rate of a step, counted from 0.
    pub fn learning_rate(&self, config: &TrainConfig, step: u64) -> f64 {
        let n_warmup = config.warmup_share * self.n_steps as f64;
        let step = step as f64;
        if step < n_warmup {
            return config.learning_rate * (step + 1.0) / n_warmup.max(1.0).ceil();
        }
        let factor = match config.schedule {
            // Per iteration, as the reference does; its run has a drop at 400 of 500 epochs.
            Schedule::Step if step >= 0.8 * self.n_steps as f64 => 0.1,
            Schedule::Step | Schedule::Constant => 1.0,
            Schedule::Cosine => {
                let done = (step - n_warmup) / (self.n_steps as f64 - n_warmup).max(1.0);
                0.01 + 0.99 * 0.5 * (1.0 + (std::f64::consts::PI * done.min(1.0)).cos())
            }
        };
        config.learning_rate * factor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_picture_comes_once_per_epoch() {
        let plan = Plan::of_epochs(10, 4, 3);
        assert_eq!((plan.n_steps, plan.steps_per_epoch()), (6, 2));
        let mut order = plan.order(1, 0);
        assert_ne!(order, plan.order(1, 1));
        assert_eq!(order, plan.order(1, 0));
        assert_eq!(order.len(), 8);
        order.sort_unstable();
        order.dedup();
        assert_eq!(order.len(), 8);
    }

    #[test]
    fn fewer_pictures_than_a_batch_still_make_steps() {
        let plan = Plan::of_epochs(3, 8, 5);
        assert_eq!((plan.batch, plan.n_steps), (3, 5));
        let plan = Plan::of_steps(10, 4, 7);
        assert_eq!((plan.batch, plan.n_steps, plan.epoch(6)), (4, 7, 3));
    }

    #[test]
    fn a_time_is_filled_whether_all_pictures_are_reached_or_not() {
        // 1,000 pictures in steps of 10; a step takes 0.1 s, and a first look 0.05 s.
        for (budget_s, n_steps) in [(6.0, 10), (59.9, 99), (60.0, 100), (70.0, 200), (0.0, 1)] {
            let plan = Plan::of_time(1000, 10, budget_s, 0.1, 0.05);
            assert!(plan.n_steps.abs_diff(n_steps) <= 1, "{budget_s}: {}", plan.n_steps);
        }
    }

    #[test]
    fn the_paper_s_rate_drops_after_four_fifths() {
        let config = TrainConfig::default();
        let plan = Plan::of_epochs(800, 8, 500);
        assert_eq!(plan.learning_rate(&config, 39_999), 2.5e-3);
        assert!((plan.learning_rate(&config, 40_000) - 2.5e-4).abs() < 1e-12);
    }

    #[test]
    fn phases_follow_their_shares() {
        let plan = Plan::of_epochs(10, 1, 1);
        let phases: Vec<usize> = (0..10).map(|step| plan.phase(step, &[0.2, 0.8])).collect();
        assert_eq!(phases, [0, 0, 1, 1, 1, 1, 1, 1, 1, 1]);
        assert_eq!(plan.phase(9, &[1.0]), 0);
    }

    #[test]
    fn cosine_rises_and_falls() {
        let config =
            TrainConfig { schedule: Schedule::Cosine, warmup_share: 0.1, ..TrainConfig::default() };
        let plan = Plan::of_epochs(800, 8, 1);
        let rates: Vec<f64> = (0..100).map(|step| plan.learning_rate(&config, step)).collect();
        assert!(rates[..10].windows(2).all(|pair| pair[0] < pair[1]));
        assert!(rates[10..].windows(2).all(|pair| pair[0] > pair[1]));
        assert!((rates[9] - config.learning_rate).abs() < 1e-9 && rates[99] < 1e-4);
    }

    #[test]
    fn a_time_budget_counts_the_first_look() {
        let plan = Plan::of_time(100, 10, 100.0, 1.0, 0.5);
        assert_eq!(plan.n_steps, 50);
        assert_eq!(Plan::of_time(10_000, 10, 100.0, 1.0, 0.0).n_steps, 100);
        assert_eq!(Plan::of_time(10, 10, 0.0, 1.0, 0.5).n_steps, 1);
    }
}
