//! How a step of the tour is done: requests are sent and noted, what came back is checked, and the
//! whole is told with the time that it took.

use std::time::Duration;

use henge_actors::environment::{Clock as _, SystemClock};
use henge_kernel::time::Instant;
use tokio::time::{sleep, timeout};

use super::{
    client::{Request, Response},
    cluster::LOOK,
    report::{Exchange, Report, Step},
};

/// How long the tour waits for anything, at most.
const BOUND: Duration = Duration::from_secs(10);

/// Where the tour is played.
pub struct Stage {
    report: Report,
    clock: SystemClock,
    steps: usize,
}

/// A step did not hold; that was told already.
#[derive(Debug)]
pub struct Broken;

/// What was expected and did not come.
#[derive(Debug)]
pub struct Unmet(pub String);

/// One step while it is played.
#[derive(Debug, Default)]
pub struct Scene {
    exchanges: Vec<Exchange>,
    notes: Vec<String>,
}

impl Stage {
    /// A stage on which nothing was played yet.
    pub fn new(report: Report) -> Self {
        Self { report, clock: SystemClock::start(), steps: 0 }
    }

    /// Plays one step and tells of it.
    pub async fn step<T>(
        &mut self,
        title: impl Into<String>,
        play: impl AsyncFnOnce(&mut Scene) -> Result<T, Unmet>,
    ) -> Result<T, Broken> {
        let began = self.clock.now();
        let mut scene = Scene::default();
        let played = play(&mut scene).await;
        self.steps += 1;
        let (outcome, broken) = match played {
            Ok(outcome) => (Ok(outcome), None),
            Err(Unmet(expected)) => (Err(Broken), Some(expected)),
        };
        self.report.step(&Step {
            number: self.steps,
            title: title.into(),
            exchanges: scene.exchanges,
            notes: scene.notes,
            took: self.clock.now().since(began),
            broken,
        });
        outcome
    }

    /// The tour is over.
    pub fn close(self, held: bool) {
        self.report.done(self.steps, held, self.clock.now().since(Instant::default()));
    }
}

impl Scene {
    /// Sends a request, notes its line and what came back.
    pub async fn ask(&mut self, request: &Request) -> Result<Response, Unmet> {
        self.show(request);
        let response = answer_to(request).await?;
        self.came_back(&response);
        Ok(response)
    }

    /// Sends a request that is to be answered with `status`.
    pub async fn expect(&mut self, request: &Request, status: u16) -> Result<Response, Unmet> {
        let response = self.ask(request).await?;
        if response.status == status { Ok(response) } else { unmet(format!("status {status}")) }
    }

    /// Sends a request that is to be answered with the value `text`.
    pub async fn expect_value(&mut self, request: &Request, text: &str) -> Result<Response, Unmet> {
        let response = self.expect(request, 200).await?;
        if response.body == text { Ok(response) } else { unmet(format!("the value {text:?}")) }
    }

    /// Sends a request again and again, as long as nodes are not in reach, and notes the last answer.
    pub async fn expect_soon(&mut self, request: &Request, status: u16) -> Result<Response, Unmet> {
        self.show(request);
        let look = async || {
            let response = answer_to(request).await?;
            Ok((!matches!(response.status, 503 | 504)).then_some(response))
        };
        let response = wait_for(&format!("status {status}"), look).await?;
        self.came_back(&response);
        if response.status == status { Ok(response) } else { unmet(format!("status {status}")) }
    }

    /// Waits until `look` finds something, for a bounded time.
    pub async fn wait<T>(
        &mut self,
        what: &str,
        look: impl AsyncFnMut() -> Result<Option<T>, Unmet>,
    ) -> Result<T, Unmet> {
        wait_for(what, look).await
    }

    /// Notes the line of a request that is sent elsewhere.
    pub fn show(&mut self, request: &Request) {
        self.exchanges.push(Exchange { curl: request.curl(), came_back: None });
    }

    fn came_back(&mut self, response: &Response) {
        if let Some(last) = self.exchanges.last_mut() {
            last.came_back = Some(response.summary());
        }
    }

    /// Notes something that was observed.
    pub fn note(&mut self, observed: impl Into<String>) {
        self.notes.push(observed.into());
    }
}

/// Sends a request without a word.
pub async fn answer_to(request: &Request) -> Result<Response, Unmet> {
    request.send().await.map_err(|error| Unmet(format!("an answer, but: {error}")))
}

/// For the end of a check.
pub fn unmet<T>(expected: impl Into<String>) -> Result<T, Unmet> {
    Err(Unmet(expected.into()))
}

async fn wait_for<T>(
    what: &str,
    mut look: impl AsyncFnMut() -> Result<Option<T>, Unmet>,
) -> Result<T, Unmet> {
    let found = async {
        loop {
            if let Some(found) = look().await? {
                return Ok(found);
            }
            sleep(LOOK).await;
        }
    };
    let late = |_| Unmet(format!("{what} within {} s", BOUND.as_secs()));
    timeout(BOUND, found).await.map_err(late)?
}
