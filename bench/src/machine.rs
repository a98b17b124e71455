//! What the machine says about itself and about processes: cores, load, CPU time, memory. Reads `/proc`, so Linux only.

use std::fs;

use anyhow::{Context, Result};

/// Ticks of `/proc/PID/stat` a second; what Linux tells programs, whatever the kernel uses inside.
const TICKS_PER_SECOND: f64 = 100.0;

/// Model and count of the processors.
pub fn processors() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map_or("?", |(_, m)| m);
    let count = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{count} cores ({})", model.trim())
}

/// The load averages of the last minute, five and fifteen.
pub fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// Seconds of CPU that a process has used so far, in all its threads.
pub fn cpu_seconds(pid: u32) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field is a name in parentheses that may hold anything; user and system time are the 14th and 15th.
    let (_, rest) = text.rsplit_once(") ").context("/proc/PID/stat has no name")?;
    let ticks: u64 = rest.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Ok(ticks as f64 / TICKS_PER_SECOND)
}

/// Seconds of CPU that this thread has used so far.
pub fn thread_seconds() -> f64 {
    // Nanoseconds on a processor come first.
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|field| field.parse::<f64>().ok()).unwrap_or_default() / 1e9
}

/// Megabytes of memory that a process occupies.
pub fn resident_mb(pid: u32) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("/proc/PID/status has no VmRSS")?;
    let kb: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kb / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_knows_its_own_use() {
        let pid = std::process::id();
        assert!(resident_mb(pid).unwrap() > 1.0);
        assert!(cpu_seconds(pid).unwrap() >= 0.0);
        assert_eq!(load().split(' ').count(), 3);
    }
}
