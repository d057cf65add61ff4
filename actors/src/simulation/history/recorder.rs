//! Writing a history while it happens.

use std::{
    fmt,
    io::{self, Write},
};

use super::Event;

/// Takes events as they happen; keeps them, writes them, or both.
#[derive(Default)]
pub struct Recorder {
    keeps: bool,
    events: Vec<Event>,
    file: Option<Box<dyn Write + Send>>,
}

impl Recorder {
    /// Keeps all events in memory.
    pub fn keeping() -> Self {
        Self { keeps: true, ..Self::default() }
    }

    /// Writes each event as one line, and keeps none. Buffering is the writer's.
    pub fn writing(file: impl Write + Send + 'static) -> Self {
        Self { file: Some(Box::new(file)), ..Self::default() }
    }

    /// Writes each event too.
    #[must_use]
    pub fn and_writing(self, file: impl Write + Send + 'static) -> Self {
        Self { file: Some(Box::new(file)), ..self }
    }

    /// Takes an event.
    ///
    /// # Errors
    ///
    /// If it cannot be written; it is kept all the same, if events are kept.
    pub fn record(&mut self, event: Event) -> io::Result<()> {
        let written = self.file.as_mut().map_or(Ok(()), |file| write_line(file, &event));
        if self.keeps {
            self.events.push(event);
        }
        written
    }

    /// What was kept so far.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Ends the history; what was kept of it.
    ///
    /// # Errors
    ///
    /// If what is buffered cannot be written.
    pub fn finish(mut self) -> io::Result<Vec<Event>> {
        self.file.as_mut().map_or(Ok(()), Write::flush)?;
        Ok(self.events)
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { keeps, events, file } = self;
        f.debug_struct("Recorder")
            .field("keeps", keeps)
            .field("events", &events.len())
            .field("writes", &file.is_some())
            .finish()
    }
}

fn write_line(file: &mut impl Write, event: &Event) -> io::Result<()> {
    let mut line = serde_json::to_vec(event)?;
    line.push(b'\n');
    file.write_all(&line)
}
