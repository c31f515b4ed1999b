//! Groups of parameters, each moved by a rule of its own, and clipping by the norm of gradients.

use burn::tensor::Gradients;

use super::adamw::{AdamWConfig, Moments, Update};
use super::fetch::Fetched;
use super::sgd;
use crate::params::{Param, ParamSet, squares};

/// Parameters that are moved alike.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Beginnings of the names of its parameters; a parameter belongs to the first group that has
    /// its beginning. An empty list takes all.
    pub prefixes: Vec<&'static str>,
    /// How they are moved.
    pub rule: Rule,
    /// Times the run's learning rate.
    pub rate_factor: f64,
    /// Whether decay reaches one-dimensional parameters and biases too.
    pub decays_all: bool,
    /// Groups of one set are clipped by the norm of all their gradients together.
    pub clip_set: usize,
    /// Largest such norm.
    pub clip_norm: f64,
    /// The one phase in which they are moved; `None` means every phase.
    pub phase: Option<usize>,
}

/// How a parameter follows its gradient.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// Adam with decoupled weight decay.
    AdamW(AdamWConfig),
    /// Adam (Kingma and Ba 2015); the decay is added to the gradient.
    Adam(AdamWConfig),
    /// Gradient descent with momentum.
    Sgd {
        /// Share of the last direction that is kept.
        momentum: f64,
        /// Times the parameter, added to the gradient.
        weight_decay: f64,
    },
}

impl Group {
    /// All parameters under one rule, clipped by their common norm; the norm is that of AdamW's
    /// constants, or 5.
    pub fn everything(rule: Rule) -> Self {
        let clip_norm = match rule {
            Rule::AdamW(config) | Rule::Adam(config) => config.clip_norm,
            Rule::Sgd { .. } => AdamWConfig::default().clip_norm,
        };
        Self {
            prefixes: Vec::new(),
            rule,
            rate_factor: 1.0,
            decays_all: false,
            clip_set: 0,
            clip_norm,
            phase: None,
        }
    }

    /// The parameters whose names begin with one of `prefixes`, clipped on their own as set
    /// `clip_set`.
    pub fn named(prefixes: &[&'static str], clip_set: usize, rule: Rule) -> Self {
        Self { prefixes: prefixes.to_vec(), clip_set, ..Self::everything(rule) }
    }

    fn holds(&self, param: &Param) -> bool {
        self.prefixes.is_empty()
            || self.prefixes.iter().any(|prefix| param.name().starts_with(prefix))
    }

    fn is_moved_in(&self, phase: usize) -> bool {
        self.phase.is_none_or(|own| own == phase)
    }
}

/// Norms of the gradients of a step, before clipping.
#[derive(Debug, Clone, PartialEq)]
pub struct Norms {
    /// Of all parameters that the step moves.
    pub total: f64,
    /// Squares by clip set.
    squares_of_set: Vec<f64>,
}

/// Groups and their state: up to two moments per value of every trained parameter, in their order.
#[derive(Debug, Clone)]
pub struct Optimiser {
    groups: Vec<Group>,
    /// Group of every trained parameter.
    group_of: Vec<usize>,
    /// Steps that each group has taken.
    n_steps: Vec<u64>,
    moments: Vec<Moments>,
}

impl Optimiser {
    /// Fresh state for the trained parameters of `params`.
    ///
    /// # Panics
    ///
    /// When a trained parameter is in no group.
    pub fn new(groups: Vec<Group>, params: &ParamSet) -> Self {
        let group_of: Vec<usize> = params
            .trained()
            .map(|param| {
                let group = groups.iter().position(|group| group.holds(param));
                group.unwrap_or_else(|| panic!("`{}` is in no group", param.name()))
            })
            .collect();
        let moments = params
            .trained()
            .zip(&group_of)
            .map(|(param, &group)| {
                let n_second = match groups[group].rule {
                    Rule::AdamW(_) | Rule::Adam(_) => param.len(),
                    Rule::Sgd { .. } => 0,
                };
                Moments { first: vec![0.0; param.len()], second: vec![0.0; n_second] }
            })
            .collect();
        Self { n_steps: vec![0; groups.len()], groups, group_of, moments }
    }

    /// AdamW for all parameters.
    pub fn adamw(config: AdamWConfig, params: &ParamSet) -> Self {
        Self::new(vec![Group::everything(Rule::AdamW(config))], params)
    }

    /// The moments, in the order of the trained parameters.
    pub fn moments(&self) -> &[Moments] {
        &self.moments
    }

    /// The same, to put those of a stopped run in place.
    pub(super) fn moments_mut(&mut self) -> &mut [Moments] {
        &mut self.moments
    }

    /// Steps that each group has taken.
    pub fn n_steps(&self) -> &[u64] {
        &self.n_steps
    }

    /// Sets the steps that each group has taken; for going on with a run.
    pub(super) fn set_n_steps(&mut self, n_steps: &[u64]) {
        for (own, &given) in self.n_steps.iter_mut().zip(n_steps) {
            *own = given;
        }
    }

    /// Whether a step of `phase` moves this parameter.
    pub fn moves(&self, param: &Param, phase: usize) -> bool {
        self.groups
            .iter()
            .find(|group| group.holds(param))
            .is_some_and(|group| group.is_moved_in(phase))
    }

