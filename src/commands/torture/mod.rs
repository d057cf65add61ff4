//! `henge torture`: real processes, harm done to them, and the judge of simulated runs.
//!
//! | file | what it does |
//! | --- | --- |
//! | `mod.rs` | the story from the start to the verdict |
//! | `cluster.rs` | the processes |
//! | `harm.rs`, `shapes.rs` | what is done to them, and which links a cut takes |
//! | `door.rs` | what is asked of single nodes |
//! | `quiet.rs` | what must come true afterwards |
//! | `report.rs` | figures and verdict |

mod cluster;
mod door;
mod harm;
mod quiet;
mod report;
mod shapes;

use std::{
    collections::BTreeMap,
    fs::File,
    io::BufWriter,
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use futures_util::future::{join, join_all};
use henge_actors::simulation::{
    Book, Client, Doors, Place, Work,
    checkers::{Outcome, judge},
    history::{Event, History, Mark, MarkName, Meta, Recorder},
    options::{Bucket, Mix, Wishes},
    places,
};
use serde_json::{Value, json};
use tokio::{
    runtime::Builder,
    task::{LocalSet, spawn_local},
    time::{Instant, sleep, sleep_until},
};

use self::{
    cluster::Cluster,
    harm::Field,
    quiet::{CONVERGE, Quiet},
    report::Report,
};
use super::{
    data::Data,
    failure::{Exit, Failure},
    output,
};
use crate::{
    ClientTls,
    cli::{GlobalArgs, Harm, TortureArgs},
    shutdown::Shutdown,
};

/// Native clients, each with a thread and connections of its own, that all clients of the load share.
const DOORS: [&str; 2] = ["native-1", "native-2"];
/// How long a bucket may take to be known to all nodes.
const KNOWN: Duration = Duration::from_secs(20);
/// Reads of each key at the end.
const FINAL_READS: usize = 3;
/// Values are so long.
const VALUE_BYTES: usize = 100;

pub(super) fn run(args: &TortureArgs, global: GlobalArgs) -> Result<Exit, Failure> {
    let kinds = kinds(args)?;
    let data = Data::new(args.dir.as_deref(), "henge-torture-");
    let data =
        data.map_err(|error| refused(&error.to_string(), "--dir names another directory"))?;
    if data.path().read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
        let why = format!("{} is not empty", data.path().display());
        return Err(Failure { exit: Exit::Usage, ..refused(&why, "--dir names a new directory") });
    }
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| no_room(&error))?;
    let story = Story { args, kinds, seed: args.seed.unwrap_or_else(|| fastrand::u32(..).into()) };
    let end = LocalSet::new().block_on(&runtime, async {
        let mut shutdown =
            Shutdown::listen_with(data.temporary()).map_err(|error| no_room(&error))?;
        tokio::select! {
            () = shutdown.asked() => Err(interrupted()),
            end = story.play(&data) => end,
        }
    })?;
    story.tell(end, data, global)
}

/// The kinds of harm that happen: those asked for, or all that so many nodes allow.
fn kinds(args: &TortureArgs) -> Result<Vec<Harm>, Failure> {
    let has_rings = args.nodes > 3;
    if args.faults.is_empty() {
        return Ok(Harm::ALL.into_iter().filter(|kind| has_rings || *kind != Harm::Ring).collect());
    }
    if args.faults.contains(&Harm::Ring) && !has_rings {
        let why = format!("each of {} nodes is a neighbour of all others in a ring", args.nodes);
        return Err(Failure { exit: Exit::Usage, ..refused(&why, "--nodes 4, or more") });
    }
    let mut kinds = args.faults.clone();
    kinds.sort_unstable();
    kinds.dedup();
    Ok(kinds)
}

/// A run.
struct Story<'a> {
    args: &'a TortureArgs,
    kinds: Vec<Harm>,
    seed: u64,
}

/// What it left.
struct End {
    events: Vec<Event>,
    problems: Vec<String>,
    /// How long the clients worked.
    span: Duration,
    history: PathBuf,
}

