//! The process itself: the series that every Prometheus client library has, read from `/proc`.
//!
//! Small enough to be read here, so that no further dependency is needed (the feature `process` of
//! the `prometheus` crate brings five).

use std::fs;
use std::path::Path;

use prometheus::{Error, Gauge, Registry, core::Collector, core::GenericCounter};

/// Ticks a second in `/proc/<pid>/stat`. The kernel's `USER_HZ`, which is 100 on every architecture
/// that Rust's Linux targets with a standard library have.
const TICKS: f64 = 100.0;

/// Registers what can be read. What cannot is left out: `/proc` may be hidden, and other systems
/// have none.
pub(super) fn register(registry: &Registry, proc: &Path) -> Result<(), Error> {
    let own = proc.join("self");
    let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    let (stat, status, limits) =
        (read(&own.join("stat")), read(&own.join("status")), read(&own.join("limits")));
    let times = Times::parse(&stat);
    let boot = field(&read(&proc.join("stat")), "btime");

    let add = |series: Box<dyn Collector>| registry.register(series);
    if let Some(times) = &times {
        let cpu = GenericCounter::<prometheus::core::AtomicF64>::new(
            "process_cpu_seconds_total",
            "Total user and system CPU time spent in seconds.",
        )?;
        cpu.inc_by(times.cpu);
        add(Box::new(cpu))?;
    }
    let gauges = [
        (
            "process_start_time_seconds",
            "Start time of the process since unix epoch in seconds.",
            times.as_ref().zip(boot).map(|(times, boot)| boot + times.start),
        ),
        (
            "process_resident_memory_bytes",
            "Resident memory size in bytes.",
            field(&status, "VmRSS:").map(|kib| kib * 1024.0),
        ),
        (
            "process_virtual_memory_bytes",
            "Virtual memory size in bytes.",
            field(&status, "VmSize:").map(|kib| kib * 1024.0),
        ),
        ("process_threads", "Number of OS threads in the process.", field(&status, "Threads:")),
        ("process_open_fds", "Number of open file descriptors.", open_files(&own)),
        ("process_max_fds", "Maximum number of open file descriptors.", field(&limits, "Max open files")),
    ];
    for (name, help, value) in gauges {
        if let Some(value) = value {
            let gauge = Gauge::new(name, help)?;
            gauge.set(value);
            add(Box::new(gauge))?;
        }
    }
    Ok(())
}

/// From `/proc/<pid>/stat`, in seconds.
struct Times {
    /// User and system time used.
    cpu: f64,
    /// The start, after the start of the machine.
    start: f64,
}

impl Times {
    /// The name in the second field may hold spaces and parentheses: counting starts after the last
    /// one. There, state is the first field, `utime` the 12th, `stime` the 13th, `starttime` the
    /// 20th.
    fn parse(stat: &str) -> Option<Self> {
        let (_, rest) = stat.rsplit_once(')')?;
        let ticks = |n: usize| rest.split_ascii_whitespace().nth(n)?.parse::<f64>().ok();
        Some(Self { cpu: (ticks(11)? + ticks(12)?) / TICKS, start: ticks(19)? / TICKS })
    }
}

/// The first number after the name at the start of a line.
fn field(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

fn open_files(own: &Path) -> Option<f64> {
    let entries = fs::read_dir(own.join("fd")).ok()?.count();
    // Reading the folder has it open.
    u32::try_from(entries.saturating_sub(1)).ok().map(f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces() {
        let stat = "7 (a) b) S 1 7 7 0 -1 0 0 0 0 0 150 50 0 0 20 0 3 0 4200 1 2 3";
        let times = Times::parse(stat).unwrap();
        assert_eq!((times.cpu, times.start), (2.0, 42.0));
    }

    #[test]
    fn what_cannot_be_read_is_left_out() {
        let registry = Registry::new();
        register(&registry, Path::new("/nowhere")).unwrap();
        assert!(registry.gather().is_empty());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process() {
        let registry = Registry::new();
        register(&registry, Path::new("/proc")).unwrap();
        let names: Vec<_> = registry.gather().iter().map(|family| family.name().to_owned()).collect();
        assert_eq!(
            names,
            [
                "process_cpu_seconds_total",
                "process_max_fds",
                "process_open_fds",
                "process_resident_memory_bytes",
                "process_start_time_seconds",
                "process_threads",
                "process_virtual_memory_bytes",
            ]
        );
    }
}
