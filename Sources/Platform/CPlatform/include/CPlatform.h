/* What the standard library module for Linux does not offer to Swift: descriptors for signals, timers and processes,
 * starting a process in a group of its own, waiting with its usage, the service manager's socket, and CRC-32C.
 * Every function returns -1 with errno set on failure unless it says otherwise. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Clocks, in milliseconds. */
int64_t platform_wall_milliseconds(void);
int64_t platform_boot_milliseconds(void);

/* Blocks the signals for the whole process and returns a non-blocking descriptor that reports them. */
int platform_signal_descriptor(const int *signals, int count);
/* The next pending signal's number, 0 when there is none. */
int platform_signal_next(int descriptor);
/* Ignores SIGPIPE; children started by platform_spawn get the default back. */
int platform_ignore_broken_pipe(void);

/* A non-blocking timer on CLOCK_BOOTTIME, not yet armed. */
int platform_timer_descriptor(void);
/* Arms it for an absolute point in milliseconds; a point of the past fires at once; a negative one disarms. */
int platform_timer_arm(int descriptor, int64_t at_milliseconds);
/* A non-blocking timer on CLOCK_REALTIME that becomes readable when the wall clock is set. */
int platform_clock_watch_descriptor(void);
/* Empties either kind of timer. 1: it had fired; 2: the wall clock was set, and the watch is armed again; 0: nothing. */
int platform_timer_drain(int descriptor);

/* A pipe whose ends no child inherits: ends[0] to read, ends[1] to write. */
int platform_pipe(int ends[2]);
/* A process to start. */
struct platform_start {
    char *const *arguments;   /* the program, looked up in PATH when it has no slash, and its arguments; ends with NULL */
    char *const *environment; /* the whole environment; ends with NULL */
    const char *directory;    /* working directory, or NULL for the present one */
    int input, output, error; /* what become the standard descriptors */
    uint64_t memory_limit;    /* bytes of address space for it and what it starts, each; 0: none */
    int ends_with_starter;    /* 1: the kernel kills it when the thread that started it is gone */
};
/* Starts it in a process group of its own, with default signal handling and no descriptor besides its standard ones.
 * Returns 0 or the error number, also that of a program that cannot be executed. */
int platform_spawn(pid_t *process, const struct platform_start *start);
/* A descriptor that becomes readable when the process has ended. */
int platform_process_descriptor(pid_t process);

/* How a process ended and what it used. */
struct platform_ending {
    int exited;        /* 1: returned `status`; 0: ended by signal `status` */
    int status;
    int64_t cpu_milliseconds;
    int64_t max_resident_kib;
};
/* 1: ended and reaped; 0: still running. */
int platform_reap(pid_t process, struct platform_ending *ending);

/* Sends one datagram to the service manager; a path that begins with @ is abstract. */
int platform_notify(const char *path, const char *text, size_t length);

/* Begins a TCP connection without waiting, to see whether somebody listens; 0: connected, 1: under way. */
int platform_probe(const char *host, int port, int *descriptor);
/* The result of a connection under way: 0, or the error number. */
int platform_probe_result(int descriptor);

/* CRC-32C (Castagnoli), continued from `seed` (0 at first). */
uint32_t platform_crc32c(uint32_t seed, const void *bytes, size_t length);

/* Lets the disk begin to write a part of a file; whether it succeeds is what the next fdatasync says. */
void platform_begin_writing(int descriptor, int64_t from, int64_t count);

/* Cryptographically random bytes from the kernel; 0 on success. */
int platform_random(void *bytes, size_t length);

#ifdef __cplusplus
}
#endif
