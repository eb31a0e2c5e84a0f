//! How much memory this process may have, and how much of it its sandboxes get.

use neofn_runtime::PoolOptions;
use std::path::Path;

/// Of the machine, or what control groups (a container, a unit of systemd) leave of it; 0 when nobody says.
pub(crate) fn memory_bytes() -> u64 {
    bytes_below(Path::new("/"))
}

/// Three quarters for the sandboxes, so that no load of tenants' runs makes the kernel kill the node.
pub(crate) fn bounded(pool: PoolOptions) -> PoolOptions {
    match memory_bytes() {
        0 => pool,
        bytes => pool.within(bytes / 4 * 3),
    }
}

fn bytes_below(root: &Path) -> u64 {
    let machine = std::fs::read_to_string(root.join("proc/meminfo")).unwrap_or_default();
    let total = machine.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = total.and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    let groups = std::fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let bounds = groups.lines().filter_map(|line| group_bytes(root, line));
    let machine = kib.map(|kib| kib.saturating_mul(1024));
    bounds.chain(machine).min().unwrap_or(0)
}

/// The least bound of a line `ID:CONTROLLERS:GROUP` and of the groups above it. A container may see its group as the root.
fn group_bytes(root: &Path, line: &str) -> Option<u64> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (controllers, group) = (parts.next()?, parts.next()?);
    let (mount, file) = match controllers {
        "" => ("sys/fs/cgroup", "memory.max"),
        v1 if v1.split(',').any(|c| c == "memory") => ("sys/fs/cgroup/memory", "memory.limit_in_bytes"),
        _ => return None,
    };
    let mount = root.join(mount);
    let groups = Path::new(group.trim_start_matches('/')).ancestors();
    groups
        .filter_map(|group| std::fs::read_to_string(mount.join(group).join(file)).ok())
        // without a bound it is `max`, or a number that no machine has
        .filter_map(|text| text.trim().parse().ok())
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine of 2 GiB whose process is in these groups.
    fn machine(groups: &str, files: &[(&str, &str)]) -> u64 {
        let root = tempfile::tempdir().unwrap();
        let all = [
            ("proc/meminfo", "MemTotal:        2097152 kB\nMemFree: 1 kB\n"),
            ("proc/self/cgroup", groups),
        ];
        for (name, text) in all.iter().chain(files) {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        bytes_below(root.path())
    }

    #[test]
    fn the_least_bound_counts() {
        let (v2, v1) = ("sys/fs/cgroup", "sys/fs/cgroup/memory");
        assert_eq!(machine("", &[]), 2 << 30);
        assert_eq!(
            machine("0::/\n", &[(&format!("{v2}/memory.max"), "max\n")]),
            2 << 30
        );
        // a group above is as strict
        let files = [
            (format!("{v2}/a/memory.max"), "1048576\n"),
            (format!("{v2}/a/b/memory.max"), "max\n"),
        ];
        let files = files.each_ref().map(|(name, text)| (name.as_str(), *text));
        assert_eq!(machine("0::/a/b\n", &files), 1 << 20);
        // a container of the first version sees the group's name outside, and its bound at the root
        let file = format!("{v1}/memory.limit_in_bytes");
        let groups = "7:cpu,cpuacct:/docker/1\n4:memory:/docker/1\n0::/\n";
        assert_eq!(machine(groups, &[(&file, "4194304\n")]), 4 << 20);
        assert_eq!(machine(groups, &[(&file, "9223372036854771712\n")]), 2 << 30);
        assert_eq!(machine("no group\n4:memory\n", &[]), 2 << 30);
        assert!(memory_bytes() > 1 << 20, "this machine has some");
    }
}
