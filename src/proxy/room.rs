//! Room for the bodies that are read here: so much for all of them together, and for those of one user. It is taken by
//! what has come, and not by what a head says: who only begins takes none from others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::auth::{Identity, Origin};
use crate::gate::reply::Full;

/// So much of a body needs no room: every log-in fits into it, and it is little beside what a request takes anyway. Who
/// fills the room keeps nobody from logging in.
const SMALL: usize = 4096;

/// The room. Its copies are one and the same.
#[derive(Clone)]
pub struct Room {
    share: usize,
    taken: Arc<Mutex<Taken>>,
}

/// Bytes.
#[derive(Default)]
struct Taken {
    all: usize,
    by: HashMap<Owner, usize>,
}

/// Whose body it is. `None` is everybody who is not known here, together.
type Owner = Option<Identity>;

impl Room {
    /// Room for `share` bytes of each user, and for twice as much of all.
    pub fn new(share: usize) -> Self {
        Self { share, taken: Arc::default() }
    }

    /// A place for a body of this user. Takes nothing yet, and gives back what it takes when it is dropped.
    pub fn place(&self, user: Option<&Identity>) -> Place {
        let owner = user.filter(|user| user.origin != Origin::Unverified).cloned();
        Place { room: self.clone(), owner, taken: 0 }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a body takes of the room.
pub struct Place {
    room: Room,
    owner: Owner,
    taken: usize,
}

impl Place {
    /// Takes as much as a body of so many bytes needs.
    ///
    /// # Errors
    /// There is not enough left. What was taken stays taken.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Full> {
        let more = bytes.saturating_sub(SMALL).saturating_sub(self.taken);
        if more == 0 {
            return Ok(());
        }
        let mut taken = self.room.taken();
        let own = taken.by.get(&self.owner).copied().unwrap_or_default();
        if own + more > self.room.share {
            return Err(if self.owner.is_some() { Full::User } else { Full::Unknown });
        }
        if taken.all + more > 2 * self.room.share {
            return Err(Full::All);
        }
        taken.all += more;
        taken.by.insert(self.owner.clone(), own + more);
        self.taken += more;
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.taken == 0 {
            return;
        }
        let mut taken = self.room.taken();
        taken.all -= self.taken;
        if let Some(own) = taken.by.get_mut(&self.owner) {
            *own -= self.taken;
            if *own == 0 {
                taken.by.remove(&self.owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str, origin: Origin) -> Identity {
        Identity { origin, name: name.into() }
    }

    #[test]
    fn what_is_taken_is_bounded_for_each_and_for_all_and_given_back() {
        let room = Room::new(10_000);
        let place = |name: &str| room.place(Some(&user(name, Origin::File)));
        let (mut first, mut second, mut other, mut third) = (place("a"), place("a"), place("b"), place("c"));
        assert_eq!(first.grow(SMALL + 6000), Ok(()));
        assert_eq!(first.grow(SMALL + 10), Ok(()), "it has more already");
        assert_eq!(second.grow(SMALL + 4001), Err(Full::User));
        assert_eq!(second.grow(SMALL + 4000), Ok(()));
        assert_eq!(second.grow(SMALL), Ok(()), "a small one needs none");
        assert_eq!(other.grow(SMALL + 10_000), Ok(()));
        assert_eq!(third.grow(SMALL + 1), Err(Full::All));
        assert_eq!(third.grow(SMALL), Ok(()));
        drop(first);
        assert_eq!(third.grow(SMALL + 6001), Err(Full::All));
        assert_eq!(third.grow(SMALL + 6000), Ok(()));
        drop((second, other, third));
        let taken = room.taken();
        assert_eq!((taken.all, taken.by.len()), (0, 0));
    }

    #[test]
    fn whom_nobody_here_knows_shares_with_all_such() {
        let room = Room::new(10_000);
        let mut token = room.place(Some(&user("a", Origin::Unverified)));
        let mut log_in = room.place(None);
        assert_eq!(token.grow(SMALL + 9000), Ok(()));
        assert_eq!(log_in.grow(SMALL + 1001), Err(Full::Unknown));
        assert_eq!(room.place(Some(&user("a", Origin::Airflow))).grow(SMALL + 10_000), Ok(()));
    }
}
