//! How many log-ins of one network are looked at together, and how many wait.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::lockout::Network;

/// The looks under way, by network, and those that wait for them.
///
/// What checks passwords has a queue for all, of 64 places where it is shortest. Made-up names are not locked out:
/// without this, whoever sent a hundred of them at a time would keep everybody else out. Those who wait are few and
/// counted apart from those who are looked at, so that a network with nothing under way never stands behind another,
/// but for those of its own /48.
pub struct Crowd {
    groups: Mutex<Groups>,
    /// Those who wait, of all networks.
    waiting: Arc<Semaphore>,
}

struct Groups {
    places: HashMap<Group, Places>,
    /// From so many groups on, those with nothing under way are forgotten.
    many: usize,
}

/// Whoever is counted together.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Group {
    /// A network.
    Network(Network),
    /// The first 48 bits of an IPv6 address: many /64 of one provider or customer.
    Site([u8; 6]),
}

/// Of one group.
#[derive(Clone)]
struct Places {
    inside: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

/// A place in line, taken before anything else is done for a log-in. Dropped, it is free again.
pub struct Place(Standing);

enum Standing {
    Inside { _permits: Vec<OwnedSemaphorePermit> },
    Waiting { groups: Vec<Places>, _permits: Vec<OwnedSemaphorePermit> },
}

/// A place among those who are looked at. Dropped, it is the next one's.
#[must_use]
pub struct Admission {
    _permits: Vec<OwnedSemaphorePermit>,
}

impl Crowd {
    /// The most looks that one network has under way: half of the shortest queue.
    pub const INSIDE: usize = 32;
    /// The most that wait for those of their network.
    pub const WAITING: usize = 96;
    /// The most looks that a /48 of IPv6 has under way: its networks are as many as it likes, and fill no queue.
    const INSIDE_SITE: usize = 48;
    /// The most that wait of a /48.
    const WAITING_SITE: usize = 2 * Self::WAITING;
    /// The most that wait of all networks: each holds a name and a password.
    pub const WAITING_IN_ALL: usize = 2048;
    /// How long one waits for those of its network that were there before.
    pub const LONGEST_WAIT: Duration = Duration::from_secs(10);
    /// Groups that are remembered without need, at least.
    const MANY: usize = 1024;

    /// Takes a place among those of the network, or in the line of those who wait for one. `None` if that is full:
    /// nothing has been done yet, and nothing is to be done.
    pub fn line_up(&self, network: Network) -> Option<Place> {
        let groups: Vec<Places> = {
            let mut known = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
            Group::of(network).map(|group| known.places(group)).collect()
        };
        let inside = groups.iter().map(|group| Arc::clone(&group.inside).try_acquire_owned());
        if let Ok(permits) = inside.collect() {
            return Some(Place(Standing::Inside { _permits: permits }));
        }
        let lines = groups.iter().map(|group| &group.waiting).chain([&self.waiting]);
        let permits =
            lines.map(|line| Arc::clone(line).try_acquire_owned()).collect::<Result<_, _>>().ok()?;
        Some(Place(Standing::Waiting { groups, _permits: permits }))
    }
}

impl Default for Crowd {
    fn default() -> Self {
        let groups = Groups { places: HashMap::new(), many: Self::MANY };
        Self { groups: Mutex::new(groups), waiting: Arc::new(Semaphore::new(Self::WAITING_IN_ALL)) }
    }
}

impl Place {
    /// Waits until it is this one's turn. `None` if that takes longer than [`Crowd::LONGEST_WAIT`].
    pub async fn enter(self) -> Option<Admission> {
        match self.0 {
            Standing::Inside { _permits } => Some(Admission { _permits }),
            Standing::Waiting { groups, _permits } => {
                // In one order for all, the narrower group first: who waits for the wider one holds nobody up
                // outside of the own network.
                let turn = async {
                    let mut permits = Vec::with_capacity(groups.len());
                    for group in &groups {
                        permits.push(Arc::clone(&group.inside).acquire_owned().await.ok()?);
                    }
                    Some(Admission { _permits: permits })
                };
                tokio::time::timeout(Crowd::LONGEST_WAIT, turn).await.ok()?
            }
        }
    }
}

impl Group {
    /// Those that a network is counted in, the narrower first.
    fn of(network: Network) -> impl Iterator<Item = Self> {
        let site = match network {
            Network::V6([a, b, c, d, e, f, ..]) => Some(Self::Site([a, b, c, d, e, f])),
            Network::Local | Network::V4(_) => None,
        };
        std::iter::once(Self::Network(network)).chain(site)
    }

