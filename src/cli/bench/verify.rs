//! Whether the store has what was acknowledged: each event's number is looked for in the rows.

use std::{collections::HashSet, net::SocketAddr, ops::Range, path::PathBuf, time::Duration};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::{report::Bar, request::NUMBER_FIRST};
use crate::{
    cli::{
        service::{Connection, Url},
        store,
        storing::patiently,
        text::grouped,
    },
    config::Settings,
    event::Micros,
    storage::{MySql, RowById, SqliteView, StoreError, Target},
};

/// How many lost events are named.
pub(super) const LOST_NAMED_MAX: usize = 10;
/// How far the clocks of services, which make the ids, may be from this one's at first. Where
/// something is missing, the whole table is read.
const CLOCKS_APART: Duration = Duration::from_secs(600);
const ROWS_AT_ONCE: usize = 5000;
/// How often the service is asked whether all is stored, and how long its backlog may stand still.
const ASK_EVERY: Duration = Duration::from_millis(100);
const STANDSTILL_MAX: Duration = Duration::from_secs(300);

/// What was acknowledged and what is there.
#[derive(Debug, Serialize)]
pub(super) struct Verified {
    pub(super) acknowledged: u64,
    /// Distinct events of the run, those whose answer was lost too.
    pub(super) stored: u64,
    pub(super) lost: u64,
    /// Events in more than one row.
    pub(super) duplicated: u64,
    /// The first of the lost ones, as `data.bench.n` has them.
    #[serde(skip)]
    pub(super) lost_numbers: Vec<u64>,
    /// As `data.bench.run` has it.
    #[serde(skip)]
    pub(super) run: String,
}

/// The service's store, read beside it.
pub(super) enum Store {
    Sqlite(SqliteView),
    MySql(MySql),
}

impl Store {
    /// # Errors
    /// Where it is not there, or keeps nothing.
    pub(super) fn open(settings: &Settings) -> anyhow::Result<Self> {
        let target = &settings.store;
        if let Target::MySql(url) = target {
            return Ok(Self::MySql(MySql::new(url.clone(), 1)));
        }
        let path: PathBuf = store::existing_database(target, &settings.data_dir)?;
        Ok(Self::Sqlite(SqliteView::open(&path).with_context(|| format!("cannot open {target}"))?))
    }

    async fn page(&self, after: &str, until: &str) -> Result<Vec<RowById>, StoreError> {
        match self {
            Self::Sqlite(view) => view.rows_by_id(after, until, ROWS_AT_ONCE),
            Self::MySql(store) => store.rows_by_id(after, until, ROWS_AT_ONCE).await,
        }
    }
}

/// Waits until the service says that all is stored, and looks for every acknowledged event.
///
/// # Errors
/// Where the service's backlog stands still, or the service or the store cannot be asked.
pub(super) async fn run(
    store: &Store,
    url: &Url,
    addresses: &[SocketAddr],
    run: u64,
    begin: Micros,
    acknowledged: Vec<Range<u64>>,
    bar: &Bar,
) -> anyhow::Result<Verified> {
    settle(url, addresses, bar).await?;
    let acknowledged = Numbers::from_iter(acknowledged);
    let run = format!("{run:016x}");
    let key =
        |time: Micros| Uuid::from_u64_pair((time.millis().max(0).cast_unsigned()) << 16, 0).hyphenated().to_string();
    let apart = CLOCKS_APART.as_micros() as i64;
    let near = (key(Micros(begin.0 - apart)), key(Micros(Micros::now().0 + apart)));
    // Before the first and behind the last id that there can be.
    let all = (String::new(), "g".to_owned());
    let mut found = Found::default();
    for (after, until) in [near, all] {
        found = Found::read(store, &run, after, &until, bar).await.context("cannot read the store")?;
        if acknowledged.missing_in(&found.numbers).next().is_none() {
            break;
        }
    }
    Ok(Verified {
        acknowledged: acknowledged.count(),
        stored: found.numbers.count(),
        lost: acknowledged.missing_in(&found.numbers).count() as u64,
        duplicated: found.again.len() as u64,
        lost_numbers: acknowledged.missing_in(&found.numbers).take(LOST_NAMED_MAX).map(|n| NUMBER_FIRST + n).collect(),
        run,
    })
}

