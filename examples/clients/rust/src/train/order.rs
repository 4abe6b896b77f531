//! Which rows of the table an epoch shows, and what labels weigh (CONTRACT.md, "Epochs" and "Scalars").
use super::bundle::Weights;
use super::stream::Stream;
use super::table::Labels;
use std::collections::BTreeMap;

/// Groups of each row, of each task; none where it has no label.
pub type Groups<'a> = Vec<&'a [Option<usize>]>;

/// How rows are chosen.
#[derive(Clone, Copy)]
pub struct Balance {
    pub probs: bool,
    pub classes: bool,
}

/// Row numbers of an epoch: balanced draws with replacement, or a permutation, wrapped round.
pub fn epoch_order(groups: &Groups, balance: Balance, seed: u64, epoch: u32, places: usize) -> Vec<usize> {
    let rows = groups.first().map_or(0, |groups| groups.len());
    let mut stream = Stream::new(seed, "epoch order", epoch, 0);
    if !balance.probs {
        let mut order: Vec<usize> = (0..rows).collect();
        for last in (1..rows).rev() {
            order.swap(last, stream.below(last + 1));
        }
        return order.into_iter().cycle().take(places).collect();
    }
    let weights = row_weights(groups, balance.classes);
    let total: f64 = weights.iter().sum();
    let sums: Vec<f64> = weights
        .iter()
        .scan(0.0, |sum, weight| {
            *sum += weight / total;
            Some(*sum)
        })
        .collect();
    let last = weights.iter().rposition(|&weight| weight > 0.0).unwrap_or(0);
    let mut draw = || {
        let place = stream.uniform() * sums[rows - 1];
        sums.partition_point(|&sum| sum <= place).min(last)
    };
    (0..places).map(|_| draw()).collect()
}

/// A row weighs, for each task that it has a label of, a share of the task; of the row's class, by classes.
fn row_weights(groups: &Groups, by_class: bool) -> Vec<f64> {
    let mut weights = vec![0.0; groups.first().map_or(0, |groups| groups.len())];
    for task in groups {
        let key = |group: &Option<usize>| group.map(|group| if by_class { group } else { 0 });
        let mut counts = BTreeMap::new();
        task.iter().filter_map(key).for_each(|key| *counts.entry(key).or_insert(0usize) += 1);
        for (weight, group) in weights.iter_mut().zip(task.iter()) {
            if let Some(key) = key(group) {
                *weight += 1.0 / (groups.len() * counts.len() * counts[&key]) as f64;
            }
        }
    }
    weights
}

impl Weights {
    /// A number for each class or tag, of the whole training table.
    pub fn of(&self, labels: &Labels) -> Vec<f64> {
        match self {
            Self::Constant(weights) => weights.clone(),
            Self::Balanced(classes) => {
                let mut counts = vec![0usize; *classes];
                labels
                    .groups
                    .iter()
                    .flatten()
                    .filter(|&&class| class < *classes)
                    .for_each(|&class| counts[class] += 1);
                let (all, present) =
                    (counts.iter().sum::<usize>(), counts.iter().filter(|&&n| n > 0).count());
                let weight = |&n: &usize| if n > 0 { all as f64 / (present * n) as f64 } else { 1.0 };
                counts.iter().map(weight).collect()
            }
            Self::BalancedPositives => {
                let count = |tag: usize, flag: f64| {
                    labels
                        .cells
                        .iter()
                        .skip(tag)
                        .step_by(labels.width)
                        .filter(|cell| **cell == Some(flag))
                        .count()
                };
                let weight = |(lack, have): (usize, usize)| {
                    if lack * have > 0 { lack as f64 / have as f64 } else { 1.0 }
                };
                (0..labels.width).map(|tag| weight((count(tag, 0.0), count(tag, 1.0)))).collect()
            }
        }
    }
}
