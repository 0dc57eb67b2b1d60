//! The priority of a thread: what Linux has, and POSIX has not.

#![expect(unsafe_code, reason = "no crate in the tree offers a thread's scheduling policy")]

use std::io;

/// Makes this thread compute only with time that no other thread of the process wants: by the policy
/// `SCHED_IDLE`, and where that is refused by the highest nice value.
///
/// The policy is better: a thread that wakes up takes the core at once from one of `SCHED_IDLE`,
/// while the kernel lets one that is merely nice use up its slice, some milliseconds.
///
/// # Errors
/// Neither is allowed. Both are, unless a sandbox is strict.
pub fn lower() -> io::Result<()> {
    idle().or_else(|_| {
        // On Linux the nice value is a thread's own, though POSIX says that it is the process's.
        let this = rustix::thread::gettid();
        rustix::process::setpriority_process(Some(this), 19).map_err(io::Error::from)
    })
}

fn idle() -> io::Result<()> {
    // SAFETY: a `sched_param` is plain numbers, for which zero is good, and is what `SCHED_IDLE` asks for.
    let parameters: libc::sched_param = unsafe { std::mem::zeroed() };
    // SAFETY: the thread is this one, and what is pointed to is read during the call alone.
    match unsafe { libc::pthread_setschedparam(libc::pthread_self(), libc::SCHED_IDLE, &parameters) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// What the kernel says of this thread.
#[cfg(test)]
#[derive(Debug, PartialEq, Eq)]
pub struct Priority {
    pub policy: i32,
    pub nice: i32,
}

#[cfg(test)]
pub fn of_this_thread() -> Priority {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    // From the third on; proc(5) counts from one.
    let field = |number: usize| fields.split(' ').nth(number - 3).unwrap().parse().unwrap();
    Priority { policy: field(41), nice: field(19) }
}
