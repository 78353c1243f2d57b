//! What the clients sent and were told, kept outside the service, and compared with what the
//! store has in the end.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};
use uuid::Uuid;

use crate::kit::store::StoredRow;

/// Longer than a column that was made smaller takes, and no longer than the contract allows.
const LONG_USER: &str = "a-user-with-a-very-long-name-indeed";

/// Everything that was sent, by id, and what was acknowledged, in order.
#[derive(Default)]
pub(crate) struct Ledger {
    issued: HashMap<String, Issued>,
    pub(crate) acknowledged: Vec<String>,
    pub(crate) refused: usize,
}

struct Issued {
    event: Value,
    /// The store will refuse it.
    is_bad: bool,
}

/// An event that no other is like.
pub(crate) fn event(user_id: &str) -> Value {
    json!({
        "id": Uuid::now_v7(),
        "type": "sensor_data",
        "source": "iot_device",
        "user_id": user_id,
        "data": {"payload": Uuid::now_v7(), "text": "Grüße \u{1F3E0}", "list": [1, null, {"deep": [2.5]}]},
    })
}

/// An event that a store refuses whose column `user_id` was made smaller.
pub(crate) fn bad_event() -> Value {
    event(LONG_USER)
}

pub(crate) fn id(event: &Value) -> String {
    event["id"].as_str().unwrap().to_owned()
}

impl Ledger {
    /// Before they are sent.
    pub(crate) fn issue(&mut self, events: &[Value]) {
        for event in events {
            let issued = Issued { event: event.clone(), is_bad: event["user_id"] == LONG_USER };
            self.issued.insert(id(event), issued);
        }
    }

    /// This one is refused by the store, whatever its user is called.
    pub(crate) fn expect_refused(&mut self, id: &str) {
        self.issued.get_mut(id).unwrap().is_bad = true;
    }

    /// Acknowledged ⊆ stored ∪ dead, the bad ones dead and no other, nothing twice, all unchanged.
    pub(crate) fn check(&self, rows: &[StoredRow], dead: &[String]) {
        let mut stored = HashSet::new();
        for row in rows {
            assert!(stored.insert(row.id.as_str()), "stored twice: {row:?}");
            let Some(Issued { event, is_bad }) = self.issued.get(&row.id) else { panic!("never sent: {row:?}") };
            assert!(!is_bad, "a row that was to be refused is stored: {row:?}");
            assert_eq!(row.processed_data["data"], event["data"], "{row:?}");
            assert_eq!((&json!(row.kind), &json!(row.source)), (&event["type"], &event["source"]));
            assert_eq!(json!(row.user_id), event["user_id"]);
        }
        let mut gone = HashSet::new();
        for id in dead {
            assert!(gone.insert(id.as_str()), "dead twice: {id}");
            assert!(self.issued[id].is_bad, "a good event is dead: {id}");
        }
        assert!(stored.is_disjoint(&gone));
        let lost: Vec<_> = (self.acknowledged.iter().enumerate())
            .filter(|(_, id)| !stored.contains(id.as_str()) && !gone.contains(id.as_str()))
            .collect();
        let of = self.acknowledged.len();
        assert!(
            lost.is_empty(),
            "{} of {of} acknowledged events are lost: {:?}",
            lost.len(),
            &lost[..lost.len().min(9)]
        );
    }
}
