//! Lines written by a thread of their own, so that no request waits for a disk or a full pipe.

use std::io::{self, ErrorKind, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// A log's end of the line: takes lines at once, and writes them a little later, many at a time.
///
/// What waits is bounded by [`LogWriter::LIMIT`]. Beyond that, and while writing fails, lines are
/// dropped and counted: a log that nobody reads must not stop the gate. Dropping the writer writes
/// what waits, for at most a second.
///
/// Its thread does not survive a `fork`.
#[derive(Debug)]
pub struct LogWriter {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// There is something to do for the thread.
    work: Condvar,
    /// The thread has written all there was.
    idle: Condvar,
    dropped: AtomicU64,
}

#[derive(Default)]
struct State {
    pending: Vec<u8>,
    pending_lines: u64,
    /// Bytes that the thread has taken and not yet written.
    writing: usize,
    /// Somebody waits for `idle`.
    hurry: bool,
    stop: bool,
    /// Where to write from now on.
    sink: Option<Sink>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("pending", &self.pending.len()).finish_non_exhaustive()
    }
}

/// Where lines go in the end.
pub type Sink = Box<dyn Write + Send>;

impl LogWriter {
    /// Most bytes that wait or are being written: 8 MiB, some twenty thousand requests.
    pub const LIMIT: usize = 8 << 20;

    /// As soon as so many bytes wait they are written, without regard to the delay.
    const FULL: usize = 64 << 10;

    /// Starts the thread.
    ///
    /// Lines are gathered for `delay` before they are written. `on_error` is told of the first
    /// failure to write after a success.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(
        name: &'static str,
        sink: Sink,
        delay: Duration,
        on_error: fn(&io::Error),
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        thread::Builder::new().name(name.to_owned()).spawn(move || theirs.run(sink, delay, on_error))?;
        Ok(Self { shared })
    }

    /// Takes one line, which ends in a newline. Never waits for the sink.
    pub fn append(&self, line: &[u8]) {
        if !self.takes(line, 1) {
            self.shared.drop_lines(1);
        }
    }

    /// Whether there was room for it.
    fn takes(&self, text: &[u8], lines: u64) -> bool {
        let mut state = self.shared.lock();
        if state.stop || state.pending.len() + state.writing + text.len() > Self::LIMIT {
            return false;
        }
        let before = state.pending.len();
        state.pending.extend_from_slice(text);
        state.pending_lines += lines;
        let after = state.pending.len();
        drop(state);
        if before == 0 || (before < Self::FULL && after >= Self::FULL) {
            self.shared.work.notify_one();
        }
        true
    }

    /// Lines dropped since the start.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// Writes to another sink from the next write on. The one before is closed as soon as nothing is being written to
    /// it, whether there is a next line or not.
    pub fn redirect(&self, sink: Sink) {
        self.shared.lock().sink = Some(sink);
        self.shared.work.notify_one();
    }

    /// A sink of another log that goes to the same place: what is written there, whole lines, is written here.
    pub fn sink(self: &Arc<Self>) -> Sink {
        Box::new(Onward(Arc::clone(self)))
    }

    /// Has everything written that was taken so far, and waits for it, but not longer than `limit`.
    /// Tells whether all was written, or dropped, in time.
    pub fn flush(&self, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        let mut state = self.shared.lock();
        while !state.is_idle() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state.hurry = true;
            self.shared.work.notify_one();
            state = self.shared.idle.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.work.notify_one();
        self.flush(Duration::from_secs(1));
    }
}

struct Onward(Arc<LogWriter>);

