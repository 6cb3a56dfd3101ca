//! A program that polls messages: one line in for each message, and one line out for each decision.

use std::collections::HashMap;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{Mutex as AsyncMutex, oneshot};

use crate::function::{Chime, Outcome};

type Decisions = Arc<Mutex<HashMap<String, oneshot::Sender<()>>>>;

/// The running program. Dropping it ends it.
pub struct Poller {
    decisions: Decisions,
    input: AsyncMutex<ChildStdin>,
    _process: Child,
}

impl Poller {
    pub fn start(program: &Path, chime: &Chime) -> Outcome<Self> {
        let mut process = Command::new(program)
            .envs(chime.variables())
            // Lambda sets it for functions.
            .env("AWS_REGION", "us-east-1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let input = process.stdin.take().ok_or("no standard input")?;
        let output = process.stdout.take().ok_or("no standard output")?;
        let decisions = Decisions::default();
        tokio::spawn(read(BufReader::new(output), Arc::clone(&decisions)));
        Ok(Self {
            decisions,
            input: AsyncMutex::new(input),
            _process: process,
        })
    }

    /// Sends the line of a message, and waits until the program prints the message's id.
    pub async fn decided(&self, line: &str, message_id: &str) -> Outcome<()> {
        let (sender, receiver) = oneshot::channel();
        lock(&self.decisions).insert(message_id.to_owned(), sender);
        let line = format!("{line}\n");
        self.input.lock().await.write_all(line.as_bytes()).await?;
        Ok(receiver.await?)
    }
}

async fn read(output: impl AsyncBufReadExt + Unpin, decisions: Decisions) {
    let mut lines = output.lines();
    while let Ok(Some(message_id)) = lines.next_line().await {
        if let Some(sender) = lock(&decisions).remove(&message_id) {
            let _received = sender.send(());
        }
    }
    // Without its senders, a measurement that waits for the program fails.
    lock(&decisions).clear();
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
