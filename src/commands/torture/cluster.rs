//! The nodes: processes of this program, which end when it ends.

use std::{
    env, fs,
    fs::File,
    io,
    net::SocketAddr,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};

use super::super::{
    data::{Data, NAMES},
    ports::{self, Site},
};

/// How long nodes may take to stop in order.
const STOP: Duration = Duration::from_secs(10);
/// Time between two looks at a process.
const LOOK: Duration = Duration::from_millis(10);

/// The nodes.
#[derive(Default)]
pub struct Cluster {
    pub members: Vec<Member>,
}

/// One node, whether its process runs or not.
pub struct Member {
    pub name: &'static str,
    /// Where it listens, in every life.
    pub site: Site,
    program: PathBuf,
    config: PathBuf,
    /// What it said on stderr, in all its lives.
    pub log: PathBuf,
    child: Option<Child>,
    is_paused: bool,
}

impl Cluster {
    /// Files for `nodes` nodes in `data`; none runs.
    pub fn plan(nodes: u8, data: &Data) -> io::Result<Self> {
        let program = env::current_exe()?;
        let sites = ports::elsewhere(nodes, 1)?;
        let layout = NAMES.iter().zip(&sites).map(|(name, site)| {
            format!("[[cluster.nodes]]\nname = \"{name}\"\naddress = \"{}\"\n", site.quic)
        });
        let layout: String = layout.collect();
        let members = NAMES.iter().zip(&sites).map(|(name, site)| {
            let path = data.path();
            let config = path.join(format!("{name}.toml"));
            fs::write(&config, config_of(name, *site, path, &data.tls_dir(), &layout))?;
            let (program, log) = (program.clone(), path.join(format!("{name}.log")));
            let (child, is_paused) = (None, false);
            Ok(Member { name, site: *site, program, config, log, child, is_paused })
        });
        Ok(Self { members: members.collect::<io::Result<_>>()? })
    }

    /// The addresses at which clients find it.
    pub fn seeds(&self) -> Vec<SocketAddr> {
        self.members.iter().map(|member| member.site.quic).collect()
    }

    /// Stops all in order; those that do not stop in time are killed. Tells who did not.
    pub async fn stop(mut self) -> Vec<&'static str> {
        for child in self.members.iter_mut().filter_map(|member| member.child.as_mut()) {
            drop(child.stdin.take());
        }
        let began = Instant::now();
        let runs = |member: &mut Member| member.child.is_some() && member.ended().is_none();
        while began.elapsed() < STOP && self.members.iter_mut().any(runs) {
            sleep(LOOK).await;
        }
        self.members.iter_mut().filter_map(|member| runs(member).then_some(member.name)).collect()
    }
}

/// Deletes are forgotten and replicas compared more often than by default, so that a short run has
/// some of each.
fn config_of(name: &str, site: Site, data: &Path, tls: &Path, layout: &str) -> String {
    let Site { quic, http } = site;
    let [data, tls] =
        [&data.join(name), tls].map(|path| toml::Value::from(path.display().to_string()));
    format!(
        "[node]\nname = \"{name}\"\nlisten = \"{quic}\"\nshards = 1\ndata_dir = {data}\n\
         [http]\nlisten = \"{http}\"\n\
         [tls]\ndir = {tls}\ngenerate = true\n\
         [storage]\ntombstone_min_age = \"2s\"\n\
         [anti_entropy]\ninterval = \"3s\"\n\
         [cluster]\nname = \"torture\"\n{layout}"
    )
}

impl Member {
    /// Starts the process, if none runs.
    pub fn start(&mut self) -> io::Result<()> {
        if self.child.is_some() {
            return Ok(());
        }
        let log = File::options().create(true).append(true).open(&self.log)?;
        let mut command = Command::new(&self.program);
        command.args(["serve", "--allow-faults", "--end-with-stdin", "--config"]).arg(&self.config);
        command.env_remove("RUST_LOG").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log);
        // A group of its own: Ctrl-C is for us alone. And should we die while it is paused, the
        // system ends it, as every paused process whose group has lost its parent.
        self.child = Some(command.process_group(0).spawn()?);
        Ok(())
    }

    /// kill -9.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
        self.is_paused = false;
    }

    /// SIGSTOP.
    pub fn pause(&mut self) -> io::Result<()> {
        self.signal(Signal::STOP)?;
        self.is_paused = true;
        Ok(())
    }

    /// SIGCONT, if it is paused.
    pub fn go_on(&mut self) -> io::Result<()> {
        if self.is_paused {
            self.signal(Signal::CONT)?;
            self.is_paused = false;
        }
        Ok(())
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        let child = self.child.as_ref().ok_or(io::ErrorKind::NotFound)?;
        Ok(kill_process(Pid::from_child(child), signal)?)
    }

    /// Whether its process was started, and was not seen to end.
    pub fn runs(&self) -> bool {
        self.child.is_some()
    }

    /// Whether it runs, and is not paused.
    pub fn is_at_work(&self) -> bool {
        self.child.is_some() && !self.is_paused
    }

    /// How its process ended by itself, if it did; it can be started again then.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.child.as_mut()?.try_wait().ok()??;
        self.child = None;
        Some(status)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.kill();
    }
}
