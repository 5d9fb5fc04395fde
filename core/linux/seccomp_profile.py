"""The default profile: what a container's processes may ask of the kernel.

The facts are those of Moby's default profile (moby/profiles, seccomp/default.json): everything not
named here is refused with EPERM, clone3 with ENOSYS so that C libraries fall back to clone.
"""

from __future__ import annotations

from typing import NamedTuple

ENOSYS = 38


class Compare(NamedTuple):
    """A test of one 64-bit argument: `op` is lt, le, eq, ne, ge, gt (of argument & mask), or masked
    (argument & value == 0)."""

    argument: int
    op: str
    value: int
    mask: int = 2**64 - 1


class Rule(NamedTuple):
    """Calls that are allowed, or with `errno` refused with that error.

    when: a test of an argument, None for always. with_capability, without_capability: the rule
    counts only if the bounding set has, or lacks, that capability. machines: empty for all.
    """

    names: str
    errno: int = 0
    when: Compare | None = None
    with_capability: str = ""
    without_capability: str = ""
    machines: tuple[str, ...] = ()


_NEW_NAMESPACES = 0x7E020000
"""Every CLONE_NEW* flag that clone() takes in its first argument."""

_ALWAYS = """
_llseek _newselect accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown
chown32 clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64
clock_nanosleep clock_nanosleep_time64 close close_range connect copy_file_range creat dup dup2 dup3
epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd
eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark
fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr flock
fork fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futex
futex_requeue futex_time64 futex_wait futex_waitv futex_wake futimesat get_robust_list get_thread_area getcpu
getcwd getdents getdents64 getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getitimer
getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid getresgid32 getresuid getresuid32
getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday getuid getuid32 getxattr getxattrat
inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents
io_pgetevents_time64 io_setup io_submit ioctl ioprio_get ioprio_set ipc kill landlock_add_rule
landlock_create_ruleset landlock_restrict_self lchown lchown32 lgetxattr link linkat listen listmount listxattr
listxattrat llistxattr lremovexattr lseek lsetxattr lstat lstat64 madvise map_shadow_stack membarrier
memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap mmap2 mprotect
mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64
mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync munlock munlockall munmap name_to_handle_at nanosleep
newfstatat open openat openat2 pause pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect
poll ppoll ppoll_time64 prctl pread64 preadv preadv2 prlimit64 process_mrelease pselect6 pselect6_time64
pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv recv recvfrom recvmmsg recvmmsg_time64
recvmsg remap_file_pages removexattr removexattrat rename renameat renameat2 restart_syscall riscv_hwprobe rmdir
rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait
rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min sched_getaffinity
sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64
sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp select semctl semget semop
semtimedop semtimedop_time64 send sendfile sendfile64 sendmmsg sendmsg sendto set_robust_list set_thread_area
set_tid_address setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setitimer setpgid
setpriority setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setrlimit setsid
setsockopt setuid setuid32 setxattr setxattrat shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4
sigprocmask sigreturn socketcall socketpair splice stat stat64 statfs statfs64 statmount statx symlink symlinkat
sync sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime
timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime
timerfd_settime64 times tkill truncate truncate64 ugetrlimit umask uname unlink unlinkat uretprobe utime
utimensat utimensat_time64 utimes vfork vmsplice wait4 waitid waitpid write writev
"""

DEFAULT_PROFILE: tuple[Rule, ...] = (
    Rule(_ALWAYS),
    Rule("process_vm_readv process_vm_writev ptrace"),  # sound since Linux 4.8, older than all we run on
    # every address family but AF_ALG (38) and AF_VSOCK (40)
    Rule("socket", when=Compare(0, "lt", 38)),
    Rule("socket", when=Compare(0, "eq", 39)),
    Rule("socket", when=Compare(0, "gt", 40)),
    *(Rule("personality", when=Compare(0, "eq", value)) for value in (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)),
    Rule("arch_prctl modify_ldt", machines=("x86_64",)),
    Rule("modify_ldt", machines=("i386",)),
    Rule("clone", when=Compare(0, "masked", _NEW_NAMESPACES), without_capability="SYS_ADMIN"),
    Rule("clone3", errno=ENOSYS, without_capability="SYS_ADMIN"),
    Rule(
        "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr"
        " lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open quotactl"
        " quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare",
        with_capability="SYS_ADMIN",
    ),
    Rule("open_by_handle_at", with_capability="DAC_READ_SEARCH"),
    Rule("reboot", with_capability="SYS_BOOT"),
    Rule("chroot", with_capability="SYS_CHROOT"),
    Rule("delete_module init_module finit_module", with_capability="SYS_MODULE"),
    Rule("acct", with_capability="SYS_PACCT"),
    Rule("kcmp pidfd_getfd process_madvise", with_capability="SYS_PTRACE"),
    Rule("iopl ioperm", with_capability="SYS_RAWIO"),
    Rule("settimeofday stime clock_settime clock_settime64", with_capability="SYS_TIME"),
    Rule("vhangup", with_capability="SYS_TTY_CONFIG"),
    Rule("get_mempolicy mbind set_mempolicy set_mempolicy_home_node", with_capability="SYS_NICE"),
    Rule("syslog", with_capability="SYSLOG"),
    Rule("bpf", with_capability="BPF"),
    Rule("perf_event_open", with_capability="PERFMON"),
)
