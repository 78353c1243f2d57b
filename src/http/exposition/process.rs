//! The process as the operating system sees it, under the names that all clients of Prometheus give it: with
//! them, dashboards and alerts that others wrote know this service too.
//!
//! Read anew for each scrape, from files in memory; it takes some microseconds.

use std::fmt;

use procfs::{ProcResult, process::Process as ProcProcess};
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder, registry::Unit};
use rustix::process::{Resource, getrlimit};

use super::Out;

/// What the system says of this process at one moment.
#[derive(Debug)]
pub(super) struct Process {
    cpu_seconds: f64,
    started_seconds: f64,
    resident_bytes: u64,
    virtual_bytes: u64,
    threads: i64,
    descriptors: u64,
    /// None where there is no limit.
    descriptors_max: Option<u64>,
}

impl Process {
    /// Asks the system.
    pub(super) fn read() -> ProcResult<Self> {
        let own = ProcProcess::myself()?;
        let stat = own.stat()?;
        let seconds = |ticks: u64| ticks as f64 / procfs::ticks_per_second() as f64;
        Ok(Self {
            cpu_seconds: seconds(stat.utime + stat.stime),
            started_seconds: procfs::boot_time_secs()? as f64 + seconds(stat.starttime),
            resident_bytes: stat.rss * procfs::page_size(),
            virtual_bytes: stat.vsize,
            threads: stat.num_threads,
            descriptors: own.fd_count()? as u64,
            descriptors_max: getrlimit(Resource::Nofile).current,
        })
    }
}

impl Collector for Process {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Out(encoder);
        let (seconds, bytes) = (Some(&Unit::Seconds), Some(&Unit::Bytes));
        out.counter(
            "process_cpu",
            "Time on processors, of the program and of the system for it.",
            seconds,
            self.cpu_seconds,
        )?;
        out.gauge("process_start_time", "When the process started, since the epoch.", seconds, &self.started_seconds)?;
        out.gauge(
            "process_resident_memory",
            "Memory that it has, with its part of files.",
            bytes,
            &self.resident_bytes,
        )?;
        out.gauge("process_virtual_memory", "Addresses that it has.", bytes, &self.virtual_bytes)?;
        out.gauge("process_threads", "Its threads.", None, &self.threads)?;
        out.gauge("process_open_fds", "Its open files and connections.", None, &self.descriptors)?;
        match self.descriptors_max {
            Some(most) => out.gauge("process_max_fds", "The most that it may have open.", None, &most),
            None => Ok(()),
        }
    }
}
