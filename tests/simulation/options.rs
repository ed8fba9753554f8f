//! The command line of the simulation.

/// What to play.
#[derive(Clone, Debug)]
pub struct CommandLine {
    pub mode: Mode,
    /// The first seed.
    pub from: u64,
    /// How many schedules are played; `None` for ever.
    pub schedules: Option<u64>,
}

/// What is played.
#[derive(Clone, Debug)]
pub enum Mode {
    /// The scenarios, then schedules by chance until one fails.
    Suite,
    /// One schedule by chance, with its trace.
    Seed(u64),
    /// The scenarios whose names contain this, with their traces.
    Scenario(String),
    /// Schedules by chance, whichever fail: counts by rule.
    Survey,
}

/// How many schedules `cargo test` plays. The variable of this name changes it.
const SCHEDULES: u64 = 20_000;
const VARIABLE: &str = "SIMULATION_SCHEDULES";

/// Reads the command line. Arguments that only libtest knows are ignored.
pub fn read() -> CommandLine {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    let number = |name: &str| value(name)?.parse::<u64>().ok();
    let variable = std::env::var_os(VARIABLE).and_then(|text| text.to_str()?.parse().ok());
    let mode = match (number("--seed"), value("--scenario")) {
        (Some(seed), _) => Mode::Seed(seed),
        (None, Some(name)) => Mode::Scenario(name),
        (None, None) if has("--survey") => Mode::Survey,
        (None, None) => Mode::Suite,
    };
    let schedules = number("--schedules").or(variable).unwrap_or(SCHEDULES);
    CommandLine {
        mode,
        from: number("--from").unwrap_or(0),
        schedules: (!has("--forever")).then_some(schedules),
    }
}
