//! Pages are read a few at a time, and what becomes of one is its caller's matter alone.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::kit::{FakeStore, options, start};
use crate::{
    pipeline::Pipeline,
    storage::{Page, PageQuery, page::Filter},
};

fn first() -> PageQuery {
    PageQuery::new(Filter::default(), 1, None).unwrap()
}

fn count(pipeline: &Pipeline) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(pipeline.page(first(), |page| page.events.len())).unwrap()
}

#[test]
fn a_panic_over_a_page_is_its_callers_and_costs_no_other() {
    let store = FakeStore::new();
    let pipeline = start(&store, options(1));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for _ in 0..5 {
        let fail = |_: &Page| -> usize { panic!("a bug") };
        let caught = catch_unwind(AssertUnwindSafe(|| runtime.block_on(pipeline.page(first(), fail))));
        assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"a bug"));
    }
    assert_eq!(count(&pipeline), 0);
}

#[test]
fn callers_that_give_up_give_back_their_turn() {
    let store = FakeStore::new();
    let pipeline = start(&store, options(1));
    store.hold();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        for _ in 0..5 {
            let page = pipeline.page(first(), |page| page.events.len());
            tokio::select! {
                biased;
                _ = page => panic!("the store is held"),
                () = tokio::task::yield_now() => {}
            }
        }
    });
    store.release();
    assert_eq!(count(&pipeline), 0);
}