/// Waits until everything that the service accepted is stored.
async fn settle(url: &Url, addresses: &[SocketAddr], bar: &Bar) -> anyhow::Result<()> {
    #[derive(Deserialize)]
    struct Metrics {
        current_queue_depth: u64,
    }
    let failed = || format!("cannot ask {} for /metrics", url.as_str());
    let mut connection = Connection::open(addresses).await.with_context(failed)?;
    let (mut least, mut since) = (u64::MAX, Instant::now());
    loop {
        let (_, body) = connection.get(url, "/metrics").await.with_context(failed)?;
        let metrics: Metrics = serde_json::from_slice(body).with_context(failed)?;
        let depth = metrics.current_queue_depth;
        if depth == 0 {
            return Ok(());
        }
        if depth < least {
            (least, since) = (depth, Instant::now());
        }
        if since.elapsed() > STANDSTILL_MAX {
            let minutes = STANDSTILL_MAX.as_secs() / 60;
            bail!(
                "{depth} events wait for the store, and for {minutes} minutes there were never fewer than {least}; see \
                 the service's log and /health"
            );
        }
        bar.say(format!("verify: {} events wait for the store", grouped(depth)));
        sleep(ASK_EVERY).await;
    }
}

/// What of the run was found.
#[derive(Debug, Default)]
struct Found {
    numbers: Numbers,
    /// Those that were found more than once.
    again: HashSet<u64>,
}

impl Found {
    async fn read(store: &Store, run: &str, mut after: String, until: &str, bar: &Bar) -> Result<Self, StoreError> {
        let (mut found, mut rows) = (Self::default(), 0);
        loop {
            let page = patiently(async || store.page(&after, until).await).await?;
            let Some(last) = page.last() else { return Ok(found) };
            after.clone_from(&last.id);
            for number in page.iter().filter_map(|row| number(row.processed_data.as_deref()?, run)) {
                if !found.numbers.insert(number) {
                    found.again.insert(number);
                }
            }
            rows += page.len() as u64;
            bar.say(format!("verify: {} rows read", grouped(rows)));
            // Reading a file never waits, and Ctrl-C is to be heard.
            tokio::task::yield_now().await;
        }
    }
}

/// The number of an event of that run.
fn number(processed_data: &str, run: &str) -> Option<u64> {
    #[derive(Deserialize)]
    struct Processed<'a> {
        #[serde(borrow)]
        data: Data<'a>,
    }
    #[derive(Deserialize)]
    struct Data<'a> {
        #[serde(borrow)]
        bench: Mark<'a>,
    }
    #[derive(Deserialize)]
    struct Mark<'a> {
        run: &'a str,
        n: u64,
    }
    // Others' data may have any form.
    let Processed { data: Data { bench } } = serde_json::from_str(processed_data).ok()?;
    (bench.run == run).then(|| bench.n.checked_sub(NUMBER_FIRST)).flatten()
}

/// A set of numbers that are close together: a bit for each.
#[derive(Debug, Default)]
struct Numbers(Vec<u64>);

impl Numbers {
    /// Whether it was new.
    fn insert(&mut self, number: u64) -> bool {
        let (word, bit) = ((number / 64) as usize, 1 << (number % 64));
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        let is_new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        is_new
    }

    fn count(&self) -> u64 {
        self.0.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// Those that `others` lacks, ascending.
    fn missing_in<'a>(&'a self, others: &'a Self) -> impl Iterator<Item = u64> + 'a {
        let theirs = others.0.iter().copied().chain(std::iter::repeat(0));
        self.0.iter().zip(theirs).zip(0..).filter(|((own, theirs), _)| *own & !theirs != 0).flat_map(
            |((own, theirs), word): (_, u64)| {
                (0..64).filter(move |bit| (own & !theirs) >> bit & 1 == 1).map(move |bit| word * 64 + bit)
            },
        )
    }
}

impl FromIterator<Range<u64>> for Numbers {
    fn from_iter<I: IntoIterator<Item = Range<u64>>>(ranges: I) -> Self {
        let mut numbers = Self::default();
        for number in ranges.into_iter().flatten() {
            numbers.insert(number);
        }
        numbers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_set_has_and_the_other_lacks() {
        let ours = Numbers::from_iter([0..3, 63..65, 1000..1001]);
        assert_eq!(ours.count(), 6);
        let mut theirs = Numbers::from_iter([0..2, 64..65]);
        assert!(!theirs.insert(1) && theirs.insert(5000));
        assert_eq!(ours.missing_in(&theirs).collect::<Vec<_>>(), [2, 63, 1000]);
        assert_eq!(ours.missing_in(&ours).count(), 0);
        assert_eq!(theirs.missing_in(&ours).collect::<Vec<_>>(), [5000]);
    }

    #[test]
    fn a_number_is_of_the_run_or_none_of_ours() {
        let row = r#"{"data": {"a": [1], "bench": {"n": 1000000007, "run": "feed"}}, "lag_ms": 0}"#;
        assert_eq!(number(row, "feed"), Some(7));
        assert_eq!(number(row, "beef"), None);
        for other in [r#"{"data":{}}"#, r#"{"data":{"bench":7}}"#, r#"{"data":{"bench":{"run":"feed","n":"x"}}}"#, ""] {
            assert_eq!(number(other, "feed"), None);
        }
    }
}
