//! `docs/BENCHMARKS.md`, from what the parts have kept.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::{
    Definition,
    machine::Machine,
    parts,
    plan::Plan,
    plot::{self, short},
    record::{Bound, Check, Content, Curve, Part, Variant, kept},
    rounds::{Series, spread},
};

/// What people have to say about figures; never written by a program.
const EXPLANATIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/benchmarks/explanations.toml");
/// Up to here a line counts as flat: the highest median is so many times the lowest.
const FLAT: f64 = 1.25;

const HEAD: &str = "\
# Benchmarks

Made by `scripts/bench-report`, and by it alone: repeat it with that one command (about an hour), or look whether it
works with `--quick` (a few minutes; its figures mean nothing and go to the build directory). `--only goals`, `curves`,
`defaults` or the names of parts, with commas between, measure a part anew; `--render` makes this page from
[the figures that are kept](benchmarks), each round of every part.

How to read it:

- Sides that are compared ran in turns on the same cores, forth and back, and the ratio of their medians is what
  counts. Figures of one side alone hold for this machine on that day: they move by a third from hour to hour.
- What is in brackets is the least and the greatest round. Bars in the charts are the same.
- The load generator (`event-pipeline bench`, one thread) takes its part of the same cores, on every side alike.
  Where it used a whole core, it may be what was measured: its share is among the figures of each part.
- Unless something else is said: 64 connections that wait for each answer, events of 230 bytes, 100,000 users, all
  settings at their defaults.
";

#[derive(Default, Deserialize)]
#[serde(transparent)]
struct Explanations(BTreeMap<String, String>);

/// Writes the page and the charts.
pub(crate) fn write(plan: &Plan) -> Result<()> {
    let explanations: Explanations = match fs::read_to_string(EXPLANATIONS) {
        Ok(text) => toml::from_str(&text).context("docs/benchmarks/explanations.toml")?,
        Err(_) => Explanations::default(),
    };
    let all = parts().map(|part| Ok((part, kept(plan, part.name)?))).collect::<Result<Vec<_>>>()?;
    let mut page = HEAD.to_owned();
    if all.iter().flat_map(|(_, kept)| kept).any(|kept| kept.quick) {
        page.push_str("\n**Some of this was measured with `--quick`: those figures mean nothing.**\n");
    }
    let machines: Vec<&Machine> = all.iter().flat_map(|(_, kept)| kept).map(|kept| &kept.machine).collect();
    let newest = machines.iter().copied().max_by_key(|machine| &machine.day);
    if let Some(newest) = newest {
        page.push_str(&described(newest, &machines));
    }
    page.push_str(&goals_table(&all));
    for (group, heading) in [("goals", "Goals, one by one"), ("curves", "Curves"), ("defaults", "Defaults")] {
        page.push_str(&format!("\n## {heading}\n"));
        if group == "defaults" {
            page.push_str(DEFAULTS);
        }
        for (part, kept) in all.iter().filter(|(part, _)| part.group == group) {
            page.push_str(&format!("\n### {}\n\n", part.title));
            if !part.method.is_empty() {
                page.push_str(&format!("{}\n\n", part.method));
            }
            match kept {
                Some(kept) => page.push_str(&section(plan, part, kept, newest)?),
                None => page.push_str("Not measured yet.\n"),
            }
            if let Some(explanation) = explanations.0.get(part.name) {
                page.push_str(&format!("\n{}\n", explanation.trim()));
            }
            page.push_str(&format!("\n<sub>again: `scripts/bench-report --only {}`</sub>\n", part.name));
        }
    }
    fs::write(plan.page(), page)?;
    Ok(())
}

const DEFAULTS: &str = "\nEach setting at a quarter, a half, twice and four times its default, in turns, all else at the \
    defaults. How many connections the service has to MySQL is no setting: one a shard where the database is on the \
    same machine, else two, at least two and at most four.\n";

fn described(newest: &Machine, all: &[&Machine]) -> String {
    let mut databases: Vec<&str> = all.iter().flat_map(|machine| &machine.databases).map(String::as_str).collect();
    databases.sort_unstable();
    databases.dedup();
    let databases = if databases.is_empty() { "none".to_owned() } else { databases.join("; ") };
    let rows = [
        ("day", newest.day.clone()),
        ("commit", newest.commit.clone()),
        ("processor", format!("{}, {} cores", newest.processor, newest.cores)),
        ("memory", newest.memory.clone()),
        ("kernel", newest.kernel.clone()),
        ("file system of journals and databases", newest.file_system.clone()),
        ("compiler", newest.rustc.clone()),
        ("databases", databases),
    ];
    let rows: String = rows.iter().map(|(name, value)| format!("| {name} | {value} |\n")).collect();
    format!("\n## The machine\n\n| | |\n|---|---|\n{rows}")
}

