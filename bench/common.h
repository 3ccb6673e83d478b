/* Functions that several of the C programs use. Include it after the definition of _GNU_SOURCE. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

static inline void die(const char *what) {
	perror(what);
	exit(1);
}

/* The time of CLOCK_MONOTONIC, in seconds. */
static inline double seconds(void) {
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

/* Adds `nanoseconds`, at most 10^9, to `at`, and sleeps until that time of CLOCK_MONOTONIC. */
static inline void sleep_after(struct timespec *at, long nanoseconds) {
	at->tv_nsec += nanoseconds;
	if (at->tv_nsec >= 1000000000) {
		at->tv_nsec -= 1000000000;
		at->tv_sec++;
	}
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, at, 0) == EINTR)
		;
}

/* User and system time, in microseconds. */
static inline double processor_time(const struct rusage *usage) {
	return (usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1e6 + usage->ru_utime.tv_usec + usage->ru_stime.tv_usec;
}

/* A random number between 0 and 1, both excluded (SplitMix64). It depends only on `state`. */
static inline double uniform(unsigned long long *state) {
	unsigned long long z = *state += 0x9e3779b97f4a7c15ULL;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	z ^= z >> 31;
	return ((z >> 11) + 0.5) / 9007199254740992.0;
}
