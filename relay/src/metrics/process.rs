//! What the kernel knows of this process. Source: proc(5).

use std::fs;

/// Clock ticks a second in /proc, on every Linux.
const USER_HZ: f64 = 100.0;

/// Memory and CPU time; `None` where there is no /proc.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Usage {
    /// Resident memory in bytes.
    pub(super) resident_bytes: u64,
    /// User and system time in seconds.
    pub(super) cpu_seconds: f64,
}

impl Usage {
    pub(super) fn now() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        let status = fs::read_to_string("/proc/self/status").ok()?;
        Self::parse(&stat, &status)
    }

    fn parse(stat: &str, status: &str) -> Option<Self> {
        // The second field is a name in parentheses that may hold spaces; 14 and 15 are the times.
        let mut times = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
        let (user, system): (u64, u64) = (times.next()?.parse().ok()?, times.next()?.parse().ok()?);
        let resident = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kibibytes: u64 = resident.split_whitespace().next()?.parse().ok()?;
        Some(Self {
            resident_bytes: kibibytes * 1024,
            cpu_seconds: (user + system) as f64 / USER_HZ,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_does_not_shift_the_fields() {
        let stat = "7 (a) b c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0";
        let status = "Name:\ta) b c\nVmRSS:\t    12 kB\n";
        let usage = Usage::parse(stat, status).expect("both parse");
        assert_eq!((usage.resident_bytes, usage.cpu_seconds), (12_288, 2.0));
        assert!(Usage::now().is_some_and(|usage| usage.resident_bytes > 100_000));
    }
}
