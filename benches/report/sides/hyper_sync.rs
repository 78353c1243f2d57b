//! The least that an HTTP service on hyper can do whose answers are durable: the bodies that are there go into
//! one file with one write and one sync, and then all of them are answered 202. Nothing is parsed, and
//! nobody could read the file.

use std::{
    fs::File,
    io,
    net::TcpListener,
    os::unix::fs::FileExt as _,
    sync::mpsc::{self, Receiver},
    thread,
};

use anyhow::Result;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::{StatusCode, body::Incoming};
use tokio::sync::oneshot;

use super::lean;
use crate::plan::SCRATCH;

pub(crate) const NAME: &str = "hyper-sync";

/// The file is written over and over, so that no sync waits for the disk to make room.
const FILE_BYTES: usize = 64 << 20;

struct Kept {
    body: Bytes,
    synced: oneshot::Sender<()>,
}

pub(super) fn serve(listener: &TcpListener) -> Result<()> {
    let file = tempfile::tempfile_in(SCRATCH)?;
    file.write_all_at(&vec![0; FILE_BYTES], 0)?;
    file.sync_all()?;
    let (sender, bodies) = mpsc::channel();
    thread::Builder::new().name("sync".to_owned()).spawn(move || {
        if let Err(error) = keep(&file, &bodies) {
            // Whoever waits for an answer is told that there is none, and the measurement ends.
            crate::say(format_args!("{NAME}: {error}"));
        }
    })?;
    lean::serve(listener, move |body| take(body, sender.clone()))
}

async fn take(body: Incoming, sender: mpsc::Sender<Kept>) -> StatusCode {
    let Ok(body) = body.collect().await else { return StatusCode::BAD_REQUEST };
    let (synced, is_synced) = oneshot::channel();
    if sender.send(Kept { body: body.to_bytes(), synced }).is_err() || is_synced.await.is_err() {
        return StatusCode::INTERNAL_SERVER_ERROR;
    }
    StatusCode::ACCEPTED
}

fn keep(file: &File, bodies: &Receiver<Kept>) -> io::Result<()> {
    let (mut together, mut waiting, mut at) = (Vec::new(), Vec::new(), 0);
    while let Ok(first) = bodies.recv() {
        for Kept { body, synced } in std::iter::once(first).chain(bodies.try_iter()) {
            together.extend_from_slice(&body);
            waiting.push(synced);
        }
        if at + together.len() > FILE_BYTES {
            at = 0;
        }
        file.write_all_at(&together, at as u64)?;
        file.sync_data()?;
        at += together.len();
        together.clear();
        for synced in waiting.drain(..) {
            // Whoever has gone away is not told.
            let _ = synced.send(());
        }
    }
    Ok(())
}
