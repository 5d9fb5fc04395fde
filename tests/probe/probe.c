/* The static program that runs inside containers and answers one question a call.
 *
 *   sys NR [ARG…]        a system call:            "RESULT ERRNO"
 *   int80 NR [ARG…]      the same by int 0x80 with i386 numbers
 *   open FLAGS PATH      open(2):                  "ERRNO"
 *   abstract NAME        connect to @NAME:         "ERRNO"
 *   tiocsti              push a character into the terminal: "ERRNO"
 *   device PATH b|c MAJOR MINOR   mknod, then open for reading: "MKNOD-ERRNO OPEN-ERRNO"
 *   ptrace-child         attach to an own child:   "ERRNO"
 *   ptrace PID           attach to a process:      "ERRNO"
 *   trace-joiners SECONDS  attach to every new process and open its memory while it still runs a program that is
 *                        no file of ours: "caught PID NAME" a line, and "tried N"
 *   swap SECONDS NAME TARGET   make NAME a directory and a symbolic link to TARGET by turns
 *   capset-all           ask for every capability: "ERRNO"
 *   threads              Seccomp: of two threads
 *   hold-exe SECONDS     keep O_PATH of every /proc/PID/exe that is no file of ours, re-open for writing once
 *                        its process has ended: "PID ERRNO" a line, and "seen N"
 *   eat BYTES            touch memory until killed
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <pthread.h>

static int said(long result) { return result < 0 ? errno : 0; }

static int cmd_sys(int argc, char **argv) {
    long a[7] = {0};
    for (int i = 0; i < argc && i < 7; i++) a[i] = (long)strtoull(argv[i], NULL, 0);
    errno = 0;
    long r = syscall(a[0], a[1], a[2], a[3], a[4], a[5], a[6]);
    printf("%ld %d\n", r, said(r));
    return 0;
}

static int cmd_int80(int argc, char **argv) {
    long a[4] = {0};
    for (int i = 0; i < argc && i < 4; i++) a[i] = (long)strtoull(argv[i], NULL, 0);
    long r;
    __asm__ volatile("int $0x80" : "=a"(r) : "a"(a[0]), "b"(a[1]), "c"(a[2]), "d"(a[3]) : "memory", "r8", "r9", "r10", "r11");
    int code = (int)r;
    printf("%d %d\n", code < 0 ? -1 : code, code < 0 ? -code : 0);
    return 0;
}

static void print_seccomp(const char *who) {
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/self/task/%ld/status", syscall(SYS_gettid));
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, "Seccomp:", 8)) printf("%s %s", who, line);
    if (f) fclose(f);
}

static void *other_thread(void *unused) { print_seccomp("thread"); return unused; }

/* Files of an image need not lie on the device that its directories say: a layer may be a file system of its own. */
static int is_of_the_image(dev_t device) {
    struct stat root, program;
    if (stat("/", &root) == 0 && device == root.st_dev) return 1;
    return stat("/bin/busybox", &program) == 0 && device == program.st_dev;
}

static int cmd_hold_exe(int seconds) {
    struct { long pid; int fd; int done; } held[256];
    int count = 0, mine = getpid();
    time_t end = time(NULL) + seconds;
    while (time(NULL) < end) {
        DIR *d = opendir("/proc");
        struct dirent *e;
        while (d && (e = readdir(d))) {
            long pid = atol(e->d_name);
            if (pid <= 1 || pid == mine) continue;
            int known = 0;
            for (int i = 0; i < count; i++) if (held[i].pid == pid) known = 1;
            if (known || count == 256) continue;
            char path[64];
            struct stat found;
            snprintf(path, sizeof path, "/proc/%ld/exe", pid);
            int fd = open(path, O_PATH);
            if (fd < 0) continue;
            if (fstat(fd, &found) == 0 && is_of_the_image(found.st_dev)) { close(fd); continue; }
            held[count].pid = pid; held[count].fd = fd; held[count].done = 0; count++;
        }
        if (d) closedir(d);
        for (int i = 0; i < count; i++) {
            char path[64];
            snprintf(path, sizeof path, "/proc/%ld", held[i].pid);
            if (held[i].done || access(path, F_OK) == 0) continue;
            snprintf(path, sizeof path, "/proc/self/fd/%d", held[i].fd);
            int fd = open(path, O_WRONLY);
            printf("%ld %d\n", held[i].pid, said(fd));
            if (fd >= 0) close(fd);
            held[i].done = 1;
        }
    }
    printf("seen %d\n", count);
    return 0;
}

static int runs_foreign_program(long pid) {
    char path[64];
    struct stat found;
    snprintf(path, sizeof path, "/proc/%ld/exe", pid);
    return stat(path, &found) == 0 && !is_of_the_image(found.st_dev);
}

static const char *name_of(long pid) {
    static char name[32];
    char path[64];
    snprintf(path, sizeof path, "/proc/%ld/comm", pid);
    int fd = open(path, O_RDONLY);
    ssize_t n = fd < 0 ? 0 : read(fd, name, sizeof name - 1);
    if (fd >= 0) close(fd);
    name[n > 0 ? n - 1 : 0] = 0;
    return name;
}

