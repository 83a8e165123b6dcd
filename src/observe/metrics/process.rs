//! `process_*`: what the kernel reports about this process, read from `/proc/self` for each
//! scrape. On systems without `/proc` there are no such series.
//!
//! The one collector for `prometheus-client`, `kubert-prometheus-process`, is bound to an older
//! version of it whose registry is another type. This module must not fail a scrape.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use std::fs;

/// The kernel's clock tick as user space sees it, `USER_HZ`: 100 on every
/// architecture that we build for.
const TICKS_A_SECOND: f64 = 100.0;

pub(super) fn register(registry: &mut Registry) {
    registry.register_collector(Box::new(Process));
}

#[derive(Debug)]
struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let stat = Stat::read();
        if let Some(seconds) = stat.as_ref().map(|stat| stat.cpu_seconds) {
            let metric = ConstCounter::new(seconds);
            let help = "User and system time.";
            let encoder = encoder.encode_descriptor(
                "process_cpu_seconds",
                help,
                None,
                metric.metric_type(),
            )?;
            metric.encode(encoder)?;
        }
        let started = stat.and_then(|stat| Some(boot_time()? + stat.started_after_boot));
        for (name, help, value) in [
            (
                "process_start_time_seconds",
                "When the process started.",
                started,
            ),
            (
                "process_resident_memory_bytes",
                "Resident memory.",
                status_bytes("VmRSS:"),
            ),
            (
                "process_virtual_memory_bytes",
                "Virtual memory.",
                status_bytes("VmSize:"),
            ),
            ("process_open_fds", "Open file descriptors.", open_fds()),
            (
                "process_max_fds",
                "The most open file descriptors allowed.",
                max_fds(),
            ),
        ] {
            if let Some(value) = value {
                let metric = ConstGauge::new(value);
                let encoder = encoder.encode_descriptor(name, help, None, metric.metric_type())?;
                metric.encode(encoder)?;
            }
        }
        Ok(())
    }
}

/// From `/proc/self/stat`, see `proc_pid_stat(5)`.
struct Stat {
    cpu_seconds: f64,
    started_after_boot: f64,
}

impl Stat {
    fn read() -> Option<Self> {
        let text = fs::read_to_string("/proc/self/stat").ok()?;
        // The second field is the program's name in parentheses and may hold anything;
        // what follows the last one starts with field 3.
        let (_, fields) = text.rsplit_once(')')?;
        let ticks = |field: usize| {
            let text = fields.split_ascii_whitespace().nth(field - 3)?;
            Some(text.parse::<f64>().ok()? / TICKS_A_SECOND)
        };
        Some(Self {
            cpu_seconds: ticks(14)? + ticks(15)?,
            started_after_boot: ticks(22)?,
        })
    }
}

/// Seconds since 1970.
fn boot_time() -> Option<f64> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("btime "))?;
    line.trim().parse().ok()
}

/// A line of `/proc/self/status`, which is in kilobytes; `statm` would be in pages,
/// whose size differs between machines.
fn status_bytes(key: &str) -> Option<f64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    let kilobytes = line.trim().strip_suffix(" kB")?;
    Some(kilobytes.parse::<f64>().ok()? * 1024.0)
}

fn open_fds() -> Option<f64> {
    let count = fs::read_dir("/proc/self/fd").ok()?.count();
    // The directory itself was open while it was read.
    u32::try_from(count).ok()?.checked_sub(1).map(f64::from)
}

fn max_fds() -> Option<f64> {
    let text = fs::read_to_string("/proc/self/limits").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}
