//! A fixed number of futures of one type that run at the same time within one task, each in a place
//! whose memory is allocated once and used again: for the batches of one flusher that are in flight.

use std::{future::poll_fn, task::Poll};

use tokio_util::sync::ReusableBoxFuture;

/// Places for futures that end with a `T`.
pub(super) struct Slots<T> {
    /// The running ones come first.
    places: Vec<ReusableBoxFuture<'static, T>>,
    running: usize,
    places_max: usize,
}

impl<T: 'static> Slots<T> {
    /// So many empty places.
    pub(super) fn new(places_max: usize) -> Self {
        Self { places: Vec::with_capacity(places_max), running: 0, places_max }
    }

    /// Whether one more future has a place.
    pub(super) fn has_free(&self) -> bool {
        self.running < self.places_max
    }

    /// Whether none runs.
    pub(super) fn are_empty(&self) -> bool {
        self.running == 0
    }

    /// Has `future` run in a free place; it is polled by [`Slots::next`] alone.
    pub(super) fn fill(&mut self, future: impl Future<Output = T> + Send + 'static) {
        match self.places.get_mut(self.running) {
            Some(place) => place.set(future),
            None => self.places.push(ReusableBoxFuture::new(future)),
        }
        self.running += 1;
    }

    /// Waits for the next that ends, and frees its place; for ever, where none runs.
    ///
    /// # Cancel safety
    /// Nothing is lost: those that run go on with the next call.
    pub(super) async fn next(&mut self) -> T {
        poll_fn(|cx| {
            for index in 0..self.running {
                if let Poll::Ready(ended) = self.places[index].poll(cx) {
                    self.running -= 1;
                    self.places.swap(index, self.running);
                    return Poll::Ready(ended);
                }
            }
            Poll::Pending
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn whichever_ends_first_comes_first_and_frees_its_place() {
        let mut slots = Slots::new(2);
        let run = |end: oneshot::Receiver<u32>| async move { end.await.unwrap() };
        let (first, end) = oneshot::channel();
        slots.fill(run(end));
        let (second, end) = oneshot::channel();
        slots.fill(run(end));
        assert!(!slots.has_free());
        second.send(2).unwrap();
        assert_eq!(slots.next().await, 2);
        let (third, end) = oneshot::channel();
        slots.fill(run(end));
        third.send(3).unwrap();
        assert_eq!(slots.next().await, 3);
        first.send(1).unwrap();
        assert_eq!(slots.next().await, 1);
        assert!(slots.are_empty() && slots.has_free());
    }
}