impl Story<'_> {
    async fn play(&self, data: &Data) -> Result<End, Failure> {
        let unmade = |error: std::io::Error| {
            refused(&error.to_string(), "--dir, --history: where there is room")
        };
        let history = self.args.history.clone();
        let history = history.unwrap_or_else(|| data.path().join("history.jsonl"));
        let file = BufWriter::new(File::create(&history).map_err(unmade)?);
        let cluster = Cluster::plan(self.args.nodes, data).map_err(unmade)?;
        let seeds = cluster.seeds();
        let book = Book::open_with(Recorder::keeping().and_writing(file));
        book.write(Event::Meta(self.meta()));
        let field = Field::new(cluster, book.clone());
        let started = join_all((0..field.size()).map(|node| field.start(node))).await;
        started.into_iter().collect::<Result<(), String>>().map_err(|why| not_started(&why))?;
        let work = self.work();
        found(&field, &work.buckets, &book).await.map_err(|why| not_started(&why))?;
        let doors = open(&seeds, data).await.map_err(|error| not_started(&error.to_string()))?;
        let places = places(&work);
        let player = Player { work, doors, places, book };
        let span = self.load(&player, &field).await;
        field.calm().await;
        output::aside("faults are over; waiting until all nodes are equal");
        Quiet::new(&field, &player.places, &player.book).settle().await;
        player.read_all(self.seed).await;
        let Player { doors, book, .. } = player;
        for door in doors.take().into_values() {
            door.close().await;
        }
        let events = book.close().map_err(unmade)?;
        let problems = field.end().await;
        Ok(End { events, problems, span, history })
    }

    fn meta(&self) -> Meta {
        Meta {
            seed: Some(self.seed),
            converge_ms: u64::try_from(CONVERGE.as_millis()).ok(),
            // One machine has one clock.
            skew_ms: Some(0),
            min_acked: Some(self.args.keys.into()),
            require_faults: self.kinds.iter().map(|kind| kind.name().to_owned()).collect(),
            ..Meta::new("torture")
        }
    }

    fn work(&self) -> Arc<Work> {
        let bucket = |name: &str, (r, w), sloppy, lww| Bucket {
            name: name.to_owned(),
            n: 3,
            r,
            w,
            lww,
            sloppy,
            durability: if w == 1 { "os" } else { "periodic" }.to_owned(),
        };
        Arc::new(Work {
            buckets: vec![
                bucket("sloppy", (2, 2), true, false),
                bucket("strict", (2, 2), false, false),
                bucket("quick", (1, 1), true, false),
                bucket("last", (2, 2), true, true),
                bucket("last-strict", (2, 2), false, true),
            ],
            keys: self.args.keys.into(),
            value_bytes: VALUE_BYTES,
            mix: Mix {
                read: 6,
                update: 6,
                blind: 1,
                chained: 3,
                stale: 1,
                delete: 1,
                write_id_percent: 50,
                retry_percent: 70,
                impatient_percent: 1,
            },
            wishes: Wishes::default(),
            w_min: 1,
            repeats: false,
        })
    }

    /// Clients work while harm is done; how long they do.
    async fn load(&self, player: &Player, field: &Field) -> Duration {
        let span = Duration::from_secs(self.args.seconds.into());
        output::aside(&format!(
            "{} nodes are ready; harm is done to them for {} s, seed {}",
            self.args.nodes, self.args.seconds, self.seed
        ));
        let mut rng = fastrand::Rng::with_seed(self.seed);
        let pace = Pace { began: Instant::now(), rate: self.args.rate };
        let end = pace.began + span;
        let clients: Vec<_> = (0..self.args.clients)
            .map(|number| {
                let client = player.client(format!("c{number}"), rng.u64(..));
                spawn_local(pace.work(client, player.book.clone(), end))
            })
            .collect();
        let of_links = |of_links| {
            let kinds =
                self.kinds.iter().copied().filter(move |kind| kind.is_of_links() == of_links);
            kinds.collect::<Vec<_>>()
        };
        let (links, processes) = (of_links(true), of_links(false));
        let (one, other) = (rng.fork(), rng.fork());
        join(field.suffer(&links, one, span), field.suffer(&processes, other, span)).await;
        for client in clients {
            if let Err(fell) = client.await {
                std::panic::resume_unwind(fell.into_panic());
            }
        }
        span
    }

    /// Judges what was left, and says so; keeps it if it is bad.
    fn tell(&self, end: End, data: Data, global: GlobalArgs) -> Result<Exit, Failure> {
        let End { events, problems, span, history } = end;
        let collected = History::of(events.iter().cloned());
        let verdict = collected.map(|history| judge(&history)).map_err(|error| {
            Failure::new(
                "the history cannot be judged",
                error.to_string(),
                "this is a bug of this command",
                Exit::Failed,
            )
        })?;
        let report = Report::new(self.args, self.seed, span, &events, verdict, problems);
        let outcome = report.outcome();
        let is_kept = self.args.dir.is_some() || self.args.history.is_some();
        let kept = if outcome == Outcome::Valid { None } else { Some(data.keep()) };
        let history = (is_kept || kept.is_some()).then_some(history.as_path());
        if global.json {
            output::json(&report.document(history))?;
        } else {
            output::text(&report.to_string())?;
            output::text(&left(history, kept.as_deref()))?;
        }
        Ok(match outcome {
            Outcome::Valid => Exit::Ok,
            Outcome::Violation => Exit::Failed,
            Outcome::Unknown => Exit::Unknown,
        })
    }
}

