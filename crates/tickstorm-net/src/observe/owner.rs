//! Whose socket it is.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

/// The processes behind a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The process that holds the socket open: of several, the one that the others descend from, or the oldest
    /// by number.
    pub pid: u32,
    /// Its command's name, as the kernel keeps it: at most 15 bytes.
    pub name: String,
    /// It, all others that hold the socket, and all that descend from any of them: what the client passes on to
    /// a process of its own is still the client's work. Sorted; without this process, unless it is the owner.
    pub pids: Vec<u32>,
}

/// Finds the owners of sockets, from `/proc`. What belongs to other users is out of sight without privilege, and
/// other systems have no such thing.
#[derive(Debug)]
pub struct Owners {
    proc: PathBuf,
    found: HashMap<u32, Owner>,
}

impl Owners {
    /// Knows nobody yet.
    pub fn new() -> Self {
        Self { proc: PathBuf::from("/proc"), found: HashMap::new() }
    }

    /// The owner of the socket with this [number](super::PeerSocket::inode). Known ones cost nothing until their
    /// process ends; looking for one reads the open files of all processes, which takes milliseconds, and
    /// descendants that come later are found by a [`refresh`](Self::refresh) only.
    pub fn owner(&mut self, inode: u32) -> Option<&Owner> {
        let held = |owner: &Owner| self.holds(owner.pid, inode);
        if !self.found.get(&inode).is_some_and(held) {
            self.refresh(&[inode]);
        }
        self.found.get(&inode)
    }

    /// The owner, if it was found earlier.
    pub(super) fn known(&self, inode: u32) -> Option<&Owner> {
        self.found.get(&inode)
    }

    /// Looks for the owners of several sockets at once, and forgets what it knew of them.
    pub fn refresh(&mut self, inodes: &[u32]) {
        let mut holders: HashMap<u32, BTreeSet<u32>> = HashMap::new();
        let pids = numbers_in(&self.proc);
        for &pid in &pids {
            for inode in sockets_of(&self.proc, pid) {
                // No socket has the number zero: it stands for one that nobody holds.
                if inode != 0 && inodes.contains(&inode) {
                    holders.entry(inode).or_default().insert(pid);
                }
            }
        }
        for inode in inodes {
            self.found.remove(inode);
        }
        if holders.is_empty() {
            return;
        }
        let parents: BTreeMap<u32, u32> =
            pids.iter().filter_map(|&pid| Some((pid, parent_of(&self.proc, pid)?))).collect();
        for (inode, holders) in holders {
            if let Some(owner) = self.describe(&holders, &parents) {
                self.found.insert(inode, owner);
            }
        }
    }

    fn describe(&self, holders: &BTreeSet<u32>, parents: &BTreeMap<u32, u32>) -> Option<Owner> {
        let descends_from_holder = |pid: u32| {
            let mut ancestor = parents.get(&pid).copied();
            // Processes end while we read, so what looks like a cycle must end, too.
            for _ in 0..DEPTH_AT_MOST {
                match ancestor {
                    Some(pid) if holders.contains(&pid) => return true,
                    Some(pid) => ancestor = parents.get(&pid).copied(),
                    None => return false,
                }
            }
            false
        };
        let pid = holders.iter().copied().find(|&pid| !descends_from_holder(pid))?;
        let name = fs::read_to_string(self.proc.join(format!("{pid}/comm"))).ok()?;
        let us = std::process::id();
        let pids = parents
            .keys()
            .copied()
            .filter(|&other| holders.contains(&other) || descends_from_holder(other))
            .filter(|&other| other == pid || other != us)
            .collect();
        Some(Owner { pid, name: name.trim_end_matches('\n').to_owned(), pids })
    }

    fn holds(&self, pid: u32, inode: u32) -> bool {
        sockets_of(&self.proc, pid).any(|held| held == inode)
    }
}

impl Default for Owners {
    fn default() -> Self {
        Self::new()
    }
}

/// Numbers of the sockets that a process holds open; none if it is gone or not ours to see.
fn sockets_of(proc: &Path, pid: u32) -> impl Iterator<Item = u32> {
    let files = fs::read_dir(proc.join(format!("{pid}/fd")));
    files.into_iter().flatten().flatten().filter_map(|file| {
        let target = fs::read_link(file.path()).ok()?;
        target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
    })
}

/// The entries of a folder that are numbers, ascending.
pub(super) fn numbers_in(folder: &Path) -> BTreeSet<u32> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// From `/proc/PID/stat`, whose second field is a name in parentheses that may contain anything.
fn parent_of(proc: &Path, pid: u32) -> Option<u32> {
    let stat = fs::read(proc.join(format!("{pid}/stat"))).ok()?;
    let after_name = stat.iter().rposition(|&byte| byte == b')')? + 1;
    let rest = std::str::from_utf8(&stat[after_name..]).ok()?;
    rest.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Deeper than processes are nested anywhere.
const DEPTH_AT_MOST: usize = 64;

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::linux::fs::MetadataExt as _;
    use std::process::{Command, Stdio};

    use super::*;

    fn inode(socket: &impl std::os::fd::AsRawFd) -> u32 {
        let descriptor = format!("/proc/self/fd/{}", socket.as_raw_fd());
        u32::try_from(fs::metadata(descriptor).unwrap().st_ino()).unwrap()
    }

    #[test]
    fn a_socket_of_ours_is_ours_alone_until_it_is_closed() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut owners = Owners::new();
        let number = inode(&listener);
        let owner = owners.owner(number).unwrap();
        assert_eq!((owner.pid, owner.pids.contains(&owner.pid)), (std::process::id(), true));
        assert_eq!(owner.name, fs::read_to_string("/proc/self/comm").unwrap().trim_end());
        drop(listener);
        assert_eq!(owners.owner(number), None);
        assert_eq!(owners.owner(0), None);
    }

    #[test]
    fn a_process_and_its_children_share_a_socket_but_not_the_blame_for_us() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let number = inode(&stream);
        // A shell that holds the socket as its standard input, and a child that does not.
        let mut shell = Command::new("sh")
            .args(["-c", "sleep 30 & echo $!; wait"])
            .stdin(std::os::fd::OwnedFd::from(stream))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(shell.stdout.take().unwrap()), &mut line)
            .unwrap();
        let child: u32 = line.trim().parse().unwrap();
        let mut owners = Owners::new();
        let owner = owners.owner(number).cloned();
        rustix::process::kill_process(
            rustix::process::Pid::from_raw(child as i32).unwrap(),
            rustix::process::Signal::KILL,
        )
        .unwrap();
        let _ = shell.kill();
        shell.wait().unwrap();
        let owner = owner.unwrap();
        assert_eq!((owner.pid, owner.name.as_str()), (shell.id(), "sh"));
        let mut both = vec![shell.id(), child];
        both.sort_unstable();
        assert_eq!(owner.pids, both);
    }

    #[test]
    fn the_parent_is_found_behind_any_name() {
        let folder = std::env::temp_dir().join(format!("tickstorm-owner-{}", std::process::id()));
        fs::create_dir_all(folder.join("7")).unwrap();
        fs::write(folder.join("7/stat"), "7 (a) R 1 (b) S 42 7 7 0").unwrap();
        let parent = parent_of(&folder, 7);
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(parent, Some(42));
        assert_eq!(parent_of(&folder, 8), None);
    }
}
