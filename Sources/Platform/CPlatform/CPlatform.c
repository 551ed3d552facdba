#define _GNU_SOURCE
#include "CPlatform.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#include <stdbool.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int64_t milliseconds_of(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t platform_wall_milliseconds(void) { return milliseconds_of(CLOCK_REALTIME); }

int64_t platform_boot_milliseconds(void) { return milliseconds_of(CLOCK_BOOTTIME); }

int platform_signal_descriptor(const int *signals, int count) {
    sigset_t set;
    sigemptyset(&set);
    for (int i = 0; i < count; i++) sigaddset(&set, signals[i]);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0) return -1;
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int platform_signal_next(int descriptor) {
    struct signalfd_siginfo record;
    ssize_t n = read(descriptor, &record, sizeof record);
    return n == (ssize_t)sizeof record ? (int)record.ssi_signo : 0;
}

int platform_ignore_broken_pipe(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = SIG_IGN;
    return sigaction(SIGPIPE, &action, NULL);
}

int platform_timer_descriptor(void) { return timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK); }

int platform_timer_arm(int descriptor, int64_t at_milliseconds) {
    struct itimerspec spec;
    memset(&spec, 0, sizeof spec);
    if (at_milliseconds >= 0) {
        spec.it_value.tv_sec = at_milliseconds / 1000;
        spec.it_value.tv_nsec = (at_milliseconds % 1000) * 1000000;
        if (spec.it_value.tv_sec == 0 && spec.it_value.tv_nsec == 0) spec.it_value.tv_nsec = 1;
    }
    return timerfd_settime(descriptor, TFD_TIMER_ABSTIME, &spec, NULL);
}

static int arm_clock_watch(int descriptor) {
    struct itimerspec spec;
    memset(&spec, 0, sizeof spec);
    spec.it_value.tv_sec = INT32_MAX;
    return timerfd_settime(descriptor, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &spec, NULL);
}

int platform_clock_watch_descriptor(void) {
    int descriptor = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (descriptor < 0) return -1;
    if (arm_clock_watch(descriptor) != 0) {
        close(descriptor);
        return -1;
    }
    return descriptor;
}

int platform_timer_drain(int descriptor) {
    uint64_t expirations;
    if (read(descriptor, &expirations, sizeof expirations) == (ssize_t)sizeof expirations) return 1;
    if (errno != ECANCELED) return 0;
    arm_clock_watch(descriptor);
    return 2;
}

int platform_pipe(int ends[2]) { return pipe2(ends, O_CLOEXEC); }

static int default_signals(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = SIG_DFL;
    for (int number = 1; number < NSIG; number++) sigaction(number, &action, NULL);
    sigset_t none;
    sigemptyset(&none);
    return sigprocmask(SIG_SETMASK, &none, NULL);
}

static int take_descriptors(const struct platform_start *start) {
    /* Out of the way first: one of them could be a number that another one is about to take. */
    int input = fcntl(start->input, F_DUPFD_CLOEXEC, 3);
    int output = fcntl(start->output, F_DUPFD_CLOEXEC, 3);
    int error = fcntl(start->error, F_DUPFD_CLOEXEC, 3);
    if (input < 0 || output < 0 || error < 0) return -1;
    return dup2(input, 0) < 0 || dup2(output, 1) < 0 || dup2(error, 2) < 0 ? -1 : 0;
}

/* What happens between vfork and exec; the limits must be in place before the program begins, since what it starts
 * inherits them. Returns only on failure. */
static void become(const struct platform_start *start) {
    struct rlimit limit = {.rlim_cur = start->memory_limit, .rlim_max = start->memory_limit};
    if (setpgid(0, 0) != 0 || take_descriptors(start) != 0) return;
    if (start->directory != NULL && chdir(start->directory) != 0) return;
    if (start->memory_limit > 0 && setrlimit(RLIMIT_AS, &limit) != 0) return;
    if (default_signals() != 0) return;
    if (start->ends_with_starter && prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return;
    /* What this process itself inherited is nothing to its children. An old kernel refuses; that is no harm. */
    syscall(SYS_close_range, 3U, ~0U, 0U);
    execvpe(start->arguments[0], start->arguments, start->environment);
}

__attribute__((noinline)) static pid_t fork_into(const struct platform_start *start, volatile int *failure) {
    pid_t child = vfork();
    if (child == 0) {
        become(start);
        *failure = errno;
        _exit(127);
    }
    return child;
}

int platform_spawn(pid_t *process, const struct platform_start *start) {
    volatile int failure = 0;
    sigset_t all, before;
    sigfillset(&all);
    /* The child shares this memory until it execs: no handler of ours may run in it. */
    pthread_sigmask(SIG_BLOCK, &all, &before);
    pid_t child = fork_into(start, &failure);
    int code = child < 0 ? errno : failure;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (child < 0) return code;
    if (code != 0) {
        waitpid(child, NULL, 0);
        return code;
    }
    *process = child;
    return 0;
}

int platform_process_descriptor(pid_t process) { return (int)syscall(SYS_pidfd_open, process, 0); }

int platform_reap(pid_t process, struct platform_ending *ending) {
    int status;
    struct rusage usage;
    pid_t result;
    do {
        result = wait4(process, &status, WNOHANG, &usage);
    } while (result < 0 && errno == EINTR);
    if (result <= 0) return (int)result;
    ending->exited = WIFEXITED(status) ? 1 : 0;
    ending->status = WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status);
    ending->cpu_milliseconds = (int64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000
        + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000;
    ending->max_resident_kib = usage.ru_maxrss;
    return 1;
}

int platform_notify(const char *path, const char *text, size_t length) {
    struct sockaddr_un address;
    size_t path_length = strlen(path);
    if (path_length == 0 || path_length >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memset(&address, 0, sizeof address);
    address.sun_family = AF_UNIX;
    memcpy(address.sun_path, path, path_length);
    if (path[0] == '@') address.sun_path[0] = 0;
    int descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor < 0) return -1;
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path_length);
    ssize_t sent = sendto(descriptor, text, length, MSG_NOSIGNAL, (struct sockaddr *)&address, size);
    close(descriptor);
    return sent == (ssize_t)length ? 0 : -1;
}

