//! What an attacker who runs native code inside would try. A control run without a jail shows that each try is real.

use crate::role::{Orders, Role, say};
use libc::{c_long, syscall};
use neofn_jail::Tier;
use serde::{Deserialize, Serialize};
use std::ffi::CString;
use std::io;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

/// The things outside that are worth attacking.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct World {
    parent: i32,
    victim: String,
    directory: String,
    unix: String,
    abstract_name: String,
    tcp: u16,
    leaked: i32,
}

/// Who stops an attack without the others' help. The filter has to stop each one.
#[derive(Clone, Copy)]
struct By {
    namespaces: bool,
    landlock: bool,
}
const NOWHERE: &std::ffi::CStr = c"/neofn/no/such/place";

const BOTH: By = By {
    namespaces: true,
    landlock: true,
};
const NAMESPACES: By = By {
    namespaces: true,
    landlock: false,
};
const LANDLOCK: By = By {
    namespaces: false,
    landlock: true,
};
const FILTER: By = By {
    namespaces: false,
    landlock: false,
};

struct Attack {
    name: &'static str,
    by: By,
    run: fn(&World) -> c_long,
}

macro_rules! attacks {
    ($($by:ident $name:ident |$world:pat_param| $body:expr;)*) => {
        // SAFETY: system calls with literals, numbers and live buffers; each does at most harm to the throw-away child.
        const ATTACKS: &[Attack] = &[$(Attack { name: stringify!($name), by: $by, run: |$world| unsafe { $body } }),*];
    };
}

fn c(text: &str) -> CString {
    CString::new(text).unwrap()
}

unsafe fn open(path: &str, flags: i32) -> c_long {
    // SAFETY: the path lives through the call.
    unsafe { libc::open(c(path).as_ptr(), flags, 0o600).into() }
}

unsafe fn connect_unix(name: &[u8], abstract_name: bool) -> c_long {
    // SAFETY: the address is a plain struct of bytes.
    unsafe {
        let fd = libc::socket(libc::AF_UNIX, libc::SOCK_STREAM, 0);
        if fd < 0 {
            return -1;
        }
        let mut address: libc::sockaddr_un = std::mem::zeroed();
        address.sun_family = libc::AF_UNIX as u16;
        let skip = usize::from(abstract_name);
        for (to, from) in address.sun_path.iter_mut().skip(skip).zip(name) {
            *to = *from as i8 as libc::c_char;
        }
        let length = (2 + skip + name.len()) as u32;
        libc::connect(fd, (&raw const address).cast(), length).into()
    }
}

unsafe fn tcp(port: u16, bind: bool) -> c_long {
    // SAFETY: the address is a plain struct of numbers.
    unsafe {
        let fd = libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0);
        if fd < 0 {
            return -1;
        }
        let mut address: libc::sockaddr_in = std::mem::zeroed();
        address.sin_family = libc::AF_INET as u16;
        address.sin_port = port.to_be();
        address.sin_addr.s_addr = 0x7f00_0001_u32.to_be();
        let (address, length) = ((&raw const address).cast(), 16);
        if bind {
            libc::bind(fd, address, length).into()
        } else {
            libc::connect(fd, address, length).into()
        }
    }
}

/// Forks, and answers whether that worked; the child ends at once.
unsafe fn forked(pid: c_long) -> c_long {
    if pid == 0 {
        // SAFETY: ends the child.
        unsafe { libc::_exit(0) }
    }
    pid
}