impl Write for Onward {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let number = lines.iter().filter(|byte| **byte == b'\n').count();
        // What finds no room is counted by the log that it is of.
        if self.0.takes(lines, u64::try_from(number).unwrap_or(u64::MAX)) {
            Ok(lines.len())
        } else {
            Err(io::Error::other("the log that it shares a place with is full"))
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl State {
    fn is_idle(&self) -> bool {
        self.pending.is_empty() && self.writing == 0
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Whole lines go in and out under the lock: a panic elsewhere leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn drop_lines(&self, lines: u64) {
        self.dropped.fetch_add(lines, Ordering::Relaxed);
    }

    fn run(&self, mut sink: Sink, delay: Duration, on_error: fn(&io::Error)) {
        let mut batch = Vec::new();
        let mut failing = false;
        let mut torn = false;
        while let Some((lines, new_sink)) = self.take(&mut batch, delay) {
            if let Some(new) = new_sink {
                (sink, failing, torn) = (new, false, false);
            }
            if torn {
                // The last write ended within a line.
                torn = write_all(&mut sink, b"\n").is_err();
            }
            match write_all(&mut sink, &batch) {
                Ok(()) => failing = false,
                Err((written, error)) => {
                    self.drop_lines(lines);
                    torn |= written > 0 && batch.get(written - 1) != Some(&b'\n');
                    if !failing {
                        on_error(&error);
                    }
                    failing = true;
                }
            }
            batch.clear();
            batch.shrink_to(Self::KEEP);
        }
    }

    /// Memory that the buffers keep between writes; a burst's memory is given back.
    const KEEP: usize = 4 * LogWriter::FULL;

    /// Waits for lines, or another sink, and takes them all. `None` when there are none and there will be none.
    fn take(&self, batch: &mut Vec<u8>, delay: Duration) -> Option<(u64, Option<Sink>)> {
        let mut state = self.lock();
        state.writing = 0;
        while state.pending.is_empty() && state.sink.is_none() {
            state.hurry = false;
            self.idle.notify_all();
            if state.stop {
                return None;
            }
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if !delay.is_zero() {
            let more =
                |s: &mut State| s.pending.len() < LogWriter::FULL && s.sink.is_none() && !s.hurry && !s.stop;
            state =
                self.work.wait_timeout_while(state, delay, more).unwrap_or_else(PoisonError::into_inner).0;
        }
        std::mem::swap(&mut state.pending, batch);
        state.writing = batch.len();
        let lines = std::mem::take(&mut state.pending_lines);
        Some((lines, state.sink.take()))
    }
}

/// Writes all of it, also to a pipe that somebody else made non-blocking. On failure tells how
/// much was written.
fn write_all(sink: &mut Sink, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
    let mut written = 0;
    while written < bytes.len() {
        match sink.write(&bytes[written..]) {
            Ok(0) => return Err((written, ErrorKind::WriteZero.into())),
            Ok(n) => written += n,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock => thread::sleep(Duration::from_millis(10)),
            Err(e) => return Err((written, e)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::sync::mpsc;

    /// Sends each write to the test.
    struct Sent(mpsc::Sender<Vec<u8>>);

    impl Write for Sent {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).unwrap();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Blocks in each write until the test sends something, or hangs up.
    struct Blocked(mpsc::Sender<usize>, mpsc::Receiver<()>);

    impl Write for Blocked {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.send(bytes.len());
            let _ = self.1.recv();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Answers from a script, then accepts everything.
    struct Script(Vec<io::Result<usize>>, Arc<Mutex<Vec<u8>>>);

    impl Write for Script {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = if self.0.is_empty() { Ok(bytes.len()) } else { self.0.remove(0) };
            let taken = taken?.min(bytes.len());
            self.1.lock().unwrap().extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn lines_are_gathered_into_one_write() {
        let (send, sent) = mpsc::channel();
        let writer = LogWriter::start("test", Box::new(Sent(send)), LONG, |_| {}).unwrap();
        for _ in 0..3 {
            writer.append(b"a line\n");
        }
        assert!(writer.flush(LONG));
        assert_eq!(sent.try_iter().collect::<Vec<_>>(), [b"a line\na line\na line\n"]);
    }

    #[test]
    fn a_full_buffer_is_written_without_delay() {
        let (send, sent) = mpsc::channel();
        let writer = LogWriter::start("test", Box::new(Sent(send)), LONG, |_| {}).unwrap();
        writer.append(&[b'x'; LogWriter::FULL / 2]);
        writer.append(&[b'x'; LogWriter::FULL / 2]);
        assert_eq!(sent.recv_timeout(LONG / 2).unwrap().len(), LogWriter::FULL);
    }

    #[test]
    fn without_a_delay_a_line_is_written_at_once() {
        let (send, sent) = mpsc::channel();
        let writer = LogWriter::start("test", Box::new(Sent(send)), Duration::ZERO, |_| {}).unwrap();
        writer.append(b"a line\n");
        assert_eq!(sent.recv_timeout(LONG).unwrap(), b"a line\n");
    }

    #[test]
    fn what_waits_is_written_on_drop() {
        let (send, sent) = mpsc::channel();
        let writer = LogWriter::start("test", Box::new(Sent(send)), LONG, |_| {}).unwrap();
        writer.append(b"last words\n");
        drop(writer);
        assert_eq!(sent.recv().unwrap(), b"last words\n");
        assert!(sent.recv().is_err(), "the thread ends, and its sink with it");
    }

    #[test]
    fn while_the_sink_blocks_lines_are_dropped_and_counted() {
        let (send, in_write) = mpsc::channel();
        let (go, wait) = mpsc::channel();
        let writer = LogWriter::start("test", Box::new(Blocked(send, wait)), Duration::ZERO, |_| {}).unwrap();
        let line = vec![b'x'; 1 << 20];
        writer.append(&line);
        assert_eq!(in_write.recv().unwrap(), line.len());
        // What is being written counts too.
        for _ in 0..9 {
            writer.append(&line);
        }
        assert_eq!(writer.dropped(), 2);
        assert!(!writer.flush(Duration::ZERO), "flush gives up in time");
        drop(go);
        assert!(writer.flush(LONG));
        writer.append(&line);
        assert!(writer.flush(LONG));
        assert_eq!(writer.dropped(), 2, "it takes lines again");
    }

    #[test]
    fn lines_that_find_no_room_in_another_log_are_counted_where_they_come_from() {
        let (send, in_write) = mpsc::channel();
        let (go, wait) = mpsc::channel();
        let log = LogWriter::start("test", Box::new(Blocked(send, wait)), Duration::ZERO, |_| {}).unwrap();
        let log = Arc::new(log);
        let access = LogWriter::start("test", log.sink(), Duration::ZERO, |_| {}).unwrap();
        log.append(&vec![b'x'; LogWriter::LIMIT]);
        assert_eq!(in_write.recv().unwrap(), LogWriter::LIMIT);
        access.append(b"1\n");
        assert!(access.flush(LONG));
        assert_eq!((access.dropped(), log.dropped()), (1, 0));
        drop(go);
        assert!(log.flush(LONG));
        access.append(b"3\n");
        assert!(access.flush(LONG) && log.flush(LONG));
        assert_eq!((access.dropped(), log.dropped()), (1, 0), "it takes lines again");
    }

    static ERRORS: AtomicUsize = AtomicUsize::new(0);

    #[test]
    fn a_closed_pipe_is_told_once_and_survived() {
        let broken = || Err(ErrorKind::BrokenPipe.into());
        let text = Arc::new(Mutex::new(Vec::new()));
        let script = Script(vec![broken(), broken()], Arc::clone(&text));
        let count = |_: &io::Error| {
            ERRORS.fetch_add(1, Ordering::Relaxed);
        };
        let writer = LogWriter::start("test", Box::new(script), Duration::ZERO, count).unwrap();
        for line in [b"1\n", b"2\n", b"3\n"] {
            writer.append(line);
            assert!(writer.flush(LONG));
        }
        assert_eq!((writer.dropped(), ERRORS.load(Ordering::Relaxed)), (2, 1));
        assert_eq!(*text.lock().unwrap(), b"3\n");
    }

    #[test]
    fn a_line_torn_by_a_failure_does_not_spoil_the_next() {
        let text = Arc::new(Mutex::new(Vec::new()));
        let script = Script(vec![Ok(3), Err(ErrorKind::StorageFull.into())], Arc::clone(&text));
        let writer = LogWriter::start("test", Box::new(script), Duration::ZERO, |_| {}).unwrap();
        writer.append(b"torn line\n");
        assert!(writer.flush(LONG));
        writer.append(b"whole line\n");
        assert!(writer.flush(LONG));
        assert_eq!(String::from_utf8(text.lock().unwrap().clone()).unwrap(), "tor\nwhole line\n");
    }

    #[test]
    fn interrupted_and_partial_writes_go_on() {
        let text = Arc::new(Mutex::new(Vec::new()));
        let kinds = [ErrorKind::Interrupted, ErrorKind::WouldBlock];
        let mut script: Vec<_> = kinds.into_iter().map(|kind| Err(kind.into())).collect();
        script.push(Ok(2));
        let writer =
            LogWriter::start("test", Box::new(Script(script, Arc::clone(&text))), Duration::ZERO, |_| {})
                .unwrap();
        writer.append(b"line\n");
        assert!(writer.flush(LONG));
        assert_eq!((&**text.lock().unwrap(), writer.dropped()), (&b"line\n"[..], 0));
    }

    #[test]
    fn after_redirect_lines_go_to_the_new_sink() {
        let (send, old) = mpsc::channel();
        let writer = LogWriter::start("test", Box::new(Sent(send)), Duration::ZERO, |_| {}).unwrap();
        writer.append(b"old\n");
        assert!(writer.flush(LONG));
        let (send, new) = mpsc::channel();
        writer.redirect(Box::new(Sent(send)));
        writer.append(b"new\n");
        assert!(writer.flush(LONG));
        assert_eq!((old.recv().unwrap(), new.recv().unwrap()), (b"old\n".to_vec(), b"new\n".to_vec()));
        assert!(old.recv().is_err(), "the old sink is closed");
    }

    #[test]
    fn a_sink_is_closed_without_another_line() {
        let (send, old) = mpsc::channel();
        let writer = LogWriter::start("test", Box::new(Sent(send)), LONG, |_| {}).unwrap();
        let (send, new) = mpsc::channel();
        writer.redirect(Box::new(Sent(send)));
        assert!(old.recv_timeout(LONG / 2) == Err(mpsc::RecvTimeoutError::Disconnected));
        writer.append(b"new\n");
        assert!(writer.flush(LONG));
        assert_eq!(new.recv().unwrap(), b"new\n");
    }

    #[test]
    fn one_log_hands_its_lines_to_another() {
        let (send, sent) = mpsc::channel();
        let last = LogWriter::start("test", Box::new(Sent(send)), Duration::ZERO, |_| {}).unwrap();
        let last = Arc::new(last);
        let first = LogWriter::start("test", last.sink(), LONG, |_| {}).unwrap();
        first.append(b"1\n");
        first.append(b"2\n");
        assert!(first.flush(LONG) && last.flush(LONG));
        assert_eq!(sent.recv().unwrap(), b"1\n2\n");
    }
}
