//! What was measured, as it is kept: one JSON file a part, from which the page can be made anew.

use std::{fs, io::ErrorKind};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::{machine::Machine, plan::Plan, rounds::Series};

/// A part of the report.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) name: String,
    /// Only shows that it works.
    pub(crate) quick: bool,
    pub(crate) machine: Machine,
    pub(crate) content: Content,
}

/// What a part found.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Content {
    /// A goal, met or not, and all that was measured for it.
    Goal { checks: Vec<Check>, all: Vec<Series> },
    /// What comes of something that grows.
    Curve(Curve),
    /// What comes of other values of a setting.
    Variants { setting: String, default: String, rows: Vec<Variant> },
}

/// One claim and its proof.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Check {
    pub(crate) title: String,
    pub(crate) ours: Series,
    /// What it is compared with; without one, the figure itself counts.
    pub(crate) reference: Option<Series>,
    pub(crate) bound: Bound,
}

/// Where a figure has to be.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
    /// Nowhere: it is only shown.
    Shown,
}

impl Check {
    /// The ratio of the medians; without a reference, the median.
    pub(crate) fn figure(&self) -> f64 {
        match &self.reference {
            Some(reference) => self.ours.median() / reference.median().max(f64::MIN_POSITIVE),
            None => self.ours.median(),
        }
    }

    /// Whether it is where it has to be; `None` where it may be anywhere.
    pub(crate) fn is_met(&self) -> Option<bool> {
        match self.bound {
            Bound::AtLeast(least) => Some(self.figure() >= least),
            Bound::AtMost(most) => Some(self.figure() <= most),
            Bound::Shown => None,
        }
    }
}

/// Lines over one axis.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Curve {
    pub(crate) x: String,
    pub(crate) log_x: bool,
    /// Charts above each other.
    pub(crate) panels: Vec<Panel>,
}

/// Lines of one unit.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Panel {
    pub(crate) unit: String,
    pub(crate) lines: Vec<Line>,
}

/// Measurements at growing values of x.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) label: String,
    pub(crate) points: Vec<(f64, Vec<f64>)>,
}

/// A value of a setting, and what came of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Variant {
    pub(crate) scenario: String,
    pub(crate) value: String,
    pub(crate) rate: Series,
    pub(crate) p99: Series,
}

/// Keeps a part, in place of an older one.
pub(crate) fn keep(plan: &Plan, part: &Part) -> Result<()> {
    let path = plan.results().join(format!("{}.json", part.name));
    let mut text = serde_json::to_string_pretty(part)?;
    text.push('\n');
    fs::write(&path, text).with_context(|| path.display().to_string())
}

/// The part of that name, where it was ever measured.
pub(crate) fn kept(plan: &Plan, name: &str) -> Result<Option<Part>> {
    let path = plan.results().join(format!("{name}.json"));
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).context(path.display().to_string()),
    };
    serde_json::from_str(&text).map(Some).with_context(|| path.display().to_string())
}