attacks! {
    // files
    BOTH read_a_file |_| open("/etc/passwd", libc::O_RDONLY);
    BOTH read_the_victim |w| open(&w.victim, libc::O_RDONLY);
    BOTH write_the_victim |w| open(&w.victim, libc::O_WRONLY);
    BOTH truncate_the_victim |w| libc::truncate(c(&w.victim).as_ptr(), 0).into();
    BOTH create_a_file |w| open(&format!("{}/new", w.directory), libc::O_CREAT | libc::O_WRONLY);
    BOTH unnamed_file |w| open(&w.directory, libc::O_TMPFILE | libc::O_WRONLY);
    BOTH make_a_directory |w| libc::mkdir(c(&format!("{}/dir", w.directory)).as_ptr(), 0o700).into();
    BOTH remove_the_victim |w| {
        let copy = format!("{}/copy", w.directory);
        libc::link(c(&w.victim).as_ptr(), c(&copy).as_ptr());
        libc::unlink(c(&copy).as_ptr()).into()
    };
    BOTH list_the_root |_| {
        let root = libc::opendir(c"/proc".as_ptr());
        if root.is_null() { -1 } else { 0 }
    };
    BOTH open_by_openat2 |_| {
        let how = [0u64; 3];
        syscall(libc::SYS_openat2, libc::AT_FDCWD, c"/etc/passwd".as_ptr(), how.as_ptr(), 24usize)
    };
    NAMESPACES stat_a_file |_| {
        let mut stat: libc::stat = std::mem::zeroed();
        libc::stat(c"/etc/passwd".as_ptr(), &raw mut stat).into()
    };
    NAMESPACES change_directory |_| libc::chdir(c"/etc".as_ptr()).into();
    NAMESPACES read_a_link |_| libc::readlink(c"/proc/self/exe".as_ptr(), [0; 9].as_mut_ptr(), 9) as c_long;
    BOTH process_one |_| open("/proc/1/status", libc::O_RDONLY);
    BOTH environment_of_parent |w| open(&format!("/proc/{}/environ", w.parent), libc::O_RDONLY);
    BOTH own_memory_file |_| open("/proc/self/mem", libc::O_RDWR);
    BOTH device |_| open("/dev/null", libc::O_RDWR);
    BOTH leaked_descriptor |w| libc::read(w.leaked, [0u8; 8].as_mut_ptr().cast(), 8) as c_long;
    // network
    BOTH connect_tcp |w| tcp(w.tcp, false);
    LANDLOCK bind_tcp |_| tcp(0, true);
    // (Landlock does not know path sockets: the reason why the filter refuses every socket)
    NAMESPACES connect_unix_path |w| connect_unix(w.unix.as_bytes(), false);
    BOTH connect_unix_abstract |w| connect_unix(w.abstract_name.as_bytes(), true);
    FILTER socket_udp |_| libc::socket(libc::AF_INET, libc::SOCK_DGRAM, 0).into();
    FILTER socket_udp6 |_| libc::socket(libc::AF_INET6, libc::SOCK_DGRAM, 0).into();
    FILTER socket_netlink |_| libc::socket(libc::AF_NETLINK, libc::SOCK_RAW, 0).into();
    FILTER socketpair_other |_| libc::socketpair(libc::AF_INET, libc::SOCK_STREAM, 0, [0; 2].as_mut_ptr()).into();
    // programs and processes
    BOTH execute |_| {
        // With a bad argument list, or it would never come back to report.
        syscall(libc::SYS_execve, c"/bin/sh".as_ptr(), 1usize, 0usize)
    };
    FILTER fork |_| forked(syscall(libc::SYS_fork));
    FILTER clone_process |_| forked(syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0));
    FILTER clone_user_namespace |_| forked(syscall(libc::SYS_clone, libc::SIGCHLD | libc::CLONE_NEWUSER, 0, 0, 0, 0));
    FILTER clone3 |_| {
        let arguments = [0u64, 0, 0, 0, libc::SIGCHLD as u64, 0, 0, 0];
        forked(syscall(libc::SYS_clone3, arguments.as_ptr(), 64usize))
    };
    FILTER trace |_| syscall(libc::SYS_ptrace, libc::PTRACE_ATTACH, -1, 0, 0);
    BOTH kill_parent |w| libc::kill(w.parent, 0).into();
    BOTH kill_thread_of_parent |w| syscall(libc::SYS_tgkill, w.parent, w.parent, 0);
    BOTH queue_to_parent |w| {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        info.si_code = libc::SI_QUEUE;
        syscall(libc::SYS_rt_sigqueueinfo, w.parent, 0, &raw const info)
    };
    FILTER kill_everyone |_| libc::kill(-1, 0).into();
    NAMESPACES handle_of_parent |w| syscall(libc::SYS_pidfd_open, w.parent, 0);
    NAMESPACES limits_of_parent |w| {
        let mut limit: libc::rlimit = std::mem::zeroed();
        libc::prlimit(w.parent, libc::RLIMIT_NOFILE, std::ptr::null(), &raw mut limit).into()
    };
    NAMESPACES priority_of_parent |w| libc::setpriority(libc::PRIO_PROCESS, w.parent as u32, 5).into();
    FILTER wait_for_children |_| libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG).into();
    // memory
    FILTER memfd |_| syscall(libc::SYS_memfd_create, c"x".as_ptr(), 0);
    FILTER shared_anonymous |_| {
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        libc::mmap(std::ptr::null_mut(), 4096, libc::PROT_READ, flags, -1, 0) as c_long
    };
    FILTER system_v_shared |_| libc::shmget(libc::IPC_PRIVATE, 4096, 0o600).into();
    FILTER userfaultfd |_| syscall(libc::SYS_userfaultfd, 1);
    FILTER lock_memory |_| syscall(libc::SYS_mlockall, 8);
    // the kernel's wide gates
    FILTER io_uring |_| syscall(libc::SYS_io_uring_setup, 4, [0u64; 16].as_mut_ptr());
    FILTER perf |_| syscall(libc::SYS_perf_event_open, [0u64; 16].as_ptr(), 0, -1, -1, 0);
    FILTER bpf |_| syscall(libc::SYS_bpf, 0, [0u64; 16].as_ptr(), 72);
    FILTER keyring |_| syscall(libc::SYS_keyctl, 0, -3, 0);
    FILTER add_key |_| syscall(libc::SYS_add_key, c"user".as_ptr(), c"a".as_ptr(), c"b".as_ptr(), 1usize, -3);
    FILTER kernel_log |_| syscall(libc::SYS_syslog, 99, 0, 0);
    FILTER quota |_| syscall(libc::SYS_quotactl, 0, 0, 0, 0);
    FILTER file_handle |_| syscall(libc::SYS_open_by_handle_at, -1, 0, 0);
    FILTER timer_signal |_| syscall(libc::SYS_timer_create, 0, 0, [0i32; 1].as_mut_ptr());
    FILTER landlock_more |_| syscall(libc::SYS_landlock_create_ruleset, 0, 0, 1);
    // rights
    // (names that do not exist and impossible sizes: without a jail, root would really do these)
    FILTER mount |_| libc::mount(NOWHERE.as_ptr(), NOWHERE.as_ptr(), NOWHERE.as_ptr(), 0, std::ptr::null()).into();
    FILTER unmount |_| libc::umount2(NOWHERE.as_ptr(), libc::MNT_DETACH).into();
    FILTER unshare_user |_| libc::unshare(libc::CLONE_NEWUSER).into();
    FILTER unshare_network |_| libc::unshare(libc::CLONE_NEWNET).into();
    FILTER join_namespace |_| libc::setns(-1, 0).into();
    FILTER become_root |_| libc::setuid(0).into();
    FILTER set_groups |_| libc::setgroups(0, std::ptr::null()).into();
    FILTER become_dumpable |_| libc::prctl(libc::PR_SET_DUMPABLE, 1).into();
    FILTER outlive_the_parent |_| libc::prctl(libc::PR_SET_PDEATHSIG, 0).into();
    FILTER change_root |_| libc::chroot(c"/".as_ptr()).into();
    FILTER host_name |_| syscall(libc::SYS_sethostname, c"".as_ptr(), -1);
    FILTER raise_limit |_| {
        let limit = libc::rlimit { rlim_cur: 1, rlim_max: 1 };
        libc::setrlimit(libc::RLIMIT_CORE, &raw const limit).into()
    };
    FILTER window_size |_| libc::ioctl(0, libc::TIOCSTI, c"x".as_ptr()).into();
    FILTER own_signals_by_fcntl |w| libc::fcntl(0, libc::F_SETOWN, w.parent).into();
}