fn goals_table(all: &[(&Definition, Option<Part>)]) -> String {
    let mut table = String::from(
        "\n## Goals\n\n| measurement | event-pipeline | the other side | figure | goal | met |\n|---|---|---|---|---|---|\n",
    );
    for (part, kept) in all.iter().filter(|(part, _)| part.group == "goals") {
        match kept.as_ref().map(|kept| &kept.content) {
            Some(Content::Goal { checks, .. }) => {
                checks.iter().for_each(|check| table.push_str(&goal_row(part, check)))
            }
            _ => table.push_str(&format!("| {} | not measured yet | | | | |\n", part.title)),
        }
    }
    table
}

fn goal_row(part: &Definition, check: &Check) -> String {
    let reference = check
        .reference
        .as_ref()
        .map_or_else(|| "–".to_owned(), |reference| format!("{}: {}", reference.label, with_spread(reference)));
    let figure = check.figure();
    let (figure, sign) = match check.reference {
        Some(_) => (format!("{} ×", short(figure)), " ×".to_owned()),
        None => (format!("{} {}", short(figure), check.ours.unit), format!(" {}", check.ours.unit)),
    };
    let goal = match check.bound {
        Bound::AtLeast(least) => format!("≥ {}{sign}", short(least)),
        Bound::AtMost(most) => format!("≤ {}{sign}", short(most)),
        Bound::Shown => "–".to_owned(),
    };
    let met = check.is_met().map_or("–", |met| if met { "yes" } else { "**no**" });
    let (title, ours) = (&check.title, with_spread(&check.ours));
    format!("| {}: {title} | {ours} | {reference} | {figure} | {goal} | {met} |\n", part.title)
}

/// The median with its unit, and the least and the greatest in brackets.
fn with_spread(series: &Series) -> String {
    let median = format!("{} {}", short(series.median()), series.unit);
    let (least, most) = spread(&series.values);
    if series.values.len() > 1 { format!("{median} ({} to {})", short(least), short(most)) } else { median }
}

fn section(plan: &Plan, part: &Definition, kept: &Part, newest: Option<&Machine>) -> Result<String> {
    let mut section = match &kept.content {
        Content::Goal { all, .. } => figures(all),
        Content::Curve(curve) => {
            let file = format!("{}.svg", part.name);
            fs::write(plan.results().join(&file), plot::svg(part.title, curve))?;
            let folder = plan.results();
            let folder = folder.file_name().map(Path::new).unwrap_or(&folder).display();
            format!("![{}: chart]({folder}/{file})\n\n{}", part.title, shapes(curve))
        }
        Content::Variants { default, rows, .. } => variants(default, rows),
    };
    if newest.is_some_and(|newest| (&newest.commit, &newest.day) != (&kept.machine.commit, &kept.machine.day)) {
        section.push_str(&format!("\nMeasured on {} at commit {}.\n", kept.machine.day, kept.machine.commit));
    }
    Ok(section)
}

fn figures(all: &[Series]) -> String {
    if all.is_empty() {
        return String::new();
    }
    let rows: String = all.iter().map(|series| format!("| {} | {} |\n", series.label, with_spread(series))).collect();
    format!(
        "<details><summary>all figures</summary>\n\n| | median (least to greatest round) |\n|---|---|\n{rows}\n</details>\n"
    )
}

/// A sentence for each line: how far apart its highest and its lowest point are.
fn shapes(curve: &Curve) -> String {
    let mut text = String::new();
    for panel in &curve.panels {
        for line in &panel.lines {
            let points = line.points.iter().map(|(x, values)| (*x, crate::rounds::median(values)));
            let points: Vec<(f64, f64)> = points.collect();
            let by_value = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
            let (Some(least), Some(most)) = (points.iter().min_by(by_value), points.iter().max_by(by_value)) else {
                continue;
            };
            let ratio = most.1 / least.1.max(f64::MIN_POSITIVE);
            let shape = if ratio <= FLAT { "flat" } else { "not flat" };
            text.push_str(&format!(
                "- {}, {}: {shape}; from {} (at {}) to {} (at {}), a factor of {}.\n",
                panel.unit,
                line.label,
                short(least.1),
                short(least.0),
                short(most.1),
                short(most.0),
                short(ratio)
            ));
        }
    }
    text
}

fn variants(default: &str, rows: &[Variant]) -> String {
    let mut table = String::new();
    for rows in rows.chunk_by(|a, b| a.scenario == b.scenario) {
        table.push_str(&format!(
            "{}:\n\n| value | throughput | of the default's | p99 |\n|---|---|---|---|\n",
            rows[0].scenario
        ));
        let of_default = rows.iter().find(|row| row.value == default).map_or(0.0, |row| row.rate.median());
        for row in rows {
            let mark = if row.value == default { " (default)" } else { "" };
            let ratio = row.rate.median() / of_default.max(f64::MIN_POSITIVE);
            table.push_str(&format!(
                "| `{}`{mark} | {} | {} | {} |\n",
                row.value,
                with_spread(&row.rate),
                short(ratio),
                with_spread(&row.p99)
            ));
        }
        table.push('\n');
    }
    table
}