    /// Clips the gradients and moves the parameters of `phase`.
    ///
    /// A parameter that the loss does not depend on has a zero gradient and still decays. Where a
    /// norm is no number, nothing is moved.
    pub fn step(
        &mut self,
        params: &ParamSet,
        gradients: &Gradients,
        phase: usize,
        learning_rate: f64,
    ) -> Norms {
        let is_moved =
            |index: usize, _: &Param| self.groups[self.group_of[index]].is_moved_in(phase);
        let fetched = Fetched::of(params, gradients, is_moved);
        let norms = self.norms(params, gradients, fetched.as_ref(), phase);
        if !norms.total.is_finite() {
            return norms;
        }
        for (group, n_steps) in self.groups.iter().zip(&mut self.n_steps) {
            *n_steps += u64::from(group.is_moved_in(phase));
        }
        let parts = params.trained().zip(&self.group_of).zip(&mut self.moments);
        for (index, ((param, &group_index), moments)) in parts.enumerate() {
            let group = &self.groups[group_index];
            if !group.is_moved_in(phase) {
                continue;
            }
            let norm = norms.squares_of_set[group.clip_set].sqrt();
            let clip = (group.clip_norm / (norm + 1e-6)).min(1.0);
            let rate = learning_rate * group.rate_factor;
            let decays =
                group.decays_all || (param.shape().len() > 1 && param.leaf_name() != "bias");
            let mut moved = |values: &[f32], grad: Option<&[f32]>| {
                let mut values = values.to_vec();
                let zeros = if grad.is_none() { vec![0.0; values.len()] } else { Vec::new() };
                let grad = grad.unwrap_or(&zeros);
                let n_steps = self.n_steps[group_index];
                match group.rule {
                    Rule::AdamW(config) => {
                        let update = Update::new(&config, n_steps, rate, clip);
                        update.apply(&mut values, grad, moments, decays);
                    }
                    Rule::Adam(config) => {
                        let l2 = if decays { config.weight_decay } else { 0.0 };
                        let update = Update::coupled(&config, n_steps, rate, clip, l2);
                        update.apply(&mut values, grad, moments, false);
                    }
                    Rule::Sgd { momentum, weight_decay } => {
                        let decay = if decays { weight_decay } else { 0.0 };
                        let update = sgd::Update::new(momentum, decay, rate, clip);
                        update.apply(&mut values, grad, &mut moments.first);
                    }
                }
                values
            };
            match &fetched {
                None => param.update(gradients, moved),
                Some(fetched) => {
                    let copy = fetched.copy(index);
                    param.set_values(moved(&copy.values, copy.grad.as_deref()));
                }
            }
        }
        norms
    }

    fn norms(
        &self,
        params: &ParamSet,
        gradients: &Gradients,
        fetched: Option<&Fetched>,
        phase: usize,
    ) -> Norms {
        let n_sets = self.groups.iter().map(|group| group.clip_set + 1).max().unwrap_or(0);
        let mut squares_of_set = vec![0.0; n_sets];
        for (index, (param, &group)) in params.trained().zip(&self.group_of).enumerate() {
            let group = &self.groups[group];
            if group.is_moved_in(phase) {
                squares_of_set[group.clip_set] += match fetched {
                    None => param.grad_squares(gradients),
                    Some(fetched) => fetched.copy(index).grad.as_deref().map_or(0.0, squares),
                };
            }
        }
        Norms { total: squares_of_set.iter().sum::<f64>().sqrt(), squares_of_set }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor};
    use rand::SeedableRng as _;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::params::{Builder, Init, InitRule, Weight};

    fn two() -> (ParamSet, [Weight<2>; 2]) {
        let builder = Builder::new(&Device::flex(), ChaCha8Rng::seed_from_u64(1));
        let root = builder.root(InitRule::Decoder);
        let weight = |name: &str| root.sub(name).weight("weight", [1, 2], Init::Ones);
        let weights = [weight("a"), weight("b")];
        (builder.finish(), weights)
    }

    fn values(weight: &Weight<2>) -> Vec<f32> {
        weight.get().inner().into_data().try_to_vec().unwrap()
    }

    /// The gradient of `sum(3 a) + sum(4 b)`; its norm is `sqrt(2) · 3` and `sqrt(2) · 4`.
    fn gradients(weights: &[Weight<2>; 2]) -> Gradients {
        let [a, b] = weights.each_ref().map(Weight::get);
        let loss: Tensor<1> = (a * 3.0).sum() + (b * 4.0).sum();
        loss.backward()
    }

    const SGD: Rule = Rule::Sgd { momentum: 0.0, weight_decay: 0.0 };

    #[test]
    fn sets_are_clipped_on_their_own_and_rates_differ() {
        let (params, weights) = two();
        params.track(true);
        let first = Group { clip_norm: 2.0_f64.sqrt(), ..Group::named(&["a."], 0, SGD) };
        let second = Group { rate_factor: 0.5, clip_norm: 1e9, ..Group::named(&["b."], 1, SGD) };
        let mut optimiser = Optimiser::new(vec![first, second], &params);
        let norms = optimiser.step(&params, &gradients(&weights), 0, 0.1);
        assert!((norms.total - 50.0_f64.sqrt()).abs() < 1e-6);
        assert!(values(&weights[0]).iter().all(|value| (value - 0.9).abs() < 1e-5));
        assert!(values(&weights[1]).iter().all(|value| (value - 0.8).abs() < 1e-5));
    }

    #[test]
    fn a_phase_moves_its_own_parameters_alone() {
        let (params, weights) = two();
        let of_phase =
            |prefix, phase| Group { phase: Some(phase), ..Group::named(&[prefix], 0, SGD) };
        let mut optimiser = Optimiser::new(vec![of_phase("a.", 0), of_phase("b.", 1)], &params);
        params.track_only(|param| optimiser.moves(param, 1));
        let norms = optimiser.step(&params, &gradients(&weights), 1, 0.1);
        assert!((norms.total - 32.0_f64.sqrt()).abs() < 1e-6);
        assert_eq!(values(&weights[0]), [1.0, 1.0]);
        assert!(values(&weights[1])[0] < 1.0);
        assert_eq!(optimiser.n_steps(), [0, 1]);
    }
}