/// Inside: tries everything and reports `name returned errno`.
pub(crate) fn attack(orders: &Orders) {
    for attack in ATTACKS {
        let returned = (attack.run)(&orders.world);
        let errno = if returned < 0 {
            io::Error::last_os_error().raw_os_error().unwrap()
        } else {
            0
        };
        say(&format!("{} {errno}", attack.name));
    }
    say("end");
}

struct Outside {
    world: World,
    _directory: tempfile::TempDir,
    _tcp: TcpListener,
    _unix: UnixListener,
    _abstract: UnixListener,
}

impl Outside {
    fn new() -> Self {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
        let open_to_all = |path: &str, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        let victim = path("victim");
        std::fs::write(&victim, "precious").unwrap();
        open_to_all(&victim, 0o666);
        open_to_all(directory.path().to_str().unwrap(), 0o777);
        let unix = path("socket");
        let listener = UnixListener::bind(&unix).unwrap();
        open_to_all(&unix, 0o777);
        let abstract_name = format!("neofn-jail-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&abstract_name).unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        // A descriptor that a careless parent forgot to mark close-on-exec.
        let file = std::fs::File::open(&victim).unwrap();
        // SAFETY: 50 is free in a test process that just began.
        let leaked = unsafe { libc::dup2(file.as_raw_fd(), 50) };
        Self {
            world: World {
                parent: std::process::id() as i32,
                victim,
                directory: directory.path().to_str().unwrap().to_owned(),
                unix,
                abstract_name,
                tcp: tcp.local_addr().unwrap().port(),
                leaked,
            },
            _directory: directory,
            _tcp: tcp,
            _unix: listener,
            _abstract: UnixListener::bind_addr(&address).unwrap(),
        }
    }
}

/// Runs all attacks under some layers; errno by attack, 0 for success.
fn results(namespaces: bool, landlock: bool, seccomp: bool) -> Vec<(&'static Attack, i32)> {
    let outside = Outside::new();
    let mut orders = Orders::new("attack").layers(namespaces, landlock, seccomp);
    orders.world = outside.world.clone();
    let report = Role::start(&orders).report();
    assert_eq!(report.last().map(String::as_str), Some("end"), "{report:?}");
    let victim = std::fs::read_to_string(&outside.world.victim).unwrap();
    if namespaces || landlock || seccomp {
        assert_eq!(victim, "precious");
    }
    let results = ATTACKS.iter().zip(&report).map(|(attack, line)| {
        let (name, errno) = line.split_once(' ').unwrap();
        assert_eq!(name, attack.name);
        (attack, errno.parse().unwrap())
    });
    let results: Vec<_> = results.collect();
    assert_eq!(results.len(), ATTACKS.len());
    results
}

fn assert_filtered(results: &[(&Attack, i32)]) {
    let passed: Vec<_> = results
        .iter()
        // only the filter answers these before a call looks at anything; a closed descriptor is simply not there, and in
        // a process namespace the parent has no number
        .filter(|(a, errno)| !matches!(*errno, libc::EPERM | libc::ENOSYS) && a.name != "leaked_descriptor")
        .filter(|(a, errno)| !(a.name == "priority_of_parent" && *errno == libc::ESRCH))
        .map(|(a, errno)| format!("{}: {}", a.name, io::Error::from_raw_os_error(*errno)))
        .collect();
    assert!(passed.is_empty(), "reached the kernel: {passed:#?}");
}

pub(crate) fn all_layers() {
    assert_filtered(&results(true, true, true));
}
pub(crate) fn landlock_and_seccomp() {
    assert_filtered(&results(false, true, true));
}
pub(crate) fn seccomp_alone() {
    assert_filtered(&results(false, false, true));
}
pub(crate) fn namespaces_alone() {
    if neofn_jail::probe().tier < Tier::Namespaces {
        eprintln!("this machine has no user namespaces: nothing to attack");
        return;
    }
    assert_stopped(&results(true, false, false), |by| by.namespaces);
}
pub(crate) fn landlock_alone() {
    assert_stopped(&results(false, true, false), |by| by.landlock);
}

fn assert_stopped(results: &[(&Attack, i32)], by: fn(By) -> bool) {
    let passed: Vec<_> = results
        .iter()
        .filter(|(a, errno)| by(a.by) && *errno == 0)
        .map(|(a, _)| a.name)
        .collect();
    assert!(passed.is_empty(), "succeeded: {passed:?}");
}

/// Without a jail the attacks get through to the kernel, so the other tests do show something.
pub(crate) fn control() {
    let results = results(false, false, false);
    let failed: Vec<_> = results
        .iter()
        .filter(|(a, errno)| (a.by.namespaces || a.by.landlock) && *errno != 0 && a.name != "execute")
        .map(|(a, errno)| format!("{}: {}", a.name, io::Error::from_raw_os_error(*errno)))
        .collect();
    assert!(
        failed.is_empty(),
        "fail without any jail, so they prove nothing: {failed:?}"
    );
    let refused: Vec<_> = results
        .iter()
        .filter(|(_, errno)| matches!(*errno, libc::EPERM | libc::ENOSYS))
        .map(|(a, _)| a.name)
        .collect();
    // What an ordinary user, or this kernel, refuses anyway. Root is refused almost nothing.
    let maybe = [
        "mount",
        "unmount",
        "unshare_network",
        "become_root",
        "set_groups",
        "change_root",
        "host_name",
        "window_size",
        "perf",
        "bpf",
        "userfaultfd",
        "io_uring",
        "kernel_log",
        "quota",
        "keyring",
        "add_key",
        "file_handle",
        "process_one",
        "environment_of_parent",
        "socket_netlink",
        "trace",
        "clone_user_namespace",
        "unshare_user",
        "open_by_openat2",
        "landlock_more",
        "socketpair_other",
        "clone3",
    ];
    let wrong: Vec<_> = refused.iter().filter(|name| !maybe.contains(name)).collect();
    assert!(
        wrong.is_empty(),
        "refused without any jail, so they prove nothing: {wrong:?}"
    );
}
