//! Which upstream is next. Choosing takes no lock.

use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::model::upstream::{Balance, Upstream};

/// Who sends a request, for [`Balance::Sticky`].
#[derive(Clone, Copy, Debug)]
pub struct StickyKey<'a> {
    /// The user's id; `None` for a visitor who is not signed in.
    pub user: Option<&'a str>,
    /// The client's address, which counts where there is no user.
    pub address: IpAddr,
}

/// The upstreams as a selector sees them, by their position.
pub(super) trait Candidates {
    /// Whether this upstream may be chosen.
    fn is_usable(&self, index: usize) -> bool;

    /// How many requests to it are under way.
    fn active(&self, index: usize) -> usize;
}

/// Chooses upstreams by their weights.
pub(super) struct Selector {
    balance: Balance,
    weights: Vec<u32>,
    /// What tells each upstream from the others, the same in every process.
    names: Vec<u64>,
    /// The positions in the order of their turns: each as often as its weight says, and spread over
    /// the whole.
    turns: Vec<usize>,
    next: AtomicUsize,
}

impl Selector {
    pub(super) fn new(balance: Balance, upstreams: &[Upstream]) -> Self {
        let weights: Vec<u32> = upstreams.iter().map(|upstream| upstream.weight).collect();
        let name = |upstream: &Upstream| hash(&upstream.address.to_string());
        Self {
            balance,
            names: upstreams.iter().map(name).collect(),
            turns: turns(&weights),
            weights,
            next: AtomicUsize::new(0),
        }
    }

    /// Whether [`Candidates::active`] decides.
    pub(super) fn counts_requests(&self) -> bool {
        self.balance == Balance::LeastRequests
    }

    /// The next upstream; `None` where none is usable.
    pub(super) fn next(&self, key: StickyKey<'_>, candidates: &impl Candidates) -> Option<usize> {
        match self.balance {
            Balance::RoundRobin => self.in_turn(candidates),
            Balance::LeastRequests => self.with_fewest_requests(candidates),
            Balance::Sticky => self.of_key(key, candidates),
        }
    }

    /// The next in turn. A turn of one that is not usable is passed over, and the next one is taken
    /// from the counter too: so the others keep their proportions.
    fn in_turn(&self, candidates: &impl Candidates) -> Option<usize> {
        let turn = |_| {
            let turn = self.next.fetch_add(1, Relaxed) % self.turns.len();
            self.turns.get(turn).copied()
        };
        let usable = |index: &usize| candidates.is_usable(*index);
        let in_turn = (0..self.turns.len()).filter_map(turn).find(usable);
        // Others may have taken all turns of the only one that is usable.
        in_turn.or_else(|| (0..self.weights.len()).find(usable))
    }

    /// The one with the fewest requests for its weight. Equal ones take turns.
    fn with_fewest_requests(&self, candidates: &impl Candidates) -> Option<usize> {
        let count = self.weights.len();
        let start = self.next.fetch_add(1, Relaxed);
        let mut best: Option<(usize, u64, u64)> = None;
        for step in 0..count {
            let index = start.wrapping_add(step) % count;
            let Some(weight) = self.weights.get(index).map(|weight| u64::from(*weight)) else {
                continue;
            };
            if !candidates.is_usable(index) {
                continue;
            }
            let load = u64::try_from(candidates.active(index)).unwrap_or(u64::MAX);
            let load = load.saturating_add(1);
            let is_better = best.is_none_or(|(_, best_load, best_weight)| {
                load.saturating_mul(best_weight) < best_load.saturating_mul(weight)
            });
            if is_better {
                best = Some((index, load, weight));
            }
        }
        best.map(|(index, _, _)| index)
    }

    /// The one that the key belongs to (rendezvous hashing). Where it is not usable, its keys are
    /// spread over the others, and all other keys stay where they are.
    fn of_key(&self, key: StickyKey<'_>, candidates: &impl Candidates) -> Option<usize> {
        let key = match key.user {
            Some(user) => hash(user),
            None => hash(&key.address),
        };
        let score = |index: usize| {
            let (name, weight) = (self.names.get(index)?, self.weights.get(index)?);
            // Evenly distributed over (0, 1), so that the score wins in proportion to the weight.
            let high = u32::try_from(hash(&(key, name)) >> 32).unwrap_or(u32::MAX);
            let uniform = (f64::from(high) + 0.5) / (f64::from(u32::MAX) + 1.0);
            Some((index, f64::from(*weight) / -uniform.ln()))
        };
        (0..self.weights.len())
            .filter(|index| candidates.is_usable(*index))
            .filter_map(score)
            .max_by(|left, right| left.1.total_cmp(&right.1))
            .map(|(index, _)| index)
    }
}

/// The order of turns for these weights, as smooth as in nginx: 5, 1, 1 give `AABACAA`.
fn turns(weights: &[u32]) -> Vec<usize> {
    let divisor = weights.iter().copied().fold(0, greatest_common_divisor);
    let weights: Vec<i64> = weights
        .iter()
        .map(|weight| i64::from(weight / divisor.max(1)))
        .collect();
    let total: i64 = weights.iter().sum();
    let mut credits = vec![0; weights.len()];
    let mut turns = Vec::new();
    for _ in 0..total {
        for (credit, weight) in credits.iter_mut().zip(&weights) {
            *credit += weight;
        }
        // The first of the richest.
        let richest = credits
            .iter()
            .enumerate()
            .max_by_key(|(index, credit)| (**credit, std::cmp::Reverse(*index)))
            .map(|(index, _)| index);
        if let Some(index) = richest {
            if let Some(credit) = credits.get_mut(index) {
                *credit -= total;
            }
            turns.push(index);
        }
    }
    turns
}

