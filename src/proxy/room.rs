//! Room for the bodies that are read here. It is taken by what has come, and not by what a head says: who only begins
//! takes none from others. And nobody gets more than is left for others then, so that no few take all of it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::auth::{Identity, Origin};
use crate::gate::reply::Full;
use crate::request::Site;

/// So much of a body needs no room: nearly every log-in fits into it, and it is little beside what a request takes
/// anyway. Who fills the room keeps nobody from logging in.
const SMALL: usize = 4096;

/// The room: one for users, and one as large for everybody else. Its copies are one and the same.
#[derive(Clone, Default)]
pub struct Room(Arc<Mutex<Taken>>);

/// Bytes.
#[derive(Default)]
struct Taken {
    by_users: usize,
    by_others: usize,
    by: HashMap<Owner, usize>,
}

/// Whose body it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Owner {
    User(Identity),
    /// Somebody who logs in, has no name, or has a token that the upstream alone can judge. `None` is a Unix socket.
    Unknown(Option<Site>),
}

impl Room {
    /// A place for a body of this user, who has this address, where `size` bytes are for users, and as many for everybody
    /// else: one alone gets half of it. Takes nothing yet, and gives back what it takes when it is dropped.
    pub fn place(&self, size: usize, user: Option<&Identity>, address: Option<IpAddr>) -> Place {
        let owner = match user {
            Some(user) if !matches!(user.origin, Origin::Unverified | Origin::Anonymous) => {
                Owner::User(user.clone())
            }
            Some(_) | None => Owner::Unknown(address.map(Site::of)),
        };
        Place { room: self.clone(), size, owner, taken: 0 }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn all(&mut self, owner: &Owner) -> &mut usize {
        match owner {
            Owner::User(_) => &mut self.by_users,
            Owner::Unknown(_) => &mut self.by_others,
        }
    }
}

/// What a body takes of the room.
pub struct Place {
    room: Room,
    size: usize,
    owner: Owner,
    taken: usize,
}

impl Place {
    /// Takes as much as a body of so many bytes needs.
    ///
    /// # Errors
    /// Its owner would have more than is left. What was taken stays taken.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Full> {
        self.take(bytes, |own, _, left| own <= left)
    }

    /// Takes as much as an answer of so many bytes needs. It is there already, and would be as long the next time: whose
    /// only one it is gets what there is.
    ///
    /// # Errors
    /// As [`Place::grow`], for an owner who has some already.
    pub fn answer(&mut self, bytes: usize) -> Result<(), Full> {
        self.take(bytes, |own, more, left| own <= left || (own == more && left > 0))
    }

    /// Takes it if that `fits` for what its owner would have then, what of that is new, and what would be left.
    fn take(&mut self, bytes: usize, fits: impl Fn(usize, usize, usize) -> bool) -> Result<(), Full> {
        let more = bytes.saturating_sub(SMALL).saturating_sub(self.taken);
        if more == 0 {
            return Ok(());
        }
        let mut taken = self.room.taken();
        let own = taken.by.get(&self.owner).copied().unwrap_or_default().saturating_add(more);
        let all = taken.all(&self.owner).saturating_add(more);
        if !fits(own, more, self.size.saturating_sub(all)) {
            return Err(match self.owner {
                Owner::User(_) => Full::User,
                Owner::Unknown(_) => Full::Unknown,
            });
        }
        *taken.all(&self.owner) = all;
        taken.by.insert(self.owner.clone(), own);
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
        *taken.all(&self.owner) -= self.taken;
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
    fn nobody_gets_more_than_is_left_for_others_and_all_is_given_back() {
        let room = Room::default();
        let place = |name: &str| room.place(20_000, Some(&user(name, Origin::File)), None);
        let (mut first, mut second, mut other, mut third) = (place("a"), place("a"), place("b"), place("c"));
        assert_eq!(first.grow(SMALL + 6000), Ok(()));
        assert_eq!(first.grow(SMALL + 10), Ok(()), "it has more already");
        assert_eq!(second.grow(SMALL + 4001), Err(Full::User), "half of it and no more");
        assert_eq!(second.grow(SMALL + 4000), Ok(()));
        assert_eq!(second.grow(SMALL), Ok(()), "a small one needs none");
        assert_eq!(other.grow(SMALL + 5001), Err(Full::User));
        assert_eq!(other.grow(SMALL + 5000), Ok(()));
        assert_eq!(third.grow(SMALL + 2500), Ok(()), "two that take all they get leave some");
        assert_eq!(third.grow(usize::MAX), Err(Full::User));
        drop(first);
        assert_eq!(third.grow(SMALL + 5501), Err(Full::User));
        assert_eq!(third.grow(SMALL + 5500), Ok(()));
        drop((second, other, third));
        let taken = room.taken();
        assert_eq!((taken.by_users, taken.by_others, taken.by.len()), (0, 0, 0));
    }

    #[test]
    fn an_only_answer_gets_what_there_is() {
        let room = Room::default();
        let place = |name: &str| room.place(20_000, Some(&user(name, Origin::File)), None);
        let (mut first, mut second, mut other) = (place("a"), place("a"), place("b"));
        assert_eq!(first.answer(SMALL + 20_000), Err(Full::User), "there is less");
        assert_eq!(first.answer(SMALL + 15_000), Ok(()), "more than half");
        assert_eq!(second.answer(SMALL + 1), Err(Full::User), "not the only one");
        assert_eq!(other.answer(SMALL + 4_000), Ok(()));
        drop((first, other));
        assert_eq!(second.answer(SMALL + 15_000), Ok(()));
    }

    #[test]
    fn whom_nobody_here_knows_shares_with_the_network_and_takes_none_from_users() {
        let room = Room::default();
        let from = |address: &str, origin| {
            room.place(20_000, Some(&user("a", origin)), Some(address.parse::<IpAddr>().unwrap()))
        };
        let mut token = from("192.0.2.1", Origin::Unverified);
        let mut log_in = room.place(20_000, None, Some("192.0.2.1".parse().unwrap()));
        let mut elsewhere = room.place(20_000, None, Some("192.0.2.2".parse().unwrap()));
        assert_eq!(token.grow(SMALL + 9000), Ok(()));
        assert_eq!(log_in.grow(SMALL + 1001), Err(Full::Unknown));
        assert_eq!(from("192.0.2.1", Origin::Anonymous).grow(SMALL + 1001), Err(Full::Unknown));
        assert_eq!(elsewhere.grow(SMALL + 5500), Ok(()));
        assert_eq!(from("192.0.2.1", Origin::Airflow).grow(SMALL + 10_000), Ok(()));
    }
}