static int cmd_trace_joiners(int seconds) {
    static char known[1 << 20];
    long tried = 0, mine = getpid();
    time_t end = time(NULL) + seconds;
    while (time(NULL) < end) {
        DIR *d = opendir("/proc");
        struct dirent *e;
        while (d && (e = readdir(d))) {
            long pid = atol(e->d_name);
            if (pid <= 1 || pid == mine || pid >= (long)sizeof known || known[pid]) continue;
            known[pid] = 1;
            tried++;
            char path[64];
            snprintf(path, sizeof path, "/proc/%ld/mem", pid);
            int memory = open(path, O_RDWR);
            if (memory >= 0 && runs_foreign_program(pid)) printf("caught %ld %s by its memory\n", pid, name_of(pid));
            if (memory >= 0) close(memory);
            if (ptrace(PTRACE_ATTACH, pid, 0, 0) == 0) {
                waitpid(pid, NULL, __WALL);
                if (runs_foreign_program(pid)) printf("caught %ld %s\n", pid, name_of(pid));
                ptrace(PTRACE_DETACH, pid, 0, 0);
            }
        }
        if (d) closedir(d);
    }
    printf("tried %ld\n", tried);
    return 0;
}

static int cmd_swap(int seconds, const char *name, const char *target) {
    time_t end = time(NULL) + seconds;
    char aside[4096], link_[4096];
    snprintf(aside, sizeof aside, "%s.aside", name);
    snprintf(link_, sizeof link_, "%s.link", name);
    mkdir(aside, 0755);
    if (symlink(target, link_) < 0) return 1;
    rename(aside, name);
    while (time(NULL) < end) {
        syscall(SYS_renameat2, AT_FDCWD, name, AT_FDCWD, link_, 2 /* RENAME_EXCHANGE */);
    }
    return 0;
}

int main(int argc, char **argv) {
    if (argc < 2) return 2;
    const char *verb = argv[1];
    if (!strcmp(verb, "sys")) return cmd_sys(argc - 2, argv + 2);
    if (!strcmp(verb, "int80")) return cmd_int80(argc - 2, argv + 2);
    if (!strcmp(verb, "open")) {
        printf("%d\n", said(open(argv[3], (int)strtol(argv[2], NULL, 0))));
    } else if (!strcmp(verb, "abstract")) {
        struct sockaddr_un a = {.sun_family = AF_UNIX};
        size_t n = strlen(argv[2]);
        memcpy(a.sun_path + 1, argv[2], n);
        int s = socket(AF_UNIX, SOCK_STREAM, 0);
        printf("%d\n", said(connect(s, (void *)&a, (socklen_t)(sizeof(sa_family_t) + 1 + n))));
    } else if (!strcmp(verb, "tiocsti")) {
        char c = 'x';
        printf("%d\n", said(ioctl(0, TIOCSTI, &c)));
    } else if (!strcmp(verb, "device")) {
        mode_t kind = argv[3][0] == 'b' ? S_IFBLK : S_IFCHR;
        int made = said(mknod(argv[2], kind | 0600, makedev(atoi(argv[4]), atoi(argv[5]))));
        printf("%d %d\n", made, said(open(argv[2], O_RDONLY | O_NONBLOCK)));
    } else if (!strcmp(verb, "ptrace-child")) {
        pid_t child = fork();
        if (!child) { pause(); _exit(0); }
        printf("%d\n", said(ptrace(PTRACE_ATTACH, child, 0, 0)));
        kill(child, 9);
        waitpid(child, NULL, 0);
    } else if (!strcmp(verb, "ptrace")) {
        printf("%d\n", said(ptrace(PTRACE_ATTACH, atoi(argv[2]), 0, 0)));
    } else if (!strcmp(verb, "trace-joiners")) {
        return cmd_trace_joiners(atoi(argv[2]));
    } else if (!strcmp(verb, "swap")) {
        return cmd_swap(atoi(argv[2]), argv[3], argv[4]);
    } else if (!strcmp(verb, "capset-all")) {
        unsigned header[2] = {0x20080522, 0}, data[6] = {~0u, ~0u, 0, 0x1ff, 0x1ff, 0};
        printf("%d\n", said(syscall(SYS_capset, header, data)));
    } else if (!strcmp(verb, "threads")) {
        pthread_t t;
        print_seccomp("main");
        pthread_create(&t, NULL, other_thread, NULL);
        pthread_join(t, NULL);
    } else if (!strcmp(verb, "hold-exe")) {
        return cmd_hold_exe(atoi(argv[2]));
    } else if (!strcmp(verb, "eat")) {
        size_t all = strtoull(argv[2], NULL, 0), step = 1 << 20;
        for (size_t n = 0; n < all; n += step) {
            char *p = mmap(NULL, step, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            if (p == MAP_FAILED) { printf("refused\n"); return 1; }
            memset(p, 1, step);
        }
        printf("ate all\n");
    } else {
        return 2;
    }
    return 0;
}
