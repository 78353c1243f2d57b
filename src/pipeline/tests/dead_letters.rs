//! Events that are refused for good: in the file before the watermark passes them, and found there.

use std::{fs, os::unix::fs::PermissionsExt as _};

use uuid::Uuid;

use super::kit::{FakeStore, batch, event, options, send, start, start_with, until, wait};
use crate::{
    event::Event,
    pipeline::{AckLevel, Fields, Found, ProcessingError, Processor, Verdict},
    storage::dead_letters::{FILE, History, Reason},
};

fn with_id(id: u128, user: &str) -> String {
    let id = Uuid::from_u128(id);
    format!(r#"{{"id":"{id}","type":"user_action","source":"web","user_id":"{user}","data":{{ "n":1.50}}}}"#)
}

/// Fails the events of one user.
struct Picky;

impl Processor for Picky {
    fn process(&self, event: &Event<'_>, fields: &mut Fields<'_>) -> Result<Verdict, ProcessingError> {
        fields.raw("data", event.data);
        match event.user_id {
            Some("odd") => Err(ProcessingError { reason: "odd".to_owned() }),
            _ => Ok(Verdict::Store),
        }
    }
}

#[test]
fn a_refused_event_is_in_the_file_as_it_was_sent_with_the_reason() {
    let store = FakeStore::new();
    store.refuse_user("bad");
    let pipeline = start_with(&store, options(1), |builder| builder.processor(Picky));
    let body = batch([with_id(1, "good"), with_id(2, "bad"), with_id(3, "odd"), with_id(4, "good")]);
    let reached = wait(send(&pipeline, &body, AckLevel::Stored).unwrap().ack);
    assert_eq!(reached.outcome.dead.iter().map(|dead| dead.index).collect::<Vec<_>>(), [1, 2]);

    let history = History::open(&pipeline.dir().join(FILE)).unwrap();
    let mut letters: Vec<_> = history.entries().iter().map(|entry| history.letter(entry).unwrap().unwrap()).collect();
    letters.sort_by_key(|letter| letter.id);
    let [bad, odd] = letters.as_slice() else { panic!("{letters:?}") };
    assert_eq!((bad.id.as_u128(), bad.reason, bad.code.as_str()), (2, Reason::StoreRefused, "1366"));
    assert_eq!((bad.event.user_id.as_deref(), bad.event.data.as_str()), (Some("bad"), r#"{ "n":1.50}"#));
    assert!(bad.row().unwrap().processed_data.contains("receipt"));
    assert_eq!((odd.id.as_u128(), odd.reason, odd.detail.as_str()), (3, Reason::ProcessingFailed, "odd"));

    let seen = pipeline.metrics();
    assert_eq!((seen.events_processed, seen.events_failed, seen.current_queue_depth), (2, 2, 0));
    assert_eq!(seen.dead_letters.iter().map(|open| open.letters).sum::<u64>(), 2, "{:?}", seen.dead_letters);
}

#[test]
fn every_state_of_an_event_is_found() {
    let store = FakeStore::new();
    store.refuse_user("bad");
    let pipeline = start(&store, options(2));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let find = |id: u128| runtime.block_on(pipeline.find(Uuid::from_u128(id)));
    wait(send(&pipeline, &batch([with_id(1, "good"), with_id(2, "bad")]), AckLevel::Stored).unwrap().ack);
    assert!(matches!(find(2).unwrap(), Some(Found::Dead(letter)) if letter.event.user_id.as_deref() == Some("bad")));
    store.take_down();
    wait(send(&pipeline, &batch([with_id(3, "good")]), AckLevel::Durable).unwrap().ack);
    until("the store to be seen down", || !pipeline.store_health().up);
    let Some(Found::Durable(waiting)) = find(3).unwrap() else { panic!("it is in the journal") };
    assert_eq!((waiting.user_id.as_deref(), waiting.data.as_str()), (Some("good"), r#"{ "n":1.50}"#));
    assert!(find(9).unwrap().is_none(), "the fake store answers reads");
    store.mend();
    until("it to be stored", || store.stored() == 2);
}

#[test]
fn while_the_letter_cannot_be_written_the_event_stays_in_the_journal() {
    let store = FakeStore::new();
    store.refuse_user("bad");
    let pipeline = start(&store, options(1));
    let file = pipeline.dir().join(FILE);
    // Root may write anything but a directory.
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o500)).unwrap();
    send(&pipeline, &batch([event("bad", 1), event("good", 2)]), AckLevel::Durable).unwrap();
    until("the good one to be stored", || store.stored() == 1);
    assert_eq!(pipeline.metrics().events_failed, 0, "no letter, no end");
    assert_eq!(pipeline.metrics().current_queue_depth, 2);
    fs::remove_dir(&file).unwrap();
    until("the letter to be written", || pipeline.metrics().events_failed == 1);
    assert_eq!(pipeline.metrics().current_queue_depth, 0);
    assert_eq!(History::open(&file).unwrap().entries().len(), 1);
}
