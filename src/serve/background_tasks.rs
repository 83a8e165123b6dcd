//! What a replica does apart from answering, as named tasks: started while the server is put
//! together, and ended in one place. This module must not know what the tasks do.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use tokio_util::task::AbortOnDropHandle;

type Tasks = Vec<(&'static str, AbortOnDropHandle<()>)>;

/// Tasks that run; dropping this ends them.
#[derive(Debug, Default)]
pub struct BackgroundTasks {
    essential: Tasks,
    others: Tasks,
}

impl BackgroundTasks {
    /// Starts a task that goes on until the last request is answered.
    pub fn start(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.others.push((name, spawn(task)));
    }

    /// Starts a task without which the server must not go on. It ends as soon as the server is
    /// told to end, before the last requests are answered.
    pub fn start_essential(
        &mut self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        self.essential.push((name, spawn(task)));
    }

    /// Waits until an essential task has ended, by a panic too, and returns its name; waits
    /// for ever where there is none.
    pub async fn essential_ended(&mut self) -> &'static str {
        poll_fn(|cx| {
            for (name, task) in &mut self.essential {
                if Pin::new(task).poll(cx).is_ready() {
                    return Poll::Ready(*name);
                }
            }
            Poll::Pending
        })
        .await
    }

    /// Ends the essential tasks.
    pub fn end_essential(&mut self) {
        self.essential.clear();
    }
}

fn spawn(task: impl Future<Output = ()> + Send + 'static) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(task))
}
