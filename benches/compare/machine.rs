//! What the numbers of a run were measured on.

use std::fs;
use std::process::Command;

use pgevents_tests::dist::Installation;

/// The machine and the versions, one line each, for the head of a summary.
pub fn describe(postgres: &Installation) -> Vec<String> {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let mut lines = vec![
        format!("CPU: {cores} cores, {}", cpu_model()),
        format!("Linux {}", first_line("/proc/sys/kernel/osrelease")),
        format!(
            "load average before the run: {}",
            first_line("/proc/loadavg")
        ),
        format!("PostgreSQL {}", postgres.version),
    ];
    let packages = [
        format!("postgresql-{}-wal2json", postgres.major),
        format!("postgresql-{}-decoderbufs", postgres.major),
        "rabbitmq-server".to_owned(),
    ];
    lines.extend(packages.iter().filter_map(|name| package(name)));
    lines
}

fn cpu_model() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    // Clouds hide the model's name; family and model number still tell the generation.
    let [name, family, model] = ["model name", "cpu family", "model\t"].map(field);
    let unknown = || "unknown".to_owned();
    format!(
        "{} (family {}, model {})",
        name.unwrap_or_else(unknown),
        family.unwrap_or_else(unknown),
        model.unwrap_or_else(unknown)
    )
}

/// Name and version of an installed package of Debian.
fn package(name: &str) -> Option<String> {
    let output = Command::new("dpkg-query")
        .args(["--show", "--showformat", "${Package} ${Version}", name])
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

fn first_line(file: &str) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().next().unwrap_or_default().to_owned()
}
