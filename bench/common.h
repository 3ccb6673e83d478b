/* What several of the C programs need. Include it after _GNU_SOURCE is defined. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

static inline void die(const char *what) {
	perror(what);
	exit(1);
}

/* CLOCK_MONOTONIC. */
static inline double seconds(void) {
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

/* Sleeps until a moment of CLOCK_MONOTONIC that is `nanoseconds`, at most a second, after `at`; moves `at` there. */
static inline void sleep_after(struct timespec *at, long nanoseconds) {
	at->tv_nsec += nanoseconds;
	if (at->tv_nsec >= 1000000000) {
		at->tv_nsec -= 1000000000;
		at->tv_sec++;
	}
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, at, 0) == EINTR)
		;
}

/* Processor time in microseconds. */
static inline double processor_time(const struct rusage *usage) {
	return (usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1e6 + usage->ru_utime.tv_usec + usage->ru_stime.tv_usec;
}

/* A random number in (0, 1), which follows from `state`: SplitMix64. */
static inline double uniform(unsigned long long *state) {
	unsigned long long z = *state += 0x9e3779b97f4a7c15ULL;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	z ^= z >> 31;
	return ((z >> 11) + 0.5) / 9007199254740992.0;
}