fn greatest_common_divisor(left: u32, right: u32) -> u32 {
    if right == 0 {
        left
    } else {
        greatest_common_divisor(right, left % right)
    }
}

/// The same in every process, so that replicas agree.
fn hash(value: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::upstream::UpstreamAddress;

    /// Which upstreams are usable, and how many requests each has.
    struct Given<'a> {
        usable: &'a [usize],
        active: &'a [usize],
    }

    impl Candidates for Given<'_> {
        fn is_usable(&self, index: usize) -> bool {
            self.usable.contains(&index)
        }

        fn active(&self, index: usize) -> usize {
            self.active[index]
        }
    }

    fn selector(balance: Balance, weights: &[u32]) -> Selector {
        let upstream = |(port, weight): (u16, &u32)| Upstream {
            weight: *weight,
            ..Upstream::from(UpstreamAddress::Http {
                host: "127.0.0.1".into(),
                port,
            })
        };
        let upstreams: Vec<Upstream> = (1..).zip(weights).map(upstream).collect();
        Selector::new(balance, &upstreams)
    }

    /// How often each upstream is chosen for the users `0..count`.
    fn shares(selector: &Selector, candidates: &Given<'_>, count: usize) -> Vec<usize> {
        let mut shares = vec![0; selector.weights.len()];
        for user in 0..count {
            if let Some(index) = choice(selector, candidates, &user.to_string()) {
                shares[index] += 1;
            }
        }
        shares
    }

    fn choice(selector: &Selector, candidates: &Given<'_>, user: &str) -> Option<usize> {
        let key = StickyKey {
            user: Some(user),
            address: [127, 0, 0, 1].into(),
        };
        selector.next(key, candidates)
    }

    const IDLE: &[usize] = &[0, 0, 0];

    #[test]
    fn turns_are_spread_by_weight() {
        assert_eq!(turns(&[5, 1, 1]), [0, 0, 1, 0, 2, 0, 0]);
        assert_eq!(turns(&[100, 100]), [0, 1]);
        assert_eq!(turns(&[4, 2]), [0, 1, 0]);
        assert_eq!(turns(&[]), [0; 0]);
    }

    #[test]
    fn the_share_of_one_that_is_down_goes_to_the_others_in_proportion() {
        let all = selector(Balance::RoundRobin, &[1, 1, 1]);
        for (usable, expected) in [
            (&[0, 1, 2][..], [100, 100, 100]),
            (&[1, 2], [0, 150, 150]),
            (&[2], [0, 0, 300]),
        ] {
            let given = Given {
                usable,
                active: IDLE,
            };
            assert_eq!(shares(&all, &given, 300), expected, "{usable:?}");
        }
        let weighted = selector(Balance::RoundRobin, &[3, 2, 1]);
        let given = Given {
            usable: &[1, 2],
            active: IDLE,
        };
        assert_eq!(shares(&weighted, &given, 300), [0, 200, 100]);
        let none = Given {
            usable: &[],
            active: IDLE,
        };
        assert_eq!(choice(&weighted, &none, "somebody"), None);
    }

    #[test]
    fn the_fewest_requests_for_their_weight_win() {
        let equal = selector(Balance::LeastRequests, &[1, 1, 1]);
        let given = |active| Given {
            usable: &[0, 1, 2],
            active,
        };
        assert_eq!(shares(&equal, &given(&[4, 2, 3]), 9), [0, 9, 0]);
        assert_eq!(shares(&equal, &given(&[2, 2, 3]), 9)[2], 0);
        assert_eq!(shares(&equal, &given(IDLE), 9), [3, 3, 3]);
        let weighted = selector(Balance::LeastRequests, &[10, 1, 1]);
        assert_eq!(choice(&weighted, &given(&[8, 0, 0]), "somebody"), Some(0));
        assert_ne!(choice(&weighted, &given(&[10, 0, 0]), "somebody"), Some(0));
    }

    #[test]
    fn a_user_stays_where_the_upstream_stays() {
        let all = selector(Balance::Sticky, &[2, 1, 1]);
        let every = Given {
            usable: &[0, 1, 2],
            active: IDLE,
        };
        let without_first = Given {
            usable: &[1, 2],
            active: IDLE,
        };
        let spread = shares(&all, &every, 4000);
        assert!((1900..2100).contains(&spread[0]), "{spread:?}");
        assert!((900..1100).contains(&spread[1]), "{spread:?}");
        for user in 0..100 {
            let user = user.to_string();
            let before = choice(&all, &every, &user);
            assert_eq!(choice(&all, &every, &user), before);
            if before != Some(0) {
                assert_eq!(choice(&all, &without_first, &user), before);
            }
        }
        // Its users are spread over both others.
        let spread = shares(&all, &without_first, 4000);
        assert!((1900..2100).contains(&spread[1]), "{spread:?}");
    }

    #[test]
    fn visitors_without_a_user_stay_by_their_address() {
        let all = selector(Balance::Sticky, &[1, 1, 1]);
        let every = Given {
            usable: &[0, 1, 2],
            active: IDLE,
        };
        let of = |last: u8| {
            let address = IpAddr::from([10, 0, 0, last]);
            all.next(
                StickyKey {
                    user: None,
                    address,
                },
                &every,
            )
        };
        assert!((0..100).all(|last| of(last) == of(last)));
        assert!((0..100).any(|last| of(last) != of(0)));
    }
}