int platform_probe(const char *host, int port, int *descriptor) {
    struct addrinfo hints, *list, *entry;
    char service[16];
    memset(&hints, 0, sizeof hints);
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    snprintf(service, sizeof service, "%d", port);
    if (getaddrinfo(host, service, &hints, &list) != 0) {
        errno = EHOSTUNREACH;
        return -1;
    }
    int result = -1, reason = EHOSTUNREACH;
    for (entry = list; entry != NULL; entry = entry->ai_next) {
        int s = socket(entry->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (s < 0) {
            reason = errno;
            continue;
        }
        int connected = connect(s, entry->ai_addr, entry->ai_addrlen);
        if (connected == 0 || errno == EINPROGRESS) {
            result = connected == 0 ? 0 : 1;
            *descriptor = s;
            break;
        }
        reason = errno;
        close(s);
    }
    freeaddrinfo(list);
    if (result < 0) errno = reason;
    return result;
}

int platform_probe_result(int descriptor) {
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &size) != 0) return errno;
    return error;
}

static uint32_t crc_table[8][256];
#if defined(__x86_64__)
static bool has_crc32;
#endif

__attribute__((constructor)) static void make_crc_table(void) {
#if defined(__x86_64__)
    unsigned int a, b, c, d;
    has_crc32 = __get_cpuid(1, &a, &b, &c, &d) && (c & bit_SSE4_2);
#endif
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++) c = (c & 1) ? (c >> 1) ^ 0x82F63B78u : c >> 1;
        crc_table[0][i] = c;
    }
    for (uint32_t i = 0; i < 256; i++)
        for (int k = 1; k < 8; k++)
            crc_table[k][i] = (crc_table[k - 1][i] >> 8) ^ crc_table[0][crc_table[k - 1][i] & 0xFF];
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc32c_by_processor(uint32_t c, const uint8_t *p, size_t length) {
    uint64_t wide = c;
    for (; length >= 8; p += 8, length -= 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        wide = __builtin_ia32_crc32di(wide, word);
    }
    c = (uint32_t)wide;
    while (length-- > 0) c = __builtin_ia32_crc32qi(c, *p++);
    return c;
}
#endif

uint32_t platform_crc32c(uint32_t seed, const void *bytes, size_t length) {
    const uint8_t *p = bytes;
    uint32_t c = ~seed;
#if defined(__x86_64__)
    if (has_crc32) return ~crc32c_by_processor(c, p, length);
#endif
    while (length >= 8) {
        uint32_t low, high;
        memcpy(&low, p, 4);
        memcpy(&high, p + 4, 4);
        low ^= c;
        c = crc_table[7][low & 0xFF] ^ crc_table[6][(low >> 8) & 0xFF] ^ crc_table[5][(low >> 16) & 0xFF]
            ^ crc_table[4][low >> 24] ^ crc_table[3][high & 0xFF] ^ crc_table[2][(high >> 8) & 0xFF]
            ^ crc_table[1][(high >> 16) & 0xFF] ^ crc_table[0][high >> 24];
        p += 8;
        length -= 8;
    }
    while (length-- > 0) c = crc_table[0][(c ^ *p++) & 0xFF] ^ (c >> 8);
    return ~c;
}

void platform_begin_writing(int descriptor, int64_t from, int64_t count) {
    sync_file_range(descriptor, from, count, SYNC_FILE_RANGE_WRITE);
}

int platform_random(void *bytes, size_t length) {
    uint8_t *p = bytes;
    while (length > 0) {
        ssize_t n = getrandom(p, length, 0);
        if (n < 0) {
            if (errno == EINTR) continue;
            return -1;
        }
        p += n;
        length -= (size_t)n;
    }
    return 0;
}
