//! What a replica does apart from answering, as named tasks: added while the server is put
//! together, started and ended in one place.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use tokio_util::task::AbortOnDropHandle;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;
type Running = Vec<(&'static str, AbortOnDropHandle<()>)>;

/// Tasks that have not been started yet.
#[derive(Default)]
pub struct BackgroundTasks {
    essential: Vec<(&'static str, Task)>,
    others: Vec<(&'static str, Task)>,
}

impl fmt::Debug for BackgroundTasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tasks = self.essential.iter().chain(&self.others);
        f.debug_list().entries(tasks.map(|(name, _)| name)).finish()
    }
}

impl BackgroundTasks {
    /// Adds a task that goes on until the last request is answered.
    pub fn add(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.others.push((name, Box::pin(task)));
    }

    /// Adds a task without which the server must not go on. It ends as soon as the server is
    /// told to end, before the last requests are answered.
    pub fn add_essential(
        &mut self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        self.essential.push((name, Box::pin(task)));
    }

    /// Starts all of them on the runtime.
    #[must_use]
    pub fn start(self) -> RunningTasks {
        let start = |tasks: Vec<(&'static str, Task)>| {
            let spawn = |(name, task)| (name, AbortOnDropHandle::new(tokio::spawn(task)));
            tasks.into_iter().map(spawn).collect()
        };
        RunningTasks {
            essential: start(self.essential),
            others: start(self.others),
        }
    }
}

/// Tasks that run; dropping this ends them.
#[derive(Debug)]
pub struct RunningTasks {
    essential: Running,
    others: Running,
}

impl RunningTasks {
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

    /// Ends all tasks.
    pub fn end(mut self) {
        self.end_essential();
        self.others.clear();
    }
}
