//! `journal inspect`: tables for people, one JSON document, or the records as JSON lines.

use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use bytesize::ByteSize;
use serde::Serialize;
use serde_json::{Value, json, value::RawValue};
use uuid::Uuid;

use super::counted;
use crate::{
    cli::text::tell,
    event::{Civil, Micros},
    journal::{Inspection, LaneFigures, Passed, Record, SegmentFigures, SegmentState, View},
};

const OUTPUT: &str = "cannot write to standard output";

/// Shows what the journal in `dir` holds.
pub(super) fn run(view: &View, dir: &Path, as_json: bool) -> anyhow::Result<ExitCode> {
    let found = view.inspect()?;
    if as_json {
        tell(&serde_json::to_string_pretty(&document(&found))?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut out = io::BufWriter::new(io::stdout().lock());
    tables(&mut out, &found).and_then(|()| out.flush()).context(OUTPUT)?;
    drop(out);
    if found.damaged() > 0 {
        tell(&format!(
            "{} damaged; what can be read is stored, see docs/JOURNAL.md",
            counted(found.damaged(), "place")
        ))?;
    }
    tell(&summary(&found, dir))?;
    Ok(ExitCode::SUCCESS)
}

fn summary(found: &Inspection, dir: &Path) -> String {
    let blank = found.segments.iter().filter(|segment| segment.state == SegmentState::Blank).count();
    let whole = format!(
        "{}, {blank} of them blank, {} in {}; {}",
        counted(found.segments.len() as u64, "segment"),
        ByteSize(found.bytes()).display().iec(),
        dir.display(),
        counted(found.records(), "record")
    );
    match (found.unstored(), found.oldest_unstored) {
        (0, _) => format!("{whole}, everything is stored"),
        (unstored, Some(oldest)) => {
            let age_s = (Micros::now().0 - oldest.0).max(0) / 1_000_000;
            let events = counted(unstored, "event");
            format!("{whole}, {events} not stored, the oldest received {oldest}, {age_s} s ago")
        }
        (unstored, None) => format!("{whole}, {} not stored, none of which can be read", counted(unstored, "event")),
    }
}

fn tables(out: &mut impl Write, found: &Inspection) -> io::Result<()> {
    let seconds =
        |time: Option<Micros>| time.map_or("-".to_owned(), |time| Civil::from_seconds(time.seconds()).to_string());
    writeln!(
        out,
        "{:>7}  {:8}  {:>8}  {:>9}  {:>10}  {:>10}  {:>10}  {:>7}  {:19}  LAST RECEIVED (UTC)",
        "SEGMENT", "STATE", "COMMITS", "RECORDS", "NOT STORED", "USED", "BYTES", "DAMAGED", "FIRST RECEIVED"
    )?;
    for segment in found.segments.iter().filter(|segment| segment.state != SegmentState::Blank) {
        let size = |bytes: u64| ByteSize(bytes).display().iec().to_string();
        writeln!(
            out,
            "{:>7}  {:8}  {:>8}  {:>9}  {:>10}  {:>10}  {:>10}  {:>7}  {:19}  {}",
            segment.number,
            segment.state.as_str(),
            segment.commits,
            segment.records.values().sum::<u64>(),
            segment.unstored,
            size(segment.used_bytes),
            size(segment.bytes),
            segment.damaged,
            seconds(segment.first_received),
            seconds(segment.last_received),
        )?;
    }
    writeln!(out, "\n{:>7}  {:>8}  {:>12}  {:>12}  {:>10}", "LANE", "SHARD", "NEXT RECORD", "WATERMARK", "NOT STORED")?;
    for lane in &found.lanes {
        let shard = lane.shard.map_or("former".to_owned(), |shard| shard.to_string());
        let LaneFigures { lane: number, next, watermark, .. } = lane;
        writeln!(out, "{number:>7}  {shard:>8}  {next:>12}  {watermark:>12}  {:>10}", lane.unstored())?;
    }
    writeln!(out)
}

fn document(found: &Inspection) -> Value {
    let time = |time: Option<Micros>| time.map(|time| time.to_string());
    let segment = |segment: &SegmentFigures| {
        let lanes = segment.records.iter().map(|(lane, records)| json!({"lane": lane, "records": records}));
        json!({
            "segment": segment.number,
            "file": segment.file,
            "state": segment.state.as_str(),
            "bytes": segment.bytes,
            "used_bytes": segment.used_bytes,
            "first_commit": segment.first_commit,
            "commits": segment.commits,
            "records": segment.records.values().sum::<u64>(),
            "lanes": lanes.collect::<Vec<_>>(),
            "unstored": segment.unstored,
            "damaged": segment.damaged,
            "first_received_at": time(segment.first_received),
            "last_received_at": time(segment.last_received),
        })
    };
    let lane = |lane: &LaneFigures| {
        json!({
            "lane": lane.lane,
            "shard": lane.shard,
            "next": lane.next,
            "watermark": lane.watermark,
            "unstored": lane.unstored(),
        })
    };
    json!({
        "bytes": found.bytes(),
        "records": found.records(),
        "unstored": found.unstored(),
        "oldest_unstored_received_at": time(found.oldest_unstored),
        "damaged": found.damaged(),
        "segments": found.segments.iter().map(segment).collect::<Vec<_>>(),
        "lanes": found.lanes.iter().map(lane).collect::<Vec<_>>(),
    })
}

/// A record as JSON.
#[derive(Serialize)]
struct Shown<'a> {
    segment: u64,
    lane: u32,
    record: u64,
    state: &'static str,
    id: Uuid,
    receipt: String,
    #[serde(rename = "type")]
    kind: &'static str,
    source: &'static str,
    user_id: Option<&'a str>,
    /// As it was sent.
    timestamp: Option<&'a str>,
    received_at: String,
    data: &'a RawValue,
}

/// Shows the records, of one segment only or of all, each a line.
pub(super) fn records(view: &View, segment: Option<u64>, only_unstored: bool) -> anyhow::Result<ExitCode> {
    if let Some(number) = segment.filter(|number| !view.has_segment(*number)) {
        bail!("the journal has no segment {number}; `journal inspect` lists those that it has");
    }
    let mut out = io::BufWriter::new(io::stdout().lock());
    let passed = view.records(segment, |record| {
        if record.is_stored && only_unstored {
            return Ok(());
        }
        let shown = shown(record)?;
        serde_json::to_writer(&mut out, &shown)
            .map_err(io::Error::from)
            .and_then(|()| out.write_all(b"\n"))
            .context(OUTPUT)
    })?;
    out.flush().context(OUTPUT)?;
    warn(&passed);
    Ok(ExitCode::SUCCESS)
}

fn shown<'a>(record: &Record<'a>) -> anyhow::Result<Shown<'a>> {
    let event = &record.event;
    let id = event.id;
    Ok(Shown {
        segment: record.segment,
        lane: record.lane,
        record: record.number,
        state: if record.is_stored { "stored" } else { "unstored" },
        id,
        receipt: event.receipt.to_string(),
        kind: event.kind.as_str(),
        source: event.source.as_str(),
        user_id: event.user_id,
        timestamp: event.timestamp,
        received_at: event.received.to_string(),
        data: serde_json::from_str(event.data).with_context(|| format!("the data of event {id} is no JSON"))?,
    })
}

/// Says what a reading passed over.
pub(super) fn warn(passed: &Passed) {
    if passed.damaged > 0 {
        tracing::warn!(places = passed.damaged, "the journal is damaged; what can be read was read");
    }
    for segment in &passed.recycled {
        tracing::warn!(segment, "a segment was used again while it was read; its events were stored long before");
    }
}
