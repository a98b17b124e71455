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

/// A process and all that came of it, as they are now.
pub fn family(pid: u32) -> Vec<u32> {
    let mut known = vec![pid];
    let parents: Vec<(u32, u32)> = processes().filter_map(|child| Some((child, parent(child)?))).collect();
    // Each round finds at least one more, or is the last.
    loop {
        let more: Vec<u32> = parents
            .iter()
            .filter(|(child, parent)| known.contains(parent) && !known.contains(child))
            .map(|(child, _)| *child)
            .collect();
        if more.is_empty() {
            return known;
        }
        known.extend(more);
    }
}

/// The processes whose command line holds this text.
pub fn named(text: &str) -> Vec<u32> {
    let holds = |pid: &u32| {
        fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains(text))
    };
    processes().filter(holds).collect()
}

/// Seconds of CPU of all of these that still run.
pub fn cpu_seconds_of(pids: &[u32]) -> f64 {
    pids.iter().filter_map(|pid| cpu_seconds(*pid).ok()).sum()
}

fn processes() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc").into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

fn parent(pid: u32) -> Option<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    text.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
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

    #[test]
    fn a_process_is_found_by_its_parent_and_by_its_command() {
        let mut child = std::process::Command::new("sleep").arg("30.25").spawn().unwrap();
        assert!(family(std::process::id()).contains(&child.id()));
        // Its name is there when the child has become the other program.
        let begun = std::time::Instant::now();
        while !named("30.25").contains(&child.id()) && begun.elapsed().as_secs() < 5 {
            std::thread::yield_now();
        }
        assert!(named("30.25").contains(&child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
