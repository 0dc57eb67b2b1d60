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
/// have none. `started` is when the process was: that is asked of nobody.
pub(super) fn register(registry: &Registry, proc: &Path, started: f64) -> Result<(), Error> {
    let own = proc.join("self");
    let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    let (stat, status, limits) =
        (read(&own.join("stat")), read(&own.join("status")), read(&own.join("limits")));

    let add = |series: Box<dyn Collector>| registry.register(series);
    if let Some(used) = cpu_seconds(&stat) {
        let cpu = GenericCounter::<prometheus::core::AtomicF64>::new(
            "process_cpu_seconds_total",
            "Total user and system CPU time spent in seconds.",
        )?;
        cpu.inc_by(used);
        add(Box::new(cpu))?;
    }
    let gauges = [
        (
            "process_start_time_seconds",
            "Start time of the process since unix epoch in seconds.",
            Some(started),
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

/// User and system time used, from `/proc/<pid>/stat`. The name in the second field may hold spaces and parentheses:
/// counting starts after the last one. There, state is the first field, `utime` the 12th, `stime` the 13th.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let ticks = |n: usize| rest.split_ascii_whitespace().nth(n)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / TICKS)
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
        assert_eq!(cpu_seconds(stat), Some(2.0));
    }

    #[test]
    fn what_cannot_be_read_is_left_out() {
        let registry = Registry::new();
        register(&registry, Path::new("/nowhere"), 42.0).unwrap();
        let names: Vec<_> = registry.gather().iter().map(|family| family.name().to_owned()).collect();
        assert_eq!(names, ["process_start_time_seconds"]);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process() {
        let registry = Registry::new();
        register(&registry, Path::new("/proc"), 42.0).unwrap();
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