/// Where what was kept is.
fn left(history: Option<&Path>, kept: Option<&Path>) -> String {
    let history = history.map(|path| format!("history: {}\n", path.display()));
    let kept = kept.map(|path| format!("data and logs of the nodes: {}\n", path.display()));
    [history, kept].into_iter().flatten().collect()
}

/// What clients need.
struct Player {
    work: Arc<Work>,
    doors: Doors<crate::Client>,
    places: Vec<Rc<Place>>,
    book: Book,
}

impl Player {
    fn client(&self, name: String, seed: u64) -> Client<crate::Client> {
        let (work, doors) = (Arc::clone(&self.work), Rc::clone(&self.doors));
        Client::new(name, seed, work, self.places.clone(), doors, self.book.clone())
    }

    async fn read_all(&self, seed: u64) {
        let mut reader = self.client("final".to_owned(), seed);
        for (number, place) in self.places.iter().enumerate() {
            for _ in 0..FINAL_READS {
                reader.read(number, Some(place.bucket.n)).await;
            }
        }
    }
}

/// How fast clients work.
#[derive(Clone, Copy)]
struct Pace {
    began: Instant,
    /// Requests a second, of all clients together.
    rate: Option<u32>,
}

impl Pace {
    async fn work(self, mut client: Client<crate::Client>, book: Book, end: Instant) {
        while Instant::now() < end {
            if let Some(rate) = self.rate {
                // When as many as were sent should have been; whoever is late catches up.
                let sent = Duration::from_secs(book.tally().operations) / rate;
                sleep_until((self.began + sent).min(end)).await;
            }
            client.act().await;
        }
    }
}

/// Native clients of the cluster.
async fn open(
    seeds: &[std::net::SocketAddr],
    data: &Data,
) -> Result<Doors<crate::Client>, crate::ClientError> {
    let mut doors = BTreeMap::new();
    for (turn, name) in DOORS.into_iter().enumerate() {
        let mut seeds: Vec<String> = seeds.iter().map(ToString::to_string).collect();
        seeds.rotate_left(turn);
        let tls = ClientTls::from_dir(data.tls_dir())?;
        doors.insert(name, crate::Client::connect(seeds, tls).await?);
    }
    Ok(Rc::new(doors.into()))
}

/// Sets the properties of the buckets, and waits until every node knows them.
async fn found(field: &Field, buckets: &[Bucket], book: &Book) -> Result<(), String> {
    for Bucket { name, n, r, w, lww, sloppy, durability } in buckets {
        let conflict = if *lww { "lww" } else { "siblings" };
        let properties = json!({
            "n": n, "r": r, "w": w, "sloppy": sloppy, "conflict": conflict, "durability": durability,
        });
        book.write(Event::Mark(Mark {
            bucket: name.clone(),
            lww: *lww,
            n: Some(*n),
            ..Mark::new(book.now(), MarkName::Bucket)
        }));
        field.door(0).send("PUT", &format!("/v1/buckets/{name}"), Some(&properties)).await?;
    }
    let began = Instant::now();
    for node in 0..field.size() {
        let mut door = field.door(node);
        while !knows_all(&door.get("/v1/buckets").await?, buckets) {
            if began.elapsed() > KNOWN {
                return Err(format!("{} does not know every bucket", field.name(node)));
            }
            sleep(Duration::from_millis(20)).await;
        }
    }
    Ok(())
}

fn knows_all(known: &Value, buckets: &[Bucket]) -> bool {
    let known = known["buckets"].as_array().map_or(&[][..], Vec::as_slice);
    let is = |one: &Value, bucket: &Bucket| {
        one["bucket"] == bucket.name.as_str()
            && one["established"] == true
            && one["conflict"] == if bucket.lww { "lww" } else { "siblings" }
            && one["sloppy"] == bucket.sloppy
            && one["w"] == bucket.w
    };
    buckets.iter().all(|bucket| known.iter().any(|one| is(one, bucket)))
}

fn refused(why: &str, remedy: &str) -> Failure {
    Failure::new("nothing was tortured", why, remedy, Exit::Failed)
}

fn no_room(error: &std::io::Error) -> Failure {
    refused(&error.to_string(), "see whether this process has file descriptors left")
}

fn not_started(why: &str) -> Failure {
    refused(why, "run it again, with --dir DIR to see the logs of the nodes")
}

fn interrupted() -> Failure {
    Failure::new(
        "the run was interrupted",
        "this process was asked to stop; the nodes were killed",
        "let it end: --seconds makes it shorter",
        Exit::Unknown,
    )
}