    fn places(self) -> Places {
        let (inside, waiting) = match self {
            Self::Network(_) => (Crowd::INSIDE, Crowd::WAITING),
            Self::Site(_) => (Crowd::INSIDE_SITE, Crowd::WAITING_SITE),
        };
        Places { inside: Arc::new(Semaphore::new(inside)), waiting: Arc::new(Semaphore::new(waiting)) }
    }
}

impl Groups {
    fn places(&mut self, group: Group) -> Places {
        if self.places.len() >= self.many {
            // Whoever is inside or waits has a share in one of them.
            self.places.retain(|_, places| Arc::strong_count(&places.inside) > 1);
            // Not at once again where many are in use.
            self.many = Crowd::MANY.max(2 * self.places.len());
        }
        self.places.entry(group).or_insert_with(|| group.places()).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(n: usize) -> Network {
        Network::V4([1, (n >> 8) as u8, n as u8])
    }

    fn v6(site: u8, network: u8) -> Network {
        Network::V6([0x20, 1, 0xd, 0xb8, 0, site, 0, network])
    }

    /// How many of so many get in at once, and how many are left to wait; all stay.
    fn crowd_of(crowd: &Crowd, networks: impl Iterator<Item = Network>) -> (Vec<Place>, usize, usize) {
        let places: Vec<_> = networks.filter_map(|network| crowd.line_up(network)).collect();
        let inside = places.iter().filter(|place| matches!(place.0, Standing::Inside { .. })).count();
        let waiting = places.len() - inside;
        (places, inside, waiting)
    }

    #[tokio::test]
    async fn networks_with_nothing_under_way_are_forgotten() {
        let crowd = Crowd::default();
        let kept = crowd.line_up(v4(0)).unwrap().enter().await;
        for n in 1..3 * Crowd::MANY {
            assert!(crowd.line_up(v4(n)).unwrap().enter().await.is_some(), "{n}");
        }
        let groups = crowd.groups.lock().unwrap();
        let known = groups.places.len();
        assert!(known <= Crowd::MANY && groups.places.contains_key(&Group::Network(v4(0))), "{known}");
        drop(kept);
    }

    #[test]
    fn a_group_has_so_many_places_inside_and_in_line() {
        const EACH: usize = 1000;
        for (name, network, inside, waiting) in [
            ("a Unix socket", (|_| Network::Local) as fn(usize) -> Network, Crowd::INSIDE, Crowd::WAITING),
            ("IPv4", |_| v4(1), Crowd::INSIDE, Crowd::WAITING),
            ("a /64", |_| v6(1, 1), Crowd::INSIDE, Crowd::WAITING),
            ("a /56", |n| v6(1, n as u8), Crowd::INSIDE_SITE, Crowd::WAITING_SITE),
        ] {
            let crowd = Crowd::default();
            let (all, inside_of_it, waiting_of_it) = crowd_of(&crowd, (0..EACH).map(network));
            assert_eq!((inside_of_it, waiting_of_it), (inside, waiting), "{name}");
            for other in [v4(2), v6(2, 1)] {
                let place = crowd.line_up(other).unwrap();
                assert!(matches!(place.0, Standing::Inside { .. }), "{name}");
            }
            drop(all);
            let (_all, inside_again, waiting_again) = crowd_of(&crowd, (0..EACH).map(network));
            assert_eq!((inside_again, waiting_again), (inside, waiting), "{name}: after they have left");
        }
    }

    #[test]
    fn when_nobody_else_may_wait_a_network_with_nothing_under_way_gets_in() {
        let crowd = Crowd::default();
        let networks = (0..40 * (Crowd::INSIDE + Crowd::WAITING)).map(|n| v4(n % 40));
        let (_all, inside, waiting) = crowd_of(&crowd, networks);
        assert_eq!((inside, waiting), (40 * Crowd::INSIDE, Crowd::WAITING_IN_ALL));
        assert!(matches!(crowd.line_up(v4(99)).unwrap().0, Standing::Inside { .. }));
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_gets_the_place_of_who_leaves_or_gives_up_in_time() {
        let crowd = Crowd::default();
        // All of the site's places, and none that the last network could not have.
        let (mut inside, ..) = crowd_of(&crowd, (0..Crowd::INSIDE_SITE).map(|n| v6(1, n as u8)));
        let mut first = std::pin::pin!(crowd.line_up(v6(1, 99)).unwrap().enter());
        let second = crowd.line_up(v6(1, 99)).unwrap();
        assert!(futures_util::poll!(&mut first).is_pending());
        inside.pop();
        assert!(first.await.is_some());
        let began = tokio::time::Instant::now();
        // The place that the first one had is free again: taken by somebody else.
        inside.push(crowd.line_up(v6(1, 98)).unwrap());
        assert!(second.enter().await.is_none());
        assert_eq!(began.elapsed(), Crowd::LONGEST_WAIT);
        assert_eq!(crowd.waiting.available_permits(), Crowd::WAITING_IN_ALL, "nobody waits any more");
    }
}
